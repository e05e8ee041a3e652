from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from core.analysis.definitions import highly_activating, normalise_rows
from core.analysis.scores import q_score
from core.errors import SettingsError, ShapeError
from core.training.config import READINGS
from core.training.losses import large_norms, lasso, q_regularizer, q_reward
from tests.training import reference

EXACT: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-15}  # both in float64; sums in another order


def batch(rng: np.random.Generator, n: int = 24, n_features: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Sparse rows with peaks of various heights, some of them outside D, and D itself."""
    raw = rng.gamma(0.3, size=(n, n_features)) * 0.1
    raw[np.arange(n), rng.integers(0, n_features, n)] += rng.uniform(0.5, 3, n)
    return torch.from_numpy(raw), torch.from_numpy(rng.random(n_features) < 0.6)


def half_empty(n: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as at epsilon 4: on half of them no feature of D fires; the others have almost the same Q."""
    raw = torch.full((n, 10), 0.1, dtype=torch.float64)
    for i in range(n):
        raw[i, i % 4 + (5 if i % 2 else 0)] = 2.0 + 0.1 * i
    return raw, torch.arange(10) < 5  # the peaks of odd rows lie outside D


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0, 4.0])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 3), (5, 1), (24, 40), (33, 128)], ids=str)
def test_q_regularizer__matches_loop(rng, shape, epsilon, reading):
    for dead in (False, True):
        raw, d = batch(rng, *shape)
        if dead:
            raw[rng.integers(0, shape[0])] = 0  # a zero row
            raw[:, rng.integers(0, shape[1])] = 0  # a dead feature
            raw[-1] = raw[0]  # a tie
        expected = reference.q_regularizer(raw.numpy(), d.numpy(), epsilon, 0.7, 0.3, reading)
        term = q_regularizer(raw, d, epsilon=epsilon, lambda1=0.7, lambda2=0.3, reading=reading)
        assert term.shape == () and term.dtype == torch.float64
        assert_allclose(term.item(), expected, **EXACT)


def test_q_reward__acts_where_half_of_the_rows_are_empty():
    """With empty rows as Q = 0 in alpha, as in the first version, no row was rewarded here."""
    raw, d = half_empty()
    raw.requires_grad_()
    scores = q_score(normalise_rows(raw.detach()), d, epsilon=2.0)
    scored = torch.arange(8) % 2 == 0
    assert torch.equal(scores > 0, scored) and scores[scored].min() > scores.mean()
    reward = q_reward(raw, d, epsilon=2.0)
    assert torch.equal(reward.scored, scored)
    assert torch.equal(reward.rewarded, scored & (scores < scores[scored].mean()))
    term = q_regularizer(raw, d, epsilon=2.0, lambda1=1.0, lambda2=0.0)
    (gradient,) = torch.autograd.grad(term, raw)
    assert torch.equal(gradient.abs().amax(1) > 1e-3, reward.rewarded) and reward.rewarded.sum() == 2
    assert_allclose(term.item(), -scores[reward.rewarded].sum())


def test_q_reward__is_zero_where_no_row_is_below_the_mean():
    raw, d = half_empty()
    for rows, n_scored in ((raw[:1], 1), (raw[1::2], 0), (raw[[0, 0, 0, 1]], 3), (0 * raw, 0)):
        reward = q_reward(rows, d, epsilon=2.0)
        assert reward.total.item() == 0 and not reward.rewarded.any() and reward.scored.sum() == n_scored


def test_q_reward__empty_rows_change_nothing(rng):
    raw, d = batch(rng)
    more = torch.cat([raw, torch.zeros(5, 40), torch.ones(3, 40), (~d).double().expand(4, 40)])
    few, many = (q_reward(rows, d, epsilon=2.0) for rows in (raw, more))
    assert_allclose(many.total.item(), few.total.item(), rtol=1e-12)
    assert torch.equal(many.rewarded[:24], few.rewarded) and not many.rewarded[24:].any()


