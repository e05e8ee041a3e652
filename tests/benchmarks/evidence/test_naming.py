"""The table of `benchmarks.evidence.naming` against loops, on words made by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.evidence import naming
from benchmarks.evidence.naming import FeatureResamples, by_feature, compare, failures
from tests.tables import rows_where

TRUE = {"1": {"sky", "blue"}, "2": {"dog"}, "3": set()}
SAID = {  # seed, group -> words of the majority rule, and of FALCON
    (7, "1"): (["sky", "blue"], ["huge", "sky", "blue", "tiny", "dog", "sky"]),
    (7, "2"): ([], ["dog"]),
    (8, "1"): (["sky", "dog", "red"], ["sky"]),
    (8, "3"): (["huge"], []),
}


@pytest.fixture
def words(monkeypatch):
    monkeypatch.setattr(naming, "METHODS", (naming.MAJORITY, naming.FALCON))
    rows = []
    for (seed, group), said in SAID.items():
        for method, ranked in zip(naming.METHODS, said, strict=True):
            found = len(set(ranked[:5]) & TRUE[group])
            rows += [
                (
                    seed,
                    method,
                    group,
                    rank,
                    word,
                    word in TRUE[group],
                    len(TRUE[group]),
                    found,
                    0.5 + rank / 10,
                )
                for rank, word in enumerate(ranked or [""], start=1)
            ]
    columns = ["seed", "method", "group", "rank", "word", "related", "n_true", "n_found", "auc"]
    return pd.DataFrame(rows, columns=columns)


def loop(seed, group, method):
    ours, falcon = SAID[seed, group]
    said, true = (ours if method == naming.MAJORITY else falcon), TRUE[group]
    share = lambda some: sum(word in true for word in some) / len(some) if some else math.nan  # noqa: E731
    cut = share(said[: min(len(ours), 5)]) if ours else math.nan
    recall = len(set(said[:5]) & true) / len(true) if true else math.nan
    return min(len(said), 5), share(said[:5]), cut, recall


def test_by_feature__matches_loops(words):
    frame = by_feature(words).set_index(["seed", "group", "method"])
    assert len(frame) == 8
    key: Any
    row: Any
    for key, row in frame.iterrows():
        found = [float(row[name]) for name in ("n", "precision", "cut", "recall")]
        assert found == pytest.approx(list(loop(*key)), nan_ok=True)


def test_means__are_of_all_features_first_and_of_resampled_features_then(words):
    frame = by_feature(words)
    part = rows_where(frame, frame["method"] == naming.FALCON)
    resamples = FeatureResamples(frame)
    means = resamples.means(part, "precision")
    known = [loop(seed, group, naming.FALCON)[1] for seed, group in SAID if SAID[seed, group][1]]
    assert means[0] == pytest.approx(np.mean(known))
    assert resamples.counts.sum(1).tolist() == [3] * naming.RESAMPLES  # three features, with all their worlds
    for at in (0, 5):
        counts = dict(zip(resamples.features, resamples.counts[at], strict=True))
        weights = [counts[group] for seed, group in SAID if SAID[seed, group][1]]
        expected = np.dot(weights, known) / np.sum(weights) if sum(weights) else math.nan
        assert means[1 + at] == pytest.approx(expected, nan_ok=True)


def test_tables__name_methods_leads_and_wrong_words(words):
    lines = list(compare(by_feature(words)))
    assert lines[2].startswith(f"| {naming.MAJORITY} | 0.444 (")
    assert len(lines) == 4 and "–" in lines[2] and lines[3].startswith("| FALCON | ")
    monkey = [line for line in failures(words) if line.startswith("* FALCON:")]
    assert monkey == ["* FALCON: 3 of 7 words are wrong: huge 1, tiny 1, dog 1"]
    assert naming.TUNING and not {world.seed for world in naming.TUNING} & {w.seed for w in naming.HELD_OUT}
