"""Holm's adjustment and the letters of groups: definitions written out, by hand, and properties."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.compare.pairs import groups_by_leader, holm, letters
from core.errors import ShapeError


def slow_holm(p: list[float]) -> list[float]:
    """The smallest level at which the step-down procedure rejects each hypothesis (Holm 1979, section 3)."""
    m = len(p)
    order = sorted(range(m), key=lambda at: p[at])
    adjusted = [0.0] * m
    for rank, at in enumerate(order):
        needed = [(m - step) * p[other] for step, other in enumerate(order[: rank + 1])]
        adjusted[at] = min(1.0, max(needed))
    return adjusted


@pytest.mark.parametrize("m", [1, 2, 7, 45])
def test_holm__matches_the_procedure(rng, m):
    for _ in range(20):
        p = np.round(rng.random(m) ** 3, 3)  # ties
        assert_allclose(holm(p), slow_holm(p.tolist()), rtol=1e-12)


def test_holm__by_hand():
    """Of .01, .02, .03, .005: 4 x .005, 3 x .01, 2 x .02, and .03, which stays at least .04."""
    assert_allclose(holm(np.array([0.01, 0.02, 0.03, 0.005])), [0.03, 0.04, 0.04, 0.02])


def test_holm__leaves_out_what_is_no_test():
    assert_allclose(holm(np.array([0.02, np.nan, 0.04])), [0.04, np.nan, 0.04])
    assert holm(np.array([])).tolist() == [] and np.isnan(holm(np.array([np.nan]))).all()
    with pytest.raises(ShapeError, match="one row"):
        holm(np.ones((2, 2)))


def test_holm__rejects_rarely_where_nothing_is_true(rng):
    rejected = [(holm(rng.random(10)) <= 0.05).any() for _ in range(2000)]
    assert np.mean(rejected) <= 0.065  # 0.05, and three standard errors


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_letters__are_shared_exactly_by_those_that_are_not_apart(rng, k):
    for _ in range(50):
        apart = np.triu(rng.random((k, k)) < rng.random(), 1)
        apart |= apart.T
        marks = [set(one) for one in letters(apart)]
        assert all(marks)
        for first, second in combinations(range(k), 2):
            assert bool(marks[first] & marks[second]) != apart[first, second]
        members = [{at for at in range(k) if letter in marks[at]} for letter in set().union(*marks)]
        assert not any(one < other for one in members for other in members), (
            "a letter that another one implies"
        )


def test_letters__by_hand():
    """The first differs from the last alone, and the second from nobody."""
    apart = np.zeros((3, 3), bool)
    apart[0, 2] = apart[2, 0] = True
    assert letters(apart) == ["a", "ab", "b"]
    assert letters(np.zeros((2, 2), bool)) == ["a", "a"]
    assert letters(~np.eye(3, dtype=bool)) == ["a", "b", "c"]
    assert letters(~np.eye(28, dtype=bool))[-3:] == ["z", "a2", "b2"]
    with pytest.raises(ShapeError, match="square"):
        letters(np.zeros((2, 3), bool))


def test_groups_by_leader__are_of_the_best_that_is_left():
    apart = np.zeros((4, 4), bool)
    for pair in ((0, 2), (0, 3), (2, 3)):
        apart[pair] = apart[pair[::-1]] = True
    assert groups_by_leader(apart).tolist() == [1, 1, 2, 3]
