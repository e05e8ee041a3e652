"""Differences to the best rival against loops over pairs of images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.measures import metrics
from core.measures.scores import with_rivals
from tests import reference
from tests import reference_scores as slow


def table_of(scores: pd.DataFrame, correct: np.ndarray, free: list[bool]) -> pd.DataFrame:
    return metrics.evaluate(scores, correct, resamples=0).assign(label_free=free)


def test_with_rivals__matches_loop(rng):
    correct = (rng.random(40) < 0.6).astype(float)
    columns = correct[:, None] * [0.8, 0.4, 0.6, 2.0] + rng.normal(size=(40, 4))
    scores = pd.DataFrame(np.round(columns, 1), columns=list("abcp"))  # with ties
    table = table_of(scores, correct, [True, True, True, False])
    found = with_rivals(table, scores, correct).set_index("score")
    aurocs = {name: reference.auroc(scores[name].to_numpy(), correct == 1) for name in "abc"}
    for name in "abc":
        rival = max((other for other in "abc" if other != name), key=aurocs.__getitem__)
        row = found.loc[name]
        assert row["rival"] == rival
        mine, its = (scores[one].to_numpy() for one in (name, rival))
        expected = slow.delong_difference(mine, its, correct == 1)
        ends = [row[f"rival_difference{end}"] for end in ("", "_low", "_high")]
        assert_allclose(ends, expected, rtol=1e-9)
    assert found.loc["p", "rival"] == "" and np.isnan(found.loc["p", "rival_difference"])


def test_with_rivals__a_copy_is_equal_with_certainty(rng):
    correct, values = (rng.random(30) < 0.5).astype(float), rng.normal(size=30)
    scores = pd.DataFrame({"a": values, "b": 3 * values})
    found = with_rivals(table_of(scores, correct, [True, True]), scores, correct)
    differences = found[["rival_difference", "rival_difference_low", "rival_difference_high"]]
    assert (differences.to_numpy() == 0).all()


@pytest.mark.parametrize("correct", [np.ones(6), np.array([1.0, 1, 1, 0, 0, 0])])
def test_with_rivals__undefined_scores_have_none(correct):
    scores = pd.DataFrame({"a": np.arange(6.0), "b": np.full(6, np.nan)})
    found = with_rivals(table_of(scores, correct, [True, True]), scores, correct)
    assert (found["rival"] == "").all() and found["rival_difference"].isna().all()
