"""Intervals and tests of slices against SciPy, loops and hand-computed cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from core.common.statistics import intervals as statistics


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


def clustered_by_loop(right, clusters):
    """The definition, cluster by cluster, in plain Python."""
    n, names = len(right), sorted(set(clusters))
    p = sum(right) / n
    sums = [sum(x - p for x, c in zip(right, clusters, strict=True) if c == name) for name in names]
    variance = len(names) / (len(names) - 1) * sum(one**2 for one in sums) / n**2
    effective = min(n, p * (1 - p) / variance)
    return statistics.wilson(effective * p, effective)


def test_clustered_wilson__matches_a_loop(rng):
    for _ in range(20):
        clusters = rng.integers(0, 30, 120)
        right = ((rng.random(30) + rng.random(120)[:, None])[np.arange(120), clusters] > 1).astype(float)
        right[::7] = 0.5  # a tie
        expected = clustered_by_loop(right.tolist(), clusters.tolist())
        assert_allclose(statistics.clustered_wilson(right, clusters), expected, rtol=1e-12)


def test_clustered_wilson__one_value_a_cluster_is_wilson_and_copies_add_nothing(rng):
    right = (rng.random(50) > 0.3).astype(float)
    alone = statistics.wilson(right.sum(), 50)
    assert_allclose(statistics.clustered_wilson(right, np.arange(50)), alone, rtol=0, atol=0)
    low, high = statistics.clustered_wilson(np.repeat(right, 4), np.repeat(np.arange(50), 4))
    assert_allclose((low, high), statistics.wilson(49 * right.mean(), 49), rtol=1e-12)  # C - 1, as a variance


def test_clustered_wilson__undefined_variances():
    assert statistics.clustered_wilson(np.ones(6), np.repeat([1, 2, 3], 2)) == statistics.wilson(3, 3)
    assert statistics.clustered_wilson(np.array([0.0, 1, 0, 1]), np.array([1, 1, 2, 2])) == statistics.wilson(
        1, 2
    )
    assert np.isnan(statistics.clustered_wilson(np.array([]), np.array([]))).all()
    assert statistics.clustered_wilson(np.array([1.0, 0.0]), np.array(["a", "a"])) == statistics.wilson(
        0.5, 1
    )


def test_newcombe__the_papers_example():
    low, high = statistics.newcombe(56, 70, 48, 80)  # Newcombe 1998, table II, (a), method 10
    assert_allclose([low, high], [0.0524, 0.3339], atol=5e-5)


def test_newcombe__turned_around_is_the_negative():
    low, high = statistics.newcombe(3, 20, 30, 40)
    assert_allclose(statistics.newcombe(30, 40, 3, 20), (-high, -low))


def delong_by_loop(score, positive):
    up, down = score[positive], score[~positive]
    wins = [[1.0 if u > d else 0.5 if u == d else 0.0 for d in down] for u in up]
    x = [sum(row) / len(down) for row in wins]
    y = [sum(column) / len(up) for column in zip(*wins, strict=True)]
    area = sum(x) / len(x)
    spread = np.var(x, ddof=1) / len(x) + np.var(y, ddof=1) / len(y)
    return np.array([area, area - statistics.Z * spread**0.5, area + statistics.Z * spread**0.5])


def test_auroc_interval__matches_loop(rng):
    score = rng.integers(0, 12, 80).astype(float)
    positive = rng.random(80) < 0.4 + 0.02 * score
    expected = delong_by_loop(score, positive)
    assert_allclose(statistics.auroc_interval(score, positive)[:3], expected)
    few = np.arange(80) % 9 == 0  # the fewer are looked up among the others, whichever they are
    assert_allclose(statistics.auroc_interval(score, few)[:3], delong_by_loop(score, few))
    assert_allclose(statistics.auroc_interval(score, ~few)[:3], delong_by_loop(score, ~few))
    gaps = np.concatenate([score, [np.nan, np.nan]]), np.concatenate([positive, [True, False]])
    assert_allclose(statistics.auroc_interval(*gaps)[:3], expected)


def test_auroc_interval__undefined_with_one_outcome():
    area, low, high, n = statistics.auroc_interval(np.array([1.0, 2.0]), np.array([True, True]))
    assert np.isnan([area, low, high]).all() and n == 2


def test_mean_interval__by_hand():
    mean, low, high, n = statistics.mean_interval(np.array([1.0, 3.0, np.nan]))
    assert (mean, n) == (2.0, 2)
    assert_allclose([low, high], [2 - statistics.Z, 2 + statistics.Z])
    assert np.isnan(statistics.mean_interval(np.array([np.nan]))[0])


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
        found = statistics.benjamini_hochberg(np.concatenate([null, real])) <= 0.1
        rates.append(found[:900].sum() / max(found.sum(), 1))
    assert 0.07 < np.mean(rates) < 0.11
