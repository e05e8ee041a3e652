import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.measures.placements import LEFT_OUT, Spread, ranked_spreads, ranking, spreads, ties


def spreads_by_loop(score, outcome):
    """X and Y by comparing every pair, and their spreads."""
    up, down = score[outcome == 1], score[outcome == 0]
    x = [sum((u > d) + 0.5 * (u == d) for d in down) / len(down) for u in up]
    y = [sum((u > d) + 0.5 * (u == d) for u in up) / len(up) for d in down]
    return np.array([[len(z), sum(z) / len(z), np.var(z, ddof=1)] for z in (x, y)], float)


def by_ranking(score, outcome):
    order = ranking(score)
    return ranked_spreads(order, ties(score, order), outcome.astype(np.int8))


def as_rows(spreads):
    return np.array([[one.n, one.mean, one.variance] for one in spreads])


@pytest.mark.parametrize("levels", [3, 12, 10**6], ids=["many ties", "some ties", "no ties"])
def test_spreads__match_the_loop_over_pairs(rng, levels):
    score = rng.integers(0, levels, 90).astype(float)
    outcome = (rng.random(90) < 0.7).astype(int)
    expected = spreads_by_loop(score, outcome)
    assert_allclose(as_rows(spreads(score, outcome == 1)), expected, rtol=1e-12)
    assert_allclose(as_rows(by_ranking(score, outcome)), expected, rtol=1e-12)


def test_ranked_spreads__of_some_images_and_scores(rng):
    """The order is that of all images; those left out, or without a score, do not count."""
    score = rng.integers(0, 20, 200).astype(float)
    score[::7] = np.nan
    score[3] = np.inf
    outcome = rng.integers(LEFT_OUT, 2, 200)
    inside = np.isfinite(score) & (outcome != LEFT_OUT)
    expected = spreads_by_loop(score[inside], outcome[inside])
    assert_allclose(as_rows(by_ranking(score, outcome)), expected, rtol=1e-12)


def test_ranked_spreads__scores_that_separate_have_no_variance():
    score = np.arange(1000.0)
    up, down = by_ranking(score, score >= 300)
    assert up == Spread(700, 1.0, 0.0) and down == Spread(300, 1.0, 0.0)
    up, down = by_ranking(-score, score >= 300)
    assert up == Spread(700, 0.0, 0.0) and down == Spread(300, 0.0, 0.0)


@pytest.mark.parametrize("outcome", [LEFT_OUT, 0, 1])
def test_ranked_spreads__of_one_outcome_are_undefined(outcome):
    up, down = by_ranking(np.arange(4.0), np.full(4, outcome))
    assert (up.n, down.n) == (4 * (outcome == 1), 4 * (outcome == 0))
    assert np.isnan([up.mean, up.variance, down.mean, down.variance]).all()


def test_ranked_spreads__of_no_scores():
    up, down = by_ranking(np.full(3, np.nan), np.array([1, 0, 1]))
    assert (up.n, down.n) == (0, 0)


@pytest.mark.parametrize("levels", [3, 10**6], ids=["ties", "no ties"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_both_ways__end_at_the_same_values(rng, levels, share):
    score = rng.integers(0, levels, 3000) / 7
    outcome = (rng.random(3000) < share).astype(int)
    assert spreads(score, outcome == 1) == by_ranking(score, outcome)


def test_spreads__of_one_outcome_are_undefined():
    up, down = spreads(np.array([1.0, 2.0]), np.array([True, True]))
    assert (up.n, down.n) == (2, 0) and np.isnan([up.mean, down.mean]).all()
