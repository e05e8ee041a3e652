"""Pairs of encoders: the paired bootstrap against draws that are written out, and copies of one encoder."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.compare.pairs import encoder_pairs, holm
from core.errors import ShapeError


def slow_pair(first: list[bool], second: list[bool], units: list[int], resamples: int, seed: int) -> dict:
    """Draw units with all their images, one at a time, and average what is drawn, in whole numbers."""
    names = sorted(set(units))
    differences = []
    for number in range(resamples):
        drawn = np.random.default_rng([seed, number]).integers(0, len(names), len(names))
        images = [at for one in drawn for at, unit in enumerate(units) if unit == names[one]]
        differences.append(Fraction(sum(int(first[at]) - int(second[at]) for at in images), len(images)))
    low, high = np.percentile([float(one) for one in differences], [2.5, 97.5])
    seen = Fraction(sum(map(int, first)) - sum(map(int, second)), len(first))
    p = (1 + sum(abs(one - seen) >= abs(seen) for one in differences)) / (resamples + 1)
    return {"difference": float(seen), "low": low, "high": high, "p": p}


@pytest.mark.parametrize("n_units", [60, 25], ids=["images", "groups"])
def test_pair_table__matches_draws_written_out(rng, n_units):
    n, names = 60, ["a", "b", "c"]
    units = np.concatenate([np.arange(n_units), rng.integers(0, n_units, n - n_units)])
    correct = rng.random((3, n)) < np.array([0.8, 0.5, 0.6])[:, None]
    table = encoder_pairs(correct, names, units, resamples=150, seed=4)
    assert not table["few"].any() and len(table) == 3
    for row in table.to_dict("records"):
        first, second = (correct[names.index(str(row[name]))] for name in ("first", "second"))
        slow = slow_pair(first.tolist(), second.tolist(), units.tolist(), 150, 4)
        for name, value in slow.items():
            assert_allclose(row[name], value, rtol=1e-12, atol=1e-15, err_msg=name)
        assert row["n_apart"] == (first != second).sum()


def test_the_same_answers__have_p_1_and_few_units_are_not_judged(rng):
    right = rng.random(40) < 0.7
    other = right.copy()
    other[:7] = ~other[:7]
    table = encoder_pairs(
        np.stack([right, right, other]), ["a", "b", "c"], np.arange(40), resamples=200, seed=0
    )
    assert table["p"].tolist() == [1.0, 1.0, 1.0] and table["few"].all()
    assert table["n_apart"].tolist() == [0, 7, 7] and table["low"].isna().all()


def test_few_units__though_many_images():
    """Twenty images of two patients: what they show is what two patients show."""
    right = np.ones((2, 40), bool)
    right[1, :20] = False
    units = np.concatenate([np.repeat([0, 1], 10), np.arange(2, 22)])
    assert encoder_pairs(right, ["a", "b"], units, resamples=200, seed=0)["few"].all()


def test_many_encoders__get_as_many_draws_as_their_smallest_p_needs(rng):
    """Of 12 encoders there are 66 pairs: with 2,000 draws none could be told apart."""
    right = np.zeros((12, 60), bool)
    right[0] = True
    right[1:] = rng.random((11, 60)) < 0.2
    table = encoder_pairs(right, list("abcdefghijkl"), np.arange(60), resamples=100, seed=0)
    assert (holm(table["p"].to_numpy())[:11] <= 0.05).all()


def test_pair_table__wants_a_row_a_name():
    with pytest.raises(ShapeError, match="names"):
        encoder_pairs(np.ones((2, 3), bool), ["a"], np.arange(3), resamples=10, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(("n_encoders", "share_apart"), [(2, 0.05), (4, 0.3)])
def test_copies_of_one_encoder__are_told_apart_in_at_most_5_of_100_draws(n_encoders, share_apart):
    """Each image has a chance of its own to be answered rightly, the same in every copy."""
    told = 0
    for draw in range(100):
        rng = np.random.default_rng([70, n_encoders, draw])
        base = rng.random(400) < 0.7
        flips = rng.random((n_encoders, 400)) < share_apart / 2
        right = base ^ flips
        table = encoder_pairs(right, list("abcd")[:n_encoders], np.arange(400), resamples=2000, seed=draw)
        told += bool((holm(table["p"].to_numpy()) <= 0.05).any())
    assert told <= 5
