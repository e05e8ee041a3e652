"""The interval of a share with clusters against a loop, and its limits."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from core.common.statistics.intervals import wilson
from core.research.visual_tokens.evaluation.clustered import clustered_wilson


def clustered_by_loop(right, clusters):
    """The definition, cluster by cluster, in plain Python."""
    n, names = len(right), sorted(set(clusters))
    p = sum(right) / n
    sums = [sum(x - p for x, c in zip(right, clusters, strict=True) if c == name) for name in names]
    variance = len(names) / (len(names) - 1) * sum(one**2 for one in sums) / n**2
    effective = min(n, p * (1 - p) / variance)
    return wilson(effective * p, effective)


def test_clustered_wilson__matches_a_loop(rng):
    for _ in range(20):
        clusters = rng.integers(0, 30, 120)
        right = ((rng.random(30) + rng.random(120)[:, None])[np.arange(120), clusters] > 1).astype(float)
        right[::7] = 0.5  # a tie
        expected = clustered_by_loop(right.tolist(), clusters.tolist())
        assert_allclose(clustered_wilson(right, clusters), expected, rtol=1e-12)


def test_clustered_wilson__one_value_a_cluster_is_wilson_and_copies_add_nothing(rng):
    right = (rng.random(50) > 0.3).astype(float)
    alone = wilson(right.sum(), 50)
    assert_allclose(clustered_wilson(right, np.arange(50)), alone, rtol=0, atol=0)
    low, high = clustered_wilson(np.repeat(right, 4), np.repeat(np.arange(50), 4))
    assert_allclose((low, high), wilson(49 * right.mean(), 49), rtol=1e-12)  # C - 1, as a variance


def test_clustered_wilson__undefined_variances():
    assert clustered_wilson(np.ones(6), np.repeat([1, 2, 3], 2)) == wilson(3, 3)
    assert clustered_wilson(np.array([0.0, 1, 0, 1]), np.array([1, 1, 2, 2])) == wilson(1, 2)
    assert np.isnan(clustered_wilson(np.array([]), np.array([]))).all()
    assert clustered_wilson(np.array([1.0, 0.0]), np.array(["a", "a"])) == wilson(0.5, 1)
