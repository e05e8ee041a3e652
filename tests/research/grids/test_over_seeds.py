"""Summaries over seeds: the interval against its definition, and what is said of too few runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from core.research.grids.over_seeds import NOT_ENOUGH, over_seeds


@pytest.mark.parametrize("n", [5, 6, 20])
def test_over_seeds__is_students_interval(rng, n):
    values = rng.normal(3, 2, n).tolist()
    summary = over_seeds(values)
    mean = sum(values) / n
    std = math.sqrt(sum((value - mean) ** 2 for value in values) / (n - 1))
    low, high = stats.t.interval(0.95, n - 1, loc=mean, scale=std / math.sqrt(n))
    assert (summary.mean, summary.std) == pytest.approx((mean, std), rel=1e-12)
    assert (summary.low, summary.high) == pytest.approx((low, high), rel=1e-9)


def test_over_seeds__by_hand():
    summary = over_seeds([1, 2, 3, 4, 5])  # s = sqrt(2.5), t(4) = 2.7764, half = t * s / sqrt(5)
    assert (summary.low, summary.high) == pytest.approx((3 - 1.96324, 3 + 1.96324), abs=1e-5)
    assert summary.text() == "3.0 ± 2.0" and summary.sign == "above 0"
    assert summary.within(5) is True and summary.within(4.9) is False


def test_over_seeds__fewer_than_five_are_listed_and_tell_nothing():
    summary = over_seeds([0.5, 0.25, math.nan, 0.75, math.inf, 1.0])
    assert (summary.n, summary.n_undefined, summary.enough) == (4, 2, False)
    assert np.isnan([summary.low, summary.high]).all() and summary.mean == 0.625
    assert summary.text(factor=100, signed=True) == "+50.0, +25.0, +75.0, +100.0"
    assert summary.sign == NOT_ENOUGH and summary.within(1) is None
    assert np.isnan([over_seeds([]).mean, over_seeds([1.0]).std]).all() and over_seeds([]).text() == ""


def test_over_seeds__equal_values_have_an_interval_without_width():
    summary = over_seeds([2.0] * 5)
    assert (summary.low, summary.high, summary.std) == (2.0, 2.0, 0.0)
    assert over_seeds([0.0] * 5).sign == "no clear difference" and over_seeds([-1.0] * 5).sign == "below 0"
