"""Intervals and tests of slices against SciPy, loops and hand-computed cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from core.measures import intervals as statistics
from tests import reference
from tests import reference_scores as slow


def tail_by_loop(k: int, n: int, marked: int, total: int) -> float:
    ways = [
        math.comb(marked, x) * math.comb(total - marked, n - x)
        for x in range(k, min(n, marked) + 1)
        if 0 <= n - x <= total - marked and x >= 0
    ]
    return sum(ways) / math.comb(total, n)


def test_at_least__matches_loop(rng):
    total = rng.integers(1, 60, 400)
    n, marked = rng.integers(0, total + 1), rng.integers(0, total + 1)
    k = rng.integers(0, n + 2)
    expected = [tail_by_loop(*map(int, row)) for row in zip(k, n, marked, total, strict=True)]
    assert_allclose(statistics.at_least(k, n, marked, total), expected, rtol=1e-9, atol=1e-12)


def test_at_least__matches_scipy_where_numbers_are_large(rng):
    total = 1_281_167
    n, marked = rng.integers(10, 200_000, 40), rng.integers(10, 300_000, 40)
    k = np.clip(n * marked // total + rng.integers(-300, 300, 40), 0, np.minimum(n, marked))
    expected = stats.hypergeom.sf(k - 1, total, marked, n)
    assert_allclose(statistics.at_least(k, n, marked, total), expected, rtol=1e-6, atol=1e-300)


def test_two_sided__is_symmetric_and_doubles_the_smaller_tail():
    assert statistics.two_sided(3, 4, 4, 8) == pytest.approx(2 * tail_by_loop(3, 4, 4, 8))
    assert statistics.two_sided(1, 4, 4, 8) == pytest.approx(2 * tail_by_loop(3, 4, 4, 8))
    assert statistics.two_sided(2, 4, 4, 8) == 1.0


def test_wilson__matches_scipy(rng):
    n = rng.integers(1, 500, 100)
    k = rng.integers(0, n + 1)
    low, high = statistics.wilson(k, n)
    for at in range(100):
        interval = stats.binomtest(int(k[at]), int(n[at])).proportion_ci(0.95, method="wilson")
        assert_allclose([low[at], high[at]], interval, atol=1e-12)
    assert all(np.isnan(statistics.wilson(0, 0)))


def test_newcombe__the_papers_example():
    low, high = statistics.newcombe(56, 70, 48, 80)  # Newcombe 1998, table II, (a), method 10
    assert_allclose([low, high], [0.0524, 0.3339], atol=5e-5)


def test_newcombe__turned_around_is_the_negative():
    low, high = statistics.newcombe(3, 20, 30, 40)
    assert_allclose(statistics.newcombe(30, 40, 3, 20), (-high, -low))


def test_area_bounds__match_the_slow_twin(rng):
    area, m, n = rng.random(40), rng.integers(1, 60, 40), rng.integers(1, 60, 40)
    area[:4] = 0.0, 1.0, 0.5, 1.0
    low, high = statistics.area_bounds(area, m, n)
    for at in range(40):
        expected = slow.newcombe_area(area[at], m[at], n[at])
        assert_allclose([low[at], high[at]], expected, atol=1e-9)
        assert_allclose(statistics.area_bounds(area[at], m[at], n[at]), expected, atol=1e-9)  # single numbers


@pytest.mark.parametrize("area", [0.0, 0.3, 1.0])
def test_area_bounds__of_one_against_one_is_wilsons_of_one(area):
    assert_allclose(statistics.area_bounds(area, 1, 1), statistics.wilson(area, 1), atol=1e-12)  # N = 0


def test_area_bounds__contain_the_area_with_some_width_and_mirror(rng):
    area = np.concatenate([[0.0, 1.0], rng.random(300)])
    m, n = rng.integers(1, 200, (2, 302))
    low, high = statistics.area_bounds(area, m, n)
    assert (low >= 0).all() and (high <= 1).all() and (low <= area).all() and (area <= high).all()
    assert (high - low > 0.01).all()
    assert_allclose(statistics.area_bounds(1 - area, n, m), (1 - high, 1 - low), atol=1e-12)
    assert (statistics.area_bounds(area, 4 * m, 4 * n)[1] - area <= high - area + 1e-12).all()


def test_area_bounds__undefined():
    assert np.isnan(statistics.area_bounds([0.5, np.nan, 0.5], [0, 3, 3], [4, 4, 0])).all()


def test_auroc_interval__is_newcombes_of_the_scores_with_both(rng):
    score = rng.integers(0, 12, 80).astype(float)
    positive = rng.random(80) < 0.4 + 0.02 * score
    area = reference.auroc(score, positive)
    gaps = np.concatenate([score, [np.nan, np.nan]]), np.concatenate([positive, [True, False]])
    interval = statistics.auroc_interval(*gaps)
    assert interval[3] == 80
    expected = slow.newcombe_area(area, positive.sum(), (~positive).sum())
    assert_allclose(interval[:3], [area, *expected], atol=1e-9)


def test_auroc_interval__of_two_errors_below_all_is_no_point():
    area, low, high, _ = statistics.auroc_interval(np.arange(200.0), np.arange(200) > 1)
    assert (area, high) == (1.0, 1.0) and low < 0.8


def test_auroc_interval__undefined_with_one_outcome():
    area, low, high, n = statistics.auroc_interval(np.array([1.0, 2.0]), np.array([True, True]))
    assert np.isnan([area, low, high]).all() and n == 2


def test_auroc_difference__matches_loop(rng):
    positive = np.arange(60) % 3 > 0
    first, second = (rng.integers(0, 9, 60) + positive * lift for lift in (4.0, 1.0))
    expected = slow.delong_difference(first, second, positive)
    assert_allclose(statistics.auroc_difference(first, second, positive), expected, rtol=1e-12)
    low, high = expected[1:]
    assert_allclose(
        statistics.auroc_difference(second, first, positive), (-expected[0], -high, -low), rtol=1e-12
    )
    order = rng.permutation(60)
    shuffled = statistics.auroc_difference(first[order], second[order], positive[order])
    assert_allclose(shuffled, expected, rtol=1e-12)


def test_auroc_difference__of_the_images_that_have_both_scores(rng):
    positive, first, second = np.arange(30) % 2 == 0, rng.random(30), rng.random(30)
    gaps = np.where(np.arange(30) < 4, np.nan, first), np.where(np.arange(30) > 26, np.nan, second)
    there = slice(4, 27)
    assert statistics.auroc_difference(*gaps, positive) == statistics.auroc_difference(
        first[there], second[there], positive[there]
    )


def test_auroc_difference__undefined():
    score = np.arange(4.0)
    assert np.isnan(statistics.auroc_difference(score, -score, np.ones(4, bool))).all()
    ahead, *ends = statistics.auroc_difference(score, -score, score > 0)  # a single error has no spread
    assert ahead == 1.0 and np.isnan(ends).all()


def test_mean_interval__by_hand():
    mean, low, high, n = statistics.mean_interval(np.array([1.0, 3.0, np.nan]))
    assert (mean, n) == (2.0, 2)
    assert_allclose([low, high], [2 - 12.7062, 2 + 12.7062], rtol=1e-5)  # t with one degree of freedom
    assert np.isnan(statistics.mean_interval(np.array([np.nan]))[0])


def test_mean_intervals__match_scipy_column_by_column(rng):
    values = rng.normal(3.0, 2.0, (12, 3))
    values[:4, 1] = np.nan
    mean, low, high, n = statistics.mean_intervals(values)
    for at in range(3):
        finite = values[np.isfinite(values[:, at]), at]
        around = stats.ttest_1samp(finite, 0.0).confidence_interval(0.95)
        assert_allclose([mean[at], low[at], high[at]], [finite.mean(), *around], rtol=1e-9)
    assert list(n) == [12, 8, 12]


def test_mean_intervals__of_few_numbers_and_bounds():
    nan = np.nan
    values = np.array([[1.0, nan, nan], [3.0, 5.0, nan]])
    mean, low, high, n = statistics.mean_intervals(values, within=(0.0, 9.0))
    assert_array_equal(n, [2, 1, 0])
    assert_array_equal(mean, [2.0, 5.0, nan])
    assert_array_equal(low, [0.0, nan, nan])  # a single number has no interval
    assert_array_equal(high, [9.0, nan, nan])
    mean, low, high, n = statistics.mean_intervals(np.empty((0, 2)))
    assert np.isnan([mean, low, high]).all() and not n.any()


def test_share_intervals__are_wilsons_also_of_none():
    values = np.column_stack([np.zeros(46), np.r_[np.ones(23), np.zeros(23)], np.full(46, np.nan)])
    share, low, high, n = statistics.share_intervals(values)
    assert_array_equal(n, [46, 46, 0])
    assert_array_equal(share, [0.0, 0.5, np.nan])
    assert low[0] == 0.0 and round(high[0], 3) == 0.077
    assert_allclose([low[1], high[1]], statistics.wilson(23, 46))
    assert np.isnan([low[2], high[2]]).all()


def test_benjamini_hochberg__matches_scipy(rng):
    p = rng.random(200) ** 3
    assert_allclose(statistics.benjamini_hochberg(p), stats.false_discovery_control(p))
    gaps = np.insert(p, 7, np.nan)
    assert_allclose(np.delete(statistics.benjamini_hochberg(gaps), 7), stats.false_discovery_control(p))
    assert statistics.benjamini_hochberg(np.empty(0)).size == 0


def test_benjamini_hochberg__keeps_the_false_discovery_rate(rng):
    """90 % true nulls: among what is found at 0.1, about 9 % are false over many repetitions."""
    rates = []
    for _ in range(200):
        null = rng.random(900)
        real = stats.norm.sf(rng.normal(3.5, 1.0, 100))
        rejected = statistics.benjamini_hochberg(np.concatenate([null, real])) <= 0.1
        rates.append(rejected[:900].sum() / max(rejected.sum(), 1))
    assert 0.07 < np.mean(rates) < 0.11
