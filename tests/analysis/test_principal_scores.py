"""Scores from principal components against projections one axis after another."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.analysis.principal_scores import (
    Covariance,
    Principal,
    axes_of_covariance,
    components_for,
    pca_residual,
    whitened_norm,
)
from core.errors import ShapeError
from tests import reference_scores as reference

RTOL = 1e-8  # an eigen decomposition against an SVD


def axes_of(train: np.ndarray) -> Principal:
    return axes_of_covariance(Covariance.of_rows(train))


@pytest.mark.parametrize("shape", [(40, 12), (8, 20)], ids=str)  # also fewer images than features
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_pca_residual__matches_loop(rng, shape, share):
    train, rows = rng.gamma(0.5, size=shape), rng.gamma(0.5, size=(11, shape[1]))
    found = pca_residual(rows, axes_of(train), share=share)
    assert_allclose(found, reference.pca_residual(rows, train, share), rtol=RTOL, atol=1e-12)
    assert ((found >= 0) & (found <= 1)).all()


@pytest.mark.parametrize("k", [1, 9])
def test_whitened_norm__matches_loop(rng, k):
    train, rows = rng.gamma(0.5, size=(40, 12)), rng.gamma(0.5, size=(11, 12))
    found = whitened_norm(rows, axes_of(train), k=k)
    assert_allclose(found, reference.whitened_norm(rows, train, k), rtol=RTOL)


def test_whitened_norm__has_mean_square_k_on_train(rng):
    train = rng.gamma(0.5, size=(50, 15))
    assert_allclose(np.square(whitened_norm(train, axes_of(train))).mean(), 9.0, rtol=RTOL)


def test_by_hand():
    # variance 8 along the first axis, 2 along the second: one component has 80 %, both have all
    train = np.array([[4.0, 0.0], [-4.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    axes = axes_of(train)
    assert_allclose(axes.variance, [8.0, 2.0])
    assert components_for(axes.variance, 0.8) == 1 and components_for(axes.variance, 0.81) == 2
    assert_allclose(pca_residual(np.array([[3.0, 4.0]]), axes, share=0.8), [16 / 25])
    assert_allclose(whitened_norm(np.array([[4.0, 2.0]]), axes), [2.0])


def test_nothing_varies__is_undefined():
    axes = axes_of(np.ones((5, 3)))
    rows = np.ones((2, 3))
    assert len(axes.variance) == 0 == components_for(axes.variance)
    for score in (pca_residual, whitened_norm):
        assert np.isnan(score(rows, axes)).all()
    assert np.isnan(pca_residual(np.zeros((1, 2)), axes_of(np.array([[1.0, 0.0], [-1.0, 0.0]])))).all()


def test_lengths_must_agree(rng):
    with pytest.raises(ShapeError, match="4.*features.*3"):
        pca_residual(np.ones((2, 4)), axes_of(rng.normal(size=(9, 3))))
