"""Which slices of a list show errors of their own, against the rule in plain sets."""

from __future__ import annotations

import numpy as np
import pytest

from core.measures.finder import distinct, varied


def loop(errors: list[set[int]], share: float) -> list[bool]:
    """The rule, one slice after the other."""
    shown: set[int] = set()
    marked = []
    for rows in errors:
        new = sum(row not in shown for row in rows)
        marked.append(bool(rows) and new >= share * len(rows))
        if marked[-1]:
            shown |= rows
    return marked


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n_images", [6, 60])
def test_distinct__matches_loop(rng, share, n_images):
    sizes = rng.integers(0, 12, 40)
    errors = [{*rng.integers(0, n_images, size).tolist()} for size in sizes]
    found = distinct([np.array(sorted(rows), np.int64) for rows in errors], share=share)
    assert found.tolist() == loop(errors, share)


def test_distinct__by_hand():
    first, nested, half, empty = np.arange(6), np.arange(3), np.array([4, 5, 6, 7]), np.arange(0)
    assert distinct([first, nested, half, empty]).tolist() == [True, False, True, False]
    assert distinct([nested, first, half]).tolist() == [True, True, True]  # the order counts
    assert distinct([]).tolist() == []


def test_varied__errors_first_and_new_ones_before_those_shown_above():
    wrong, right = np.array([3, 1, 2]), np.array([9, 8])
    assert varied(wrong, right, {3}, 2) == [1, 2]
    assert varied(wrong, right, {3}, 4) == [1, 2, 3, 9]
    assert varied(wrong, right, {3, 1, 2, 9, 8}, 9) == [3, 1, 2, 9, 8]