def test_q_regularizer__readings_by_hand():
    raw, d = half_empty()
    reward, norms = q_reward(raw, d, epsilon=2.0).total.item(), large_norms(raw).item()
    for reading, expected in (
        ("sum", -2 * reward + 3 * norms),
        ("printed", -2 * reward / 8 + 3 * norms),
        ("mean", (-2 * reward + 3 * norms) / 8),
    ):
        term = q_regularizer(raw, d, epsilon=2.0, lambda1=2.0, lambda2=3.0, reading=reading)
        assert_allclose(term.item(), expected, **EXACT)
    with pytest.raises(SettingsError, match="'median'"):
        q_regularizer(raw, d, reading="median")


def test_q_regularizer__by_hand():
    # Rows (3, 4, 0, 0, 0) / 5 and (0, 0, 5, 0, 12) / 13; D = {1, 2}; epsilon 1.
    # Row 1: mean 0.28, sd 0.349, fires feature 1 alone, Q = 0.8 - 0.28 = 0.52. Row 2: mean 17/65, sd 0.363,
    # only feature 4 fires, which is not in D: it has no Q. alpha = 0.52, so no row lies below it.
    # Column norms 0.6 0.8 5/13 0 12/13, their mean 0.542: features 0, 1 and 4 are large.
    raw = torch.tensor([[3.0, 4, 0, 0, 0], [0, 0, 5, 0, 12]])
    d = torch.tensor([False, True, True, False, False])
    assert_allclose(q_score(normalise_rows(raw.double()), d, epsilon=1.0), [0.52, 0])
    second = q_regularizer(raw, d, epsilon=1.0, lambda1=0.0, lambda2=1.0)
    assert_allclose(second.item(), 0.6 + 0.8 + 12 / 13)
    assert q_regularizer(raw, d, epsilon=1.0, lambda1=1.0, lambda2=0.0).item() == 0
    # With feature 4 in D, row 2 scores 12/13 - 17/65 = 0.6615, alpha 0.591, and row 1 is the low one.
    d[4] = True
    first = q_regularizer(raw, d, epsilon=1.0, lambda1=1.0, lambda2=0.0)
    assert_allclose(first.item(), -0.52)
    printed = q_regularizer(raw, d, epsilon=1.0, lambda1=1.0, lambda2=0.0, reading="printed")
    assert_allclose(printed.item(), -0.52 / 2)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (0.4, 0.8)], ids=str)
def test_q_regularizer__gradient_is_numerically_right(rng, weights, reading):
    raw, d = batch(rng, 10, 16)
    raw += 0.01  # away from the kink of |h| at 0
    d[:] = True
    raw.requires_grad_()

    def value(x: torch.Tensor) -> torch.Tensor:
        return q_regularizer(x, d, epsilon=1.0, lambda1=weights[0], lambda2=weights[1], reading=reading)

    assert torch.autograd.gradcheck(value, (raw,), eps=1e-7)
    assert torch.autograd.grad(value(raw), raw)[0].abs().max() > 1e-4  # else there was nothing to check


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("epsilon", [0.5, 2.0, 4.0])
@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0), (0.4, 0.8)], ids=str)
def test_q_regularizer__gradient_matches_loop(rng, weights: tuple[float, float], epsilon, reading):
    raw, d = batch(rng)
    raw.requires_grad_()
    lambda1, lambda2 = weights
    value = q_regularizer(raw, d, epsilon=epsilon, lambda1=lambda1, lambda2=lambda2, reading=reading)
    (gradient,) = torch.autograd.grad(value, raw)
    expected = reference.q_regularizer_gradient(raw.detach().numpy(), d.numpy(), epsilon, *weights, reading)
    assert_allclose(gradient, expected, rtol=1e-9, atol=1e-14)
    assert np.abs(expected).max() > 1e-4


