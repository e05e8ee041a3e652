"""Arms over seeds: paired differences, ratios of means against Fieller's definition, summaries."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from core.research.grids.over_seeds import NOT_ENOUGH
from core.research.grids.seeds import paired_difference, ratio_of_means, summarise_arms


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
