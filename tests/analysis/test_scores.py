"""Q-Score and its label-free rivals against loops, by hand, and where undefined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp, softmax

from core.analysis import scores
from core.analysis.definitions import normalise_rows
from core.errors import ShapeError
from tests import reference

RTOL = 1e-9  # float64 sums in another order


@pytest.mark.parametrize("eps", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("shape", [(1, 3), (7, 16), (33, 512)], ids=str)
def test_q_score__matches_loop(rng, shape, eps):
    h, d = rng.gamma(0.3, size=shape), rng.random(shape[1]) < 0.5
    assert_allclose(scores.q_score(h, d, epsilon=eps), reference.q_score(h, d, eps), rtol=RTOL)


def test_q_score__by_hand():
    # mean 0.2, std 0.4: at eps 1 only the first feature fires, 0.8 above the mean
    h = np.array([[1.0, 0.0, 0.0, 0.0, 0.0]])
    assert_allclose(scores.q_score(h, np.array([1, 1, 0, 0, 0], bool), epsilon=1.0), [0.8])


def test_q_score__zero_where_nothing_discriminative_fires():
    h = np.array([[1.0, 0.0, 0.0, 0.0, 0.0], [0.0] * 5, [0.4] * 5])
    found = scores.q_score(h, np.array([0, 1, 1, 1, 1], bool), epsilon=1.0)
    assert found.dtype == torch.float64
    assert_array_equal(found, [0.0, 0.0, 0.0])


def test_q_score__scales_with_h_and_ignores_feature_order(rng):
    h, d = rng.gamma(0.3, size=(12, 40)), rng.random(40) < 0.5
    first = scores.q_score(h, d, epsilon=1.0)
    assert_allclose(scores.q_score(7.0 * h, d, epsilon=1.0), 7.0 * first, rtol=RTOL)
    order = rng.permutation(40)
    assert_allclose(scores.q_score(h[:, order], d[order], epsilon=1.0), first, rtol=RTOL)


def test_q_score__gradient_is_that_of_the_chosen_mean(rng):
    raw = torch.from_numpy(rng.gamma(0.3, size=(4, 30))).requires_grad_()
    d = torch.from_numpy(rng.random(30) < 0.5)
    assert torch.autograd.gradcheck(lambda x: scores.q_score(normalise_rows(x), d, epsilon=1.0), raw)
    scores.q_score(normalise_rows(raw), d, epsilon=1.0).sum().backward()
    assert raw.grad is not None and float(raw.grad.abs().max()) > 0


def test_q_score__lengths_must_agree():
    with pytest.raises(ShapeError, match="4.*discriminative.*3"):
        scores.q_score(np.ones((2, 4)), np.ones(3, bool))


def test_near_zero_share__matches_loop(rng):
    raw = np.maximum(rng.normal(size=(6, 50)), 0)
    raw[0] = 0
    found = scores.near_zero_share(raw, threshold=0.3)
    assert_allclose(found, reference.near_zero_share(raw, 0.3), rtol=RTOL)
    assert found[0] == 1.0


def test_probe_scores__equal_scipy(rng):
    logits = rng.normal(size=(8, 5)) * 10
    probability = np.sort(softmax(logits, axis=1), axis=1)
    assert_allclose(scores.confidence(logits), probability[:, -1], rtol=RTOL)
    assert_allclose(scores.margin(logits), probability[:, -1] - probability[:, -2], rtol=RTOL)
    assert_allclose(scores.energy(logits), logsumexp(logits, axis=1), rtol=RTOL)
