"""Resampled means, and the intervals of their draws."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from core.measures import intervals
from tests import reference


def test_resampled_means__match_loop_over_the_same_draws(rng, monkeypatch):
    values = rng.random((7, 3))
    values[[1, 4], 2] = np.nan
    draws = np.random.default_rng(5).integers(0, 7, (40, 7))
    expected = [reference.mean_of_rows(values, rows) for rows in draws]
    assert_allclose(intervals.resampled_means(values, resamples=40, seed=5), expected, rtol=1e-12)
    monkeypatch.setattr(intervals, "DRAWS_AT_ONCE", 7 * 3)  # the same draws, three resamples at a time
    assert_allclose(intervals.resampled_means(values, resamples=40, seed=5), expected, rtol=1e-12)


def test_interval__leaves_out_undefined_draws():
    draws = np.column_stack([np.append(np.arange(41.0), np.nan), np.full(42, np.nan)])
    low, high = intervals.percentile_interval(draws)
    assert_array_equal(low, [1.0, np.nan])
    assert_array_equal(high, [39.0, np.nan])
