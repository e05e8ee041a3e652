"""Summaries over seeds: the interval against its definition, and what is said of too few runs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from core.common.statistics.seeds import (
    NOT_ENOUGH,
    over_seeds,
    paired_difference,
    ratio_of_means,
    summarise_arms,
)


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


def test_paired_difference__removes_what_seeds_share(rng):
    shared = {seed: float(rng.normal(0, 100)) for seed in range(6)}
    one = {seed: value + 1 for seed, value in shared.items()}
    difference = paired_difference(one, shared | {9: 0.0})
    assert difference.n == 6 and difference.mean == pytest.approx(1) and difference.std < 1e-9


def test_summarise_arms__compares_each_arm_with_its_own_baseline():
    table = pd.DataFrame(
        [("a", 0, 1.0), ("b", 0, 3.0), ("a", 1, 2.0), ("b", 1, 7.0), ("c", 1, 0.0)],
        columns=["arm", "seed", "top1"],
    )
    summaries = summarise_arms(table, ["top1", "gone"], baseline={"b": "a", "c": "b"}.get)
    assert list(summaries) == ["a", "b", "c"] and summaries["a"]["top1"][1] is None
    assert summaries["b"]["top1"][0].values == (3.0, 7.0)
    differences = [summaries[arm]["top1"][1] for arm in "bc"]
    assert [one and one.values for one in differences] == [(2.0, 5.0), (-7.0,)]
    assert summaries["b"]["gone"][0].values == ()


@pytest.mark.parametrize("n", [5, 12])
def test_ratio_of_means__holds_the_ratios_that_a_t_test_does_not_reject(rng, n):
    y = rng.normal(0.06, 0.02, n)
    x = -1.5 * y + rng.normal(0, 0.02, n)
    interval = ratio_of_means([*x, math.nan], [*y, 1.0])
    assert interval.value == pytest.approx(sum(x) / sum(y)) and interval.n == n

    def p(ratio: float) -> float:
        return float(np.asarray(stats.ttest_1samp(x - ratio * y, 0.0))[1])

    assert (p(interval.low), p(interval.high)) == pytest.approx((0.05, 0.05), rel=1e-6)
    for ratio in np.linspace(interval.low - 1, interval.high + 1, 41):
        assert (p(ratio) > 0.05) == (interval.low < ratio < interval.high)


def test_ratio_of_means__without_an_interval():
    assert ratio_of_means([1.0, 2.0], [2.0, 4.0]).text() == f"0.50 ({NOT_ENOUGH})"
    vague = ratio_of_means([1.0, 1.1, 0.9, 1.0, 1.05], [1.0, -1.0, 2.0, -2.0, 1.5])  # mean y may be 0
    assert vague.text() == "3.37 (its interval has no bounds)"
    assert np.isnan(ratio_of_means([], []).value)
