"""Covariances joined from parts against loops."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.analysis.principal_scores import Covariance
from core.common.moments import BLOCK_ROWS, Moments
from tests import reference_scores as reference

RTOL = 1e-9  # float64 sums in another order


def test_of_rows__matches_loop(rng):
    rows = rng.gamma(0.5, size=(17, 6)).astype(np.float32)
    covariance, (mean, expected) = Covariance.of_rows(rows), reference.covariance(rows)
    assert covariance.n == 17
    assert_allclose(covariance.mean, mean, rtol=RTOL)
    assert_allclose(covariance.matrix, expected, rtol=RTOL, atol=1e-15)


@pytest.mark.parametrize("statistics", [Covariance, Moments])
def test_of_rows__of_several_blocks_and_never_all_in_float64(rng, statistics):
    rows = (5.0 + rng.normal(size=(200 * BLOCK_ROWS + 3, 4))).astype(np.float32)  # far more than any buffer
    tracemalloc.start()
    found = statistics.of_rows(rows)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < rows.nbytes
    assert_allclose(found.mean, rows.mean(0, dtype=np.float64), rtol=RTOL)
    expected = np.cov(rows.T.astype(np.float64), ddof=0) * len(rows)
    scatter = found.scatter if isinstance(found, Covariance) else np.diag(found.m2)
    assert_allclose(np.diag(scatter), np.diag(expected), rtol=RTOL)
    if isinstance(found, Covariance):
        assert_allclose(scatter, expected, rtol=RTOL)


def test_merge__any_parts_give_the_same(rng):
    rows = 1000.0 + rng.normal(size=(50, 5))  # far from 0, where sums of squares would lose digits
    whole = Covariance.of_rows(rows)
    for cuts in ([1], [0, 50], [7, 8, 30]):
        covariance = Covariance.empty(5)
        for part in np.split(rows, cuts):
            covariance = covariance.merge(Covariance.of_rows(part))
        assert covariance.n == 50
        assert_allclose(covariance.mean, whole.mean, rtol=RTOL)
        assert_allclose(covariance.scatter, whole.scatter, rtol=1e-8, atol=1e-9)


def test_merge__does_not_depend_on_the_order(rng):
    a, b = rng.normal(size=(9, 4)), rng.normal(size=(20, 4))
    one = Covariance.of_rows(a).merge(Covariance.of_rows(b))
    other = Covariance.of_rows(b).merge(Covariance.of_rows(a))
    assert_allclose(one.scatter, other.scatter, rtol=RTOL, atol=1e-12)


def test_without_rows__is_undefined():
    nothing = Covariance.empty(3)
    assert np.isnan(nothing.matrix).all() and nothing.merge(nothing).n == 0
