"""GEN, NNGuide, fDBD, SHE and ViM's residual against loops from their papers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.analysis import baseline_scores
from core.errors import ShapeError
from tests import reference_scores as reference

RTOL = 1e-8


@pytest.mark.parametrize("top", [100, 3])
def test_gen__matches_loop(rng, top):
    logits = 3.0 * rng.normal(size=(20, 7))
    assert_allclose(baseline_scores.gen(logits, top=top), reference.gen(logits, 0.1, top), rtol=RTOL)


def test_gen__by_hand_and_at_certainty():
    assert_allclose(baseline_scores.gen(np.zeros((1, 2))), [-2 * 0.25**0.1])
    assert baseline_scores.gen(np.array([[1000.0, 0.0]]))[0] == 0.0


def test_nnguide__matches_loop(rng):
    energy, others, cosine = rng.gamma(2.0, size=6), rng.gamma(2.0, size=30), rng.random((6, 30))
    pairs = [list(zip(others, row, strict=True)) for row in cosine]
    guidance = -np.sort(-others * cosine, axis=1)[:, :4]
    assert_allclose(baseline_scores.nnguide(energy, guidance), reference.nnguide(energy, pairs, 4), rtol=RTOL)


def test_nnguide__is_undefined_without_train_images():
    assert np.isnan(baseline_scores.nnguide(np.ones(1), np.array([[1.0, np.nan]]))).all()


def test_fdbd__matches_loop(rng):
    weights, bias, raw = rng.normal(size=(5, 8)), rng.normal(size=5), rng.gamma(0.5, size=(12, 8))
    mean = raw.mean(0)
    found = baseline_scores.fdbd(raw @ weights.T + bias, weights, raw, mean)
    assert_allclose(found, reference.fdbd(weights, bias, raw, mean), rtol=RTOL)


def test_fdbd__undefined_cases():
    weights = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # the first two classes cannot be told apart
    raw = np.array([[2.0, 0.0], [0.5, 0.5]])
    found = baseline_scores.fdbd(raw @ weights.T, weights, raw, np.array([0.5, 0.5]))
    assert_allclose(found[0], (2.0 / np.sqrt(2)) / np.hypot(1.5, 0.5))
    assert np.isnan(found[1])  # the mean itself


def test_she__matches_loop(rng):
    train, labels, right = rng.gamma(0.5, size=(30, 6)), rng.integers(0, 3, 30), rng.random(30) < 0.7
    right[labels == 2] = False  # a class without a correct image has no pattern
    patterns = np.full((3, 6), np.nan)
    for c in (0, 1):
        patterns[c] = train[(labels == c) & right].mean(0)
    raw, predicted = rng.gamma(0.5, size=(9, 6)), np.arange(9) % 3
    found = baseline_scores.she(raw, predicted, patterns)
    assert_allclose(found, reference.she(raw, predicted, train, labels, right), rtol=RTOL)
    assert np.isnan(found[2::3]).all()


@pytest.mark.parametrize("n_classes", [4, 12])  # more classes than features: W o = - b has no solution
def test_vim_residual__matches_loop(rng, n_classes):
    weights, bias = rng.normal(size=(n_classes, 8)), rng.normal(size=n_classes)
    train, raw = rng.gamma(0.5, size=(40, 8)), rng.gamma(0.5, size=(6, 8))
    origin = baseline_scores.vim_origin(weights, bias)
    outside = baseline_scores.outside_axes((train - origin).T @ (train - origin), kept=3)
    found = baseline_scores.vim_residual(raw, origin, outside)
    assert_allclose(found, reference.vim_residual(raw, weights, bias, train, 3), rtol=RTOL)


def test_lengths_must_agree():
    with pytest.raises(ShapeError, match="2.*logits.*3"):
        baseline_scores.fdbd(np.ones((3, 2)), np.ones((2, 4)), np.ones((2, 4)), np.ones(4))
