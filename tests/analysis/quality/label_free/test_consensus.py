"""The consensus of scores against loops: ranks with ties, a power iteration for the weights."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.analysis.quality.label_free.consensus import (
    COMBINED,
    LEAST_SUM,
    combined_scores,
    consensus,
    refused,
    share_below,
    weights_sentence,
)
from tests import reference_scores as reference
from tests.tables import rows_where


def agreeing(rng: np.random.Generator, n: int, m: int, *, ties: bool = False) -> np.ndarray:
    scores = rng.normal(size=(n, 1)) + rng.normal(size=(n, m)) * np.linspace(0.3, 2.0, m)
    return np.round(scores, 0) if ties else scores


@pytest.mark.parametrize("ties", [False, True])
def test_consensus__matches_loop(rng, ties):
    scores = agreeing(rng, 25, 4, ties=ties)
    found, weights = consensus(scores)
    expected, expected_weights = reference.consensus(list(scores.T))
    assert_allclose(weights, expected_weights, rtol=1e-8)
    assert_allclose(found, expected, rtol=1e-8, atol=1e-12)
    assert found.min() == 0 and found.max() == 1


def test_consensus__of_equal_scores_is_none():
    """As of evaluation images that are all black: the mean of 40 equal ranks is off by a rounding error."""
    with warnings.catch_warnings(action="error"):
        combined, weights = consensus(np.tile([1.0, 2.0, 3.0], (40, 1)))
    assert np.isnan(combined).all() and np.isnan(weights).all()


def test_share_below__by_hand():
    assert_allclose(share_below(np.array([5.0, 1.0, 5.0, 2.0])), [2.5 / 4, 0.0, 2.5 / 4, 0.25])


def test_consensus__only_ranks_matter(rng):
    scores = agreeing(rng, 30, 3)
    found, weights = consensus(scores)
    again, same = consensus(np.exp(scores) + np.arange(3))
    assert_allclose(again, found, atol=1e-12)
    assert_allclose(same, weights)


def test_consensus__a_score_that_runs_against_the_others_weighs_little(rng):
    scores = agreeing(rng, 200, 4)
    scores[:, 3] = -scores[:, 0] + rng.normal(size=200)
    _, weights = consensus(scores)
    assert weights[3] < 0 < min(weights[:3]) and weights.sum() > 0


def split_vote(rng: np.random.Generator, n: int) -> np.ndarray:
    """Three scores that agree, and three that agree on the opposite: their weights cancel."""
    common = rng.normal(size=(n, 1)) * [1, 1, 1, -1, -1, -1]
    return common + 0.3 * rng.normal(size=(n, 6))


def test_consensus__is_refused_where_as_many_scores_run_against_it_as_for_it(rng):
    found, weights = consensus(split_vote(rng, 200))
    assert 0 < weights.sum() < LEAST_SUM and np.isnan(found).all()
    assert_allclose(np.linalg.norm(weights), 1.0)
    found, weights = consensus(split_vote(rng, 200)[:, :4])  # three against one
    assert weights.sum() > LEAST_SUM and np.isfinite(found).all()


def test_refused__tells_the_sum_of_the_evaluation_images(rng):
    table = pd.DataFrame(split_vote(rng, 80), columns=list(COMBINED)).assign(split="val")
    found, weights = combined_scores(table)
    total = sum(weights["val"].values())
    assert np.isnan(found).all() and f"add up to {total:.2f}, below 0.3" in refused(weights)
    agreed = pd.DataFrame(agreeing(rng, 40, 6), columns=list(COMBINED)).assign(split="val")
    weights = combined_scores(agreed)[1]
    assert refused(weights) == refused({}) == ""
    assert weights_sentence(weights["val"]) == f"The weights add up to {sum(weights['val'].values()):.2f}."


@pytest.mark.parametrize("n", [5, 1, 0])  # images with equal scores, one, none
def test_consensus__is_undefined_without_an_order(n):
    found, weights = consensus(np.ones((n, 3)))
    assert len(found) == n and np.isnan(found).all() and np.isnan(weights).all()


def test_combined_scores__each_split_alone(rng):
    table = pd.DataFrame(agreeing(rng, 40, 6), columns=list(COMBINED))
    table.insert(0, "split", np.repeat(["train", "val"], [25, 15]))
    table.loc[table["split"] == "train", "knn_similarity"] = np.nan
    found, weights = combined_scores(table)
    assert set(weights["val"]) == set(COMBINED)
    assert set(weights["train"]) == set(COMBINED) - {"knn_similarity"}
    val = rows_where(table, table["split"] == "val")[list(COMBINED)].to_numpy()
    assert_allclose(found[25:], reference.consensus(list(val.T))[0], rtol=1e-8, atol=1e-12)
    train = rows_where(table, table["split"] == "train")[
        [name for name in COMBINED if name != "knn_similarity"]
    ]
    assert_allclose(found[:25], reference.consensus(list(train.to_numpy().T))[0], rtol=1e-8, atol=1e-12)


def test_combined_scores__of_one_score_is_undefined(rng):
    table = pd.DataFrame({name: np.full(9, np.nan) for name in COMBINED}).assign(split="val")
    table["norm"] = rng.normal(size=9)
    found, weights = combined_scores(table)
    assert np.isnan(found).all() and weights == {}
