"""Folds: stratified by class, and no unit of data in two of them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.analysis.folds import assign_folds, fewest_first, in_several
from core.errors import ShapeError


def test_filled_up__by_hand():
    counts, order = np.array([4, 1, 2]), np.array([2, 0, 1])
    # 1 is the emptiest; with two images it equals fold 2, which comes first in the order, and so on
    assert fewest_first(counts, 4, order).tolist() == [1, 2, 1, 2]
    assert fewest_first(counts, 0, order).tolist() == []


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_folds__hold_as_many_of_each_class_and_are_those_of_the_seed(rng, n_folds):
    codes = rng.integers(0, 7, 203)
    folds = assign_folds(codes, np.arange(203), n_folds, 3)
    for code in range(7):
        sizes = np.bincount(folds[codes == code], minlength=n_folds)
        assert sizes.max() - sizes.min() <= 1
    assert_array_equal(folds, assign_folds(codes, np.arange(203), n_folds, 3))
    assert (folds != assign_folds(codes, np.arange(203), n_folds, 4)).any()


def test_folds__never_part_a_unit_and_stay_near_even(rng):
    units = rng.integers(0, 90, 400)
    codes = np.where(rng.random(400) < 0.1, rng.integers(0, 5, 400), units % 5)
    folds = assign_folds(codes, units, 5, 0)
    for unit in np.unique(units):
        assert len(np.unique(folds[units == unit])) == 1
    table = np.array([np.bincount(folds[codes == code], minlength=5) for code in range(5)])
    assert table.min() > 0 and np.bincount(folds).max() < 1.3 * np.bincount(folds).min()


def test_folds__of_few_units_are_as_many_as_there_are_and_one_alone_is_in_none_other():
    codes = np.array([0, 0, 0, 0, 1, 1, 2, 3, 3])
    units = np.array([0, 0, 1, 2, 3, 4, 5, 6, 6])
    folds = assign_folds(codes, units, 5, 0)
    assert [len(np.unique(folds[codes == code])) for code in range(4)] == [3, 2, 1, 1]
    assert in_several(codes, folds).tolist() == [True] * 6 + [False] * 3


def test_folds__of_nothing_and_of_other_lengths():
    assert len(assign_folds(np.empty(0, int), np.empty(0, int), 5, 0)) == 0
    assert len(in_several(np.empty(0, int), np.empty(0, np.int8))) == 0
    with pytest.raises(ShapeError, match="units"):
        assign_folds(np.zeros(3, int), np.zeros(2, int), 5, 0)
