"""Means with bootstrap intervals."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from core.common.statistics import intervals
from tests import reference


def test_resampled_means__match_loop_over_the_same_draws(rng, monkeypatch):
    values = rng.random((7, 3))
    values[[1, 4], 2] = np.nan
    draws = np.random.default_rng(5).integers(0, 7, (40, 7))
    expected = [reference.mean_of_rows(values, rows) for rows in draws]
    assert_allclose(intervals.resampled_means(values, resamples=40, seed=5), expected, rtol=1e-12)
    monkeypatch.setattr(intervals, "DRAWS_AT_ONCE", 7 * 3)  # the same draws, three resamples at a time
    assert_allclose(intervals.resampled_means(values, resamples=40, seed=5), expected, rtol=1e-12)


def test_mean_intervals__cover_the_standard_error(rng):
    values = rng.normal(3.0, 2.0, (400, 1))
    mean, low, high, n = intervals.mean_intervals(values, resamples=4000)
    error = 1.96 * values.std() / np.sqrt(400)
    assert_allclose([low[0], high[0]], [mean[0] - error, mean[0] + error], atol=0.03)
    assert n[0] == 400


def test_mean_intervals__of_few_numbers():
    nan = np.nan
    values = np.array([[1.0, nan, nan], [3.0, 5.0, nan]])
    mean, low, high, n = intervals.mean_intervals(values, resamples=200)
    assert_array_equal(n, [2, 1, 0])
    assert_array_equal(mean, [2.0, 5.0, nan])
    assert_array_equal(low, [1.0, nan, nan])  # a single number has no interval
    assert_array_equal(high, [3.0, nan, nan])


def test_mean_intervals__of_no_rows():
    mean, low, high, n = intervals.mean_intervals(np.empty((0, 2)), resamples=10)
    assert np.isnan([mean, low, high]).all() and not n.any()


def test_interval__leaves_out_undefined_draws():
    draws = np.column_stack([np.append(np.arange(41.0), np.nan), np.full(42, np.nan)])
    low, high = intervals.percentile_interval(draws)
    assert_array_equal(low, [1.0, np.nan])
    assert_array_equal(high, [39.0, np.nan])
