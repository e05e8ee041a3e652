"""AUROC within predicted classes against a loop over pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.measures.intervals import auroc_interval
from core.measures.scores import auroc_within_predicted, pooled_auroc
from tests import reference_scores as reference


def images(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    correct, group = (rng.random(n) < 0.6).astype(float), rng.choice(["a", "b", "c"], n).astype(object)
    return np.round(correct + rng.normal(size=n), 1), correct, group


def test_pooled_auroc__matches_loop(rng):
    score, correct, group = images(rng, 80)
    value, low, high, n_groups = pooled_auroc(score, correct, group)
    assert value == pytest.approx(reference.auroc_within(score, correct, group))
    assert low < value < high and n_groups == 3


def test_pooled_auroc__a_score_that_only_tells_the_class_is_at_chance(rng):
    _, correct, group = images(rng, 200)
    score = (group == "a") * 1.0
    correct[group == "a"] = rng.random((group == "a").sum()) < 0.95
    assert pooled_auroc(score, correct, group)[0] == 0.5


def test_pooled_auroc__of_one_group_is_the_auroc(rng):
    score, correct, group = images(rng, 80)
    found = pooled_auroc(score, correct, np.full(len(group), "a", object))
    assert_allclose(found[:3], auroc_interval(score, correct == 1)[:3])


def test_pooled_auroc__leaves_out_nan(rng):
    score, correct, group = images(rng, 60)
    score[::3] = np.nan
    kept = np.isfinite(score)
    found = pooled_auroc(score, correct, group)
    assert found[0] == pytest.approx(reference.auroc_within(score[kept], correct[kept], group[kept]))


def test_undefined_without_pairs():
    score, group = np.arange(4.0), np.array(["a", "a", "b", "b"], object)
    value, low, high, n_groups = pooled_auroc(score, np.array([1.0, 1.0, 0.0, 0.0]), group)
    assert np.isnan([value, low, high]).all() and n_groups == 0


def test_auroc_within_predicted__a_row_a_score(rng):
    score, correct, group = images(rng, 60)
    found = auroc_within_predicted(
        pd.DataFrame({"score": ["s", "t"]}),
        pd.DataFrame({"s": score, "t": -score}),
        correct,
        pd.Series(group),
    )
    assert_allclose(found["auroc_within"].sum(), 1.0)
    assert (found["auroc_within_low"] < found["auroc_within_high"]).all()
