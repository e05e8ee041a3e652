"""Which of several candidates is taken: against a loop twin, by hand, and where nothing can decide."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from core.measures.choice import LEVEL, choose, deciding_rows
from tests import reference


@pytest.mark.parametrize("shape", [(2, 0), (2, 1), (3, 40), (7, 200)], ids=str)
def test_choose__matches_loop(rng, shape):
    for _ in range(20):
        right = rng.random(shape) < rng.uniform(0.2, 0.9, (shape[0], 1))
        choice = choose(right)
        taken, p = reference.chosen(right, LEVEL)
        assert choice.taken == taken and choice.n == shape[1]
        np.testing.assert_allclose(choice.p, p, rtol=1e-9)
        assert choice.n_right == tuple(right.sum(1).tolist())


def test_choose__takes_another_candidate_only_beyond_doubt():
    """12 images on which one alone is right: p = 2 / 2^12 = .00049; of three candidates twice that."""
    right = np.zeros((2, 40), bool)
    right[0, :20], right[1, :32] = True, True
    choice = choose(right)
    assert choice.taken == 1 and choice.p[1] == pytest.approx(2 / 2**12)
    assert choice.p[1] == pytest.approx(binomtest(12, 12).pvalue)
    assert choose(np.stack([*right, right[0]])).taken == 1  # .00098
    assert choose(np.stack([*right, right[0], right[0]])).taken == 0  # .0015
    assert choose(right[:, :31]).taken == 1 and choose(right[:, :30]).taken == 0
    assert choose(right[::-1]).taken == 0  # behind


def test_choose__of_groups_is_that_of_one_image_each():
    """40 copies of one photograph decide as little as it alone; of 12 groups the same as 12 images."""
    right = np.zeros((2, 40), bool)
    right[0, :20], right[1, :32] = True, True
    assert choose(right, groups=np.arange(40)) == choose(right)
    copied = np.repeat(right, 5, axis=1)
    of_copies = choose(copied, groups=np.repeat(np.arange(40), 5))
    assert of_copies.taken == 1 and choose(copied).p[1] < 1e-9 < of_copies.p[1] <= 2 * choose(right).p[1]
    one = choose(np.repeat(right[:, 25:26], 40, axis=1), groups=np.zeros(40, int))
    assert (one.taken, one.p[1]) == (0, 1.0)
    assert one.n_right == (0, 40)


def test_choose__says_both_numbers_and_the_others():
    right = np.zeros((3, 40), bool)
    right[0, :10], right[1, :30], right[2, :20] = True, True, True
    record = choose(right).record("order", ["a", "b", "c"])
    assert (record.kind, record.what, record.n, record.of) == ("by_labels", "b", 30, 40)
    assert (record.value, record.chance, record.names) == (0.75, 0.25, ("a", "c"))
    assert [(part.what, part.n) for part in record.parts] == [("a", 10), ("c", 20)]
    stays = choose(right[[1, 0]]).record("order", ["b", "a"])
    assert (stays.kind, stays.what, stays.value, stays.chance) == ("documented", "b", 0.75, 0.75)
    nothing = choose(np.zeros((2, 0), bool)).record("order", ["a", "b"])
    assert (nothing.kind, nothing.what, nothing.names) == ("untried", "a", ("b",))


def test_deciding_rows__training_labels_come_first():
    labelled, is_val = np.array([1, 1, 0, 1], bool), np.array([0, 1, 0, 1], bool)
    assert deciding_rows(labelled, is_val).tolist() == [0]
    assert deciding_rows(labelled, np.array([1, 1, 0, 1], bool)).tolist() == [0, 1, 3]
    assert deciding_rows(np.zeros(4, bool), is_val).tolist() == []
