"""Rendered twins of words: against loops, with an encoder that sees what it is told to see."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.export.files import COLUMNS as EXPORTED
from core.jobs.progress import Progress
from core.research.rendered_scenes import word_twins as module
from core.research.rendered_scenes.word_twins import COLUMNS, twins_summary, word_twins
from core.worlds.glyphworld.scenes import World
from core.worlds.glyphworld.twins import TwinMaker
from core.worlds.glyphworld.word_truth import truth_of

SEEN = ("grass", "blue", "huge")  # feature j answers to SEEN[j]; the last one to nothing


@pytest.fixture(scope="module")
def maker():
    return TwinMaker(3, World(), pool=220)


def represent(plans):
    """Features that are 1 where the word is true, with a little noise, and one that is noise alone."""
    rng = np.random.default_rng(len(plans))
    rows = np.array([[*map(truth_of(plan).holds, SEEN), 0] for plan in plans], np.float64)
    return rows + 0.2 + 0.05 * rng.random(rows.shape)


def run(pairs, maker, n=12, scales=None):
    names = list(dict.fromkeys(group for group, _ in pairs))
    scales = np.full(len(names), 0.5) if scales is None else scales
    frame = pd.DataFrame(pairs, columns=["group", "word"])
    return word_twins(frame, scales, represent, maker, n_pairs=n, progress=Progress.silent())


PAIRS = [("0", "grass"), ("0", "huge"), ("1", "blue"), ("2", "huge"), ("3", "grass"), ("0_2", "huge")]


def test_effects__match_loops(maker):
    table = run(PAIRS, maker).set_index(["group", "word"])
    for group, word in PAIRS:
        twins = maker.twins(word, 12)
        rows = represent([one.present for one in twins] + [one.absent for one in twins])
        values = []
        for row in rows.tolist():
            length = math.sqrt(math.fsum(value * value for value in row))
            values.append(min(row[int(part)] / length for part in group.split("_")))
        present, absent = values[: len(twins)], values[len(twins) :]
        changes = [(a - b) / 0.5 for a, b in zip(present, absent, strict=True)]
        above = [1.0 if a > b else 0.5 if a == b else 0.0 for a in present for b in absent]
        found = table.loc[(group, word)]
        assert found["n_pairs"] == len(twins) >= 8
        assert_allclose(found["effect"], math.fsum(changes) / len(changes), rtol=1e-9)
        assert_allclose(found["twin_auc"], math.fsum(above) / len(above), rtol=1e-9)
        assert found["effect_low"] <= found["effect"] <= found["effect_high"]


def test_features__answer_to_their_own_words(maker):
    table = run(PAIRS, maker).set_index(["group", "word"])
    for group, word in (("0", "grass"), ("1", "blue"), ("2", "huge")):
        assert table.loc[(group, word), "effect_low"] > 0 and table.loc[(group, word), "twin_auc"] > 0.9
        assert table.loc[(group, word), "selectivity"] == 1.0
    assert table.loc[("0", "huge"), "effect"] < table.loc[("2", "huge"), "effect"] / 2
    assert table.loc[("0", "huge"), "selectivity"] < 1.0
    told = twins_summary(table.reset_index())
    assert told["n_words"] == told["n_tested"] == 6 and 0.5 <= told["share_above"] < 1


def test_selectivity__leaves_out_words_that_share_a_word():
    sizes = np.array([[3.0], [2.0], [1.0], [2.0]])
    found = module._selectivity(sizes, ["green grass", "grass", "dog", "sky"])
    assert_allclose(found[:, 0], [1.0, (1 + 0.5) / 2, 0.0, (1 + 0.5 + 0) / 3])


def test_undefined__few_twins_and_a_constant_feature(maker):
    table = run([("0", "submarine"), ("0", "grass")], maker, scales=np.zeros(1)).set_index("word")
    assert table.loc["submarine", "n_pairs"] == 0
    assert table[["effect", "selectivity"]].isna().to_numpy().all()
    assert np.isnan(table.loc["submarine", "twin_auc"]) and table.loc["grass", "twin_auc"] > 0.9
    empty = run([], maker, scales=np.empty(0))
    assert empty.empty and twins_summary(empty)["effect"] is None


def test_columns__are_those_that_exports_promise(maker):
    assert EXPORTED["word_twins"] == COLUMNS
