"""Clusters as domains: eq. 2.2 against loops, undefined rows, names kept from one clustering to the next."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.errors import SettingsError
from core.research.domains_robust_clustering import (
    automatic_threshold,
    cluster,
    clustering_times,
    epsilon_at,
    kept,
    purity,
    renaming,
    separation,
)


def loop_separation(h, centroids, rule):
    ratios = []
    for row in h:
        squares = [sum((x - y) ** 2 for x, y in zip(row, centroid, strict=True)) for centroid in centroids]
        if rule == "paper":
            pairs = [a / b for a in squares for b in squares]
            ratios.append(max(pairs))
        else:
            first, second = sorted(squares)[:2]
            ratios.append(second / first)
    return ratios


@pytest.mark.parametrize("rule", ["paper", "nearest"])
@pytest.mark.parametrize("n_clusters", [2, 3, 5])
def test_separation__matches_the_loop(rng, rule, n_clusters):
    h, centroids = rng.normal(size=(20, 4)), rng.normal(size=(n_clusters, 4))
    found = separation(h, centroids, rule=rule)
    assert_allclose(found, loop_separation(h.tolist(), centroids.tolist(), rule), rtol=1e-12)
    assert (found >= 1).all()


def test_separation__the_rules_differ_for_three_centroids_only():
    """A row halfway between two of three centroids: far from the third, but no cluster is its own."""
    row, centroids = np.array([[1.0, 0.0]]), np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]])
    assert separation(row, centroids, rule="paper") == 9 and kept(np.array([9.0]), 1.0).all()
    assert separation(row, centroids, rule="nearest") == 1 and not kept(np.array([1.0]), 0.0).any()
    two = centroids[[0, 2]]
    assert separation(row, two, rule="paper") == separation(row, two, rule="nearest") == 9


@pytest.mark.parametrize("rule", ["paper", "nearest"])
def test_separation__on_a_centroid_and_on_two(rule):
    centroids = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    found = separation(np.array([[0.0, 1.0], [1.0, 0.0]]), centroids, rule=rule)
    assert found[0] == np.inf and np.isnan(found[1])
    assert_array_equal(kept(found, 0.0), [True, False])


def test_separation__refuses_a_rule_that_there_is_not():
    with pytest.raises(SettingsError, match="'farthest'"):
        separation(np.ones((1, 2)), np.eye(2), rule="farthest")


def test_epsilon__halves_and_ends_at_zero():
    assert [epsilon_at(1.0, t, 8) for t in (0, 1, 2, 8)] == [1.0, 0.5, 0.25, 0.0]
    assert_allclose(clustering_times(0.1, 0.1), np.arange(1, 10) / 10)
    assert clustering_times(0.5, 1.0) == [0.5] and clustering_times(0.0, 0.5) == [0.0, 0.5]


def test_automatic_threshold__is_the_largest_that_keeps_enough():
    codes = np.repeat([0, 1], 10)
    ratio = np.where(np.arange(20) % 5 == 0, 1.3, 1.01)  # 4 of 20, two of each cluster
    assert automatic_threshold(ratio, codes, 2) == 0.25
    assert automatic_threshold(np.where(np.arange(20) < 4, 1.3, 1.01), codes, 2) == 0.0  # all of one cluster
    assert automatic_threshold(np.full(20, 3.0), codes, 2) == 1.0


def test_renaming__keeps_the_most_rows_in_their_cluster(rng):
    old, new = rng.integers(0, 4, 60), rng.integers(0, 4, 60)
    best = max(int((np.array(names)[new] == old).sum()) for names in itertools.permutations(range(4)))
    matched = renaming(old, new)[new]
    assert int((matched == old).sum()) == best
    assert len({*zip(new, matched, strict=True)}) == 4  # a renaming, nothing else
    swapped = np.array([2, 3, 1, 0])[old]
    assert_array_equal(renaming(old, swapped)[swapped], old)
    assert_array_equal(renaming(np.full(60, -1), new), np.arange(4))  # no clusters before


def test_cluster__finds_planted_clusters_and_is_seeded(rng):
    truth = np.arange(90) % 3
    h = np.eye(3)[truth] + rng.normal(scale=0.05, size=(90, 3))
    found = cluster(h, 3, seed=0)
    assert purity(found.codes, truth) == 1 and found.n_empty == 0
    again = cluster(h, 3, seed=0)
    assert_array_equal(found.codes, again.codes)
    part = cluster(h, 3, seed=0, most_rows=30)  # fitted to some rows, all are assigned
    assert purity(part.codes, truth) == 1 and len(part.codes) == 90


def test_cluster__with_fewer_different_rows_than_clusters():
    found = cluster(np.eye(2)[[0, 1, 0, 1]], 3, seed=0)
    assert found.n_empty == 1 and len(found.centroids) == 3
    with pytest.raises(SettingsError, match="n_domains.*5.*4"):
        cluster(np.eye(2)[[0, 1, 0, 1]], 5, seed=0)


def test_purity__by_hand():
    assert purity(np.array([0, 0, 0, 1]), np.array([1, 1, 0, 0])) == 0.75
    assert np.isnan(purity(np.array([], int), np.array([], int)))
