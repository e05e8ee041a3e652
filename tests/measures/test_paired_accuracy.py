"""Two answers on the same images: intervals and tests against slow twins from the formulas."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.measures.intervals import Z
from core.measures.paired_accuracy import accuracy_by_class, difference_interval, mcnemar, paired_accuracy


def wilson_bound(k: int, n: int, sign: int) -> float:
    """The share t on one side of k / n with |k / n - t| = z sqrt(t (1 - t) / n), by bisection."""
    p = k / n
    near, far = p, (1.0 if sign > 0 else 0.0)
    for _ in range(200):
        t = (near + far) / 2
        if abs(p - t) <= Z * math.sqrt(t * (1 - t) / n):
            near = t
        else:
            far = t
    return near


def slow_interval(e: int, f: int, g: int, h: int) -> tuple[float, float]:
    """Newcombe 1998, Statistics in Medicine 17, 2635-2650: method 10, of p_2 - p_1."""
    n = e + f + g + h
    p_1, p_2 = (e + f) / n, (e + g) / n
    product_ = (e + f) * (g + h) * (e + g) * (f + h)
    if product_ == 0:
        phi = 0.0
    elif e * h - f * g > n / 2:
        phi = (e * h - f * g - n / 2) / math.sqrt(product_)
    elif e * h - f * g >= 0:
        phi = 0.0
    else:
        phi = (e * h - f * g) / math.sqrt(product_)
    lower_1, upper_1 = p_1 - wilson_bound(e + f, n, -1), wilson_bound(e + f, n, 1) - p_1
    lower_2, upper_2 = p_2 - wilson_bound(e + g, n, -1), wilson_bound(e + g, n, 1) - p_2
    delta = math.sqrt(lower_2**2 - 2 * phi * lower_2 * upper_1 + upper_1**2)
    epsilon = math.sqrt(upper_2**2 - 2 * phi * upper_2 * lower_1 + lower_1**2)
    return p_2 - p_1 - delta, p_2 - p_1 + epsilon


@pytest.mark.parametrize(
    ("counts", "ends"),
    [
        ((36, 2, 12, 0), (0.0569, 0.3404)),
        ((20, 2, 12, 16), (0.0562, 0.3292)),
        ((0, 0, 0, 50), (-0.0713, 0.0713)),
    ],
)
def test_interval_of_the_paper(counts, ends):
    e, f, g, h = counts
    assert_allclose(difference_interval(e, f, g, e + f + g + h), ends, atol=5e-5)


def test_interval_matches_the_formula_for_every_small_table():
    tables = [one for one in product(range(0, 9, 2), repeat=4) if sum(one)]
    for e, f, g, h in [*tables, (536, 171, 33, 260), (1, 0, 0, 0)]:
        n = e + f + g + h
        low, high = difference_interval(e, f, g, n)
        assert_allclose((low, high), slow_interval(e, f, g, h), atol=1e-9)
        assert -1 - 1e-9 <= low < (g - f) / n < high <= 1 + 1e-9 or abs(g - f) == n
    assert np.isnan(difference_interval(0, 0, 0, 0)).all()


def test_mcnemar_counts_the_tables_that_are_as_uneven():
    for b, c in product(range(12), repeat=2):
        uneven = [k for k in range(b + c + 1) if abs(2 * k - (b + c)) >= abs(b - c)]
        p = sum(math.comb(b + c, k) for k in uneven) / 2 ** (b + c)
        assert mcnemar(b, c) == pytest.approx(p, rel=1e-12)


def test_images_without_one_of_the_verdicts_are_left_out():
    correct = np.array([[1, 1, 0, 0, np.nan, 1], [1, 0, 1, 0, 1, np.nan]])
    predicted = np.array([list("aabbaa"), list("abacaa")], object)
    pair = paired_accuracy(correct, predicted)
    assert (pair.n, pair.both_right, pair.only_first, pair.only_second, pair.both_wrong) == (4, 1, 1, 1, 1)
    assert pair.agreement == 0.25 and pair.p == 1.0 and pair.difference == 0.0 and pair.n_right == (2, 2)
    nothing = paired_accuracy(correct[:, 4:], predicted[:, 4:])
    assert nothing.n == 0 and np.isnan([nothing.difference, nothing.low, nothing.p, nothing.agreement]).all()


def test_classes_are_the_pairs_of_their_images(rng):
    correct = (rng.random((2, 60)) < 0.7).astype(float)
    correct[0, :3] = np.nan
    labels = np.array([*"abc"] * 20, object)
    labels[5] = None
    table = accuracy_by_class(correct, labels, ("x", "y")).set_index(["label", "study"])
    for label in "abc":
        here = correct[:, (labels == label) & np.isfinite(correct[0])]
        row = table.loc[(label, "y")]
        assert row["n"] == here.shape[1] and row["accuracy"] == here[1].mean()
        assert table.loc[(label, "x"), "accuracy"] == here[0].mean()
        cells = [
            int(((here[0] == one) & (here[1] == two)).sum()) for one, two in ((1, 1), (1, 0), (0, 1), (0, 0))
        ]
        assert_allclose([row["difference_low"], row["difference_high"]], slow_interval(*cells), atol=1e-9)
        assert_allclose(row["difference"], here[1].mean() - here[0].mean(), atol=1e-12)
