"""Differences to the best rival against a loop over drawn images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.analysis.quality import metrics
from core.analysis.quality.rival import with_rivals
from tests import reference


def table_of(scores: pd.DataFrame, correct: np.ndarray, free: list[bool]) -> pd.DataFrame:
    return metrics.evaluate(scores, correct, resamples=0).assign(label_free=free)


def test_with_rivals__matches_loop(rng):
    correct = (rng.random(40) < 0.6).astype(float)
    columns = correct[:, None] * [0.8, 0.4, 0.6, 2.0] + rng.normal(size=(40, 4))
    scores = pd.DataFrame(np.round(columns, 1), columns=list("abcp"))  # with ties
    table = table_of(scores, correct, [True, True, True, False])
    found = with_rivals(table, scores, correct, resamples=40, seed=5).set_index("score")
    aurocs = {name: reference.auroc(scores[name].to_numpy(), correct == 1) for name in "abc"}
    for name in "abc":
        rival = max((other for other in "abc" if other != name), key=aurocs.__getitem__)
        gaps = []
        for b in range(40):
            rows = np.random.default_rng([5, b]).integers(0, 40, 40)
            mine, theirs = (
                reference.auroc(scores[s].to_numpy()[rows], correct[rows] == 1) for s in (name, rival)
            )
            gaps.append(mine - theirs)
        row = found.loc[name]
        assert row["rival"] == rival
        assert_allclose(row["rival_difference"], aurocs[name] - aurocs[rival])
        ends = [row["rival_difference_low"], row["rival_difference_high"]]
        assert_allclose(ends, np.percentile(gaps, [2.5, 97.5]))
    assert found.loc["p", "rival"] == "" and np.isnan(found.loc["p", "rival_difference"])


def test_with_rivals__a_copy_is_equal_with_certainty(rng):
    correct, values = (rng.random(30) < 0.5).astype(float), rng.normal(size=30)
    scores = pd.DataFrame({"a": values, "b": 3 * values})
    found = with_rivals(table_of(scores, correct, [True, True]), scores, correct, resamples=20)
    differences = found[["rival_difference", "rival_difference_low", "rival_difference_high"]]
    assert (differences.to_numpy() == 0).all()


@pytest.mark.parametrize("correct", [np.ones(6), np.array([1.0, 1, 1, 0, 0, 0])])
def test_with_rivals__undefined_scores_have_none(correct):
    scores = pd.DataFrame({"a": np.arange(6.0), "b": np.full(6, np.nan)})
    found = with_rivals(table_of(scores, correct, [True, True]), scores, correct, resamples=5)
    assert (found["rival"] == "").all() and found["rival_difference"].isna().all()