def test_q_regularizer__first_term_moves_low_rows_only(rng):
    raw, d = batch(rng)
    raw.requires_grad_()
    h = normalise_rows(raw.detach())
    scores = q_score(h, d, epsilon=2.0)
    scored = (highly_activating(h, epsilon=2.0) & d).any(1)
    moved = scored & (scores < scores[scored].mean())
    assert 0 < scored.sum() < len(raw)
    (gradient,) = torch.autograd.grad(q_regularizer(raw, d, epsilon=2.0, lambda1=1.0, lambda2=0.0), raw)
    assert 0 < moved.sum() < len(raw)
    assert torch.equal(gradient.abs().amax(1) > 0, moved)
    raised = q_score(normalise_rows(raw.detach() - 0.01 * gradient / gradient.abs().max()), d, epsilon=2.0)
    assert (raised - scores)[moved].min() > 0


def test_q_regularizer__second_term_is_the_norm_of_active_columns(rng):
    raw, d = batch(rng)
    h = normalise_rows(raw).requires_grad_()  # unit rows: only the tangential part of the gradient is left
    norms = h.abs().sum(0)
    (gradient,) = torch.autograd.grad(q_regularizer(h, d, lambda1=0.0, lambda2=1.0), h)
    push = torch.where(norms > norms.mean(), h.sign(), torch.zeros_like(h)).detach()
    expected = push - (push * h).sum(1, keepdim=True) * h
    assert_allclose(gradient, expected.detach(), atol=1e-12)


def test_q_regularizer__ignores_row_order_and_scale(rng):
    raw, d = batch(rng)
    value = q_regularizer(raw, d, epsilon=2.0).item()
    scaled = raw[torch.randperm(len(raw))] * torch.rand(len(raw), 1, dtype=torch.float64).add(0.1)
    assert_allclose(q_regularizer(scaled, d, epsilon=2.0).item(), value, rtol=1e-12)


@pytest.mark.parametrize("raw", [torch.zeros(4, 8), torch.full((4, 8), 2.0)], ids=["zero", "flat"])
def test_q_regularizer__rows_without_structure_pull_nowhere(raw):
    raw = raw.clone().requires_grad_()
    value = q_regularizer(raw, torch.ones(8, dtype=torch.bool), lambda1=1.0, lambda2=1.0)
    value.backward()
    assert value.item() == 0  # nothing fires, and no column is above the mean of all
    assert torch.equal(raw.grad, torch.zeros(4, 8))  # type: ignore[arg-type]


def test_q_regularizer__one_zero_row_leaves_the_gradient_finite(rng):
    raw, d = batch(rng)
    raw[3] = 0
    raw.requires_grad_()
    (q_regularizer(raw, d, epsilon=2.0) + lasso(raw, weight=1.0)).backward()
    assert torch.isfinite(raw.grad).all() and raw.grad[3].abs().max() == 0  # type: ignore[union-attr, index]


def test_q_regularizer__half_precision_is_normalised_in_float64(rng):
    raw, d = batch(rng)
    half = raw.bfloat16()
    term = q_regularizer(half, d, epsilon=2.0, lambda1=1.0, lambda2=1.0)
    expected = reference.q_regularizer(half.double().numpy(), d.numpy(), 2.0, 1.0, 1.0)
    assert_allclose(term.item(), expected, **EXACT)


def test_q_regularizer__wrong_shapes(rng):
    raw, d = batch(rng)
    with pytest.raises(ShapeError, match="40.*discriminative.*39"):
        q_regularizer(raw, d[1:])
    with pytest.raises(ShapeError, match=".40.*expected"):
        q_regularizer(raw[0], d)
    with pytest.raises(ShapeError, match=".n_images.*n_features"):
        lasso(raw[0], weight=1.0)


def test_lasso__matches_loop_and_hand(rng):
    raw, _ = batch(rng)
    assert_allclose(lasso(raw, weight=0.3).item(), reference.lasso(raw.numpy(), 0.3), **EXACT)
    assert_allclose(lasso(torch.tensor([[3.0, -4.0], [0.0, 2.0]]), weight=2.0).item(), 1.4 + 1.0)


def test_lasso__gradient_is_numerically_right(rng):
    raw = (batch(rng, 6, 9)[0] + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: lasso(x, weight=1.0), (raw,))
