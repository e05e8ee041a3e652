"""The importance-weighted contrastive loss against a loop over the published sums."""

from __future__ import annotations

import math

import pytest
import torch
from numpy.testing import assert_allclose

from core.errors import SettingsError, ShapeError
from core.research.shortcuts_losses import hard_info_nce
from tests.research.test_ifm import similarities
from tests.training import reference
from tests.training.gradients import gradient_of


def loop(positive, negatives, temperature: float, beta: float, tau_plus: float) -> float:
    total = 0.0
    for s, others in zip(positive.tolist(), negatives.tolist(), strict=True):
        p = math.exp(s / temperature)
        n = [math.exp(o / temperature) for o in others if o != -math.inf]
        if not n:
            continue
        mean_weight = math.fsum(one**beta for one in n) / len(n)
        hard = math.fsum(one**beta * one for one in n) / mean_weight
        if tau_plus:
            hard = (hard - tau_plus * len(n) * p) / (1 - tau_plus)
            hard = max(hard, len(n) * math.exp(-1 / temperature))
        total -= math.log(p / (p + hard))
    return total / len(positive)


@pytest.mark.parametrize("tau_plus", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("beta", [0.0, 0.25, 1.0, 3.0])
@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_hard_info_nce__matches_loop(temperature, beta, tau_plus):
    positive, negatives = similarities()
    negatives[2, 3] = negatives[4, 0] = -math.inf
    loss = hard_info_nce(positive, negatives, temperature=temperature, beta=beta, tau_plus=tau_plus).item()
    assert_allclose(loss, loop(positive, negatives, temperature, beta, tau_plus), rtol=1e-10)


def test_hard_info_nce__the_least_sum_of_negatives_is_reached():
    """Where the correction takes away more than there is: K exp(-1 / t) stays."""
    positive, negatives = torch.ones(1, dtype=torch.float64), torch.full((1, 3), -1.0, dtype=torch.float64)
    loss = hard_info_nce(positive, negatives, temperature=0.5, beta=1.0, tau_plus=0.5).item()
    assert_allclose(loss, math.log(1 + 3 * math.exp(-2) / math.exp(2)), rtol=1e-10)


def test_hard_info_nce__beta_zero_is_plain_info_nce():
    positive, negatives = similarities()
    plain = reference.info_nce(positive.numpy(), negatives.numpy(), 0.5)
    assert_allclose(hard_info_nce(positive, negatives, beta=0.0).item(), plain, rtol=1e-12)


def test_hard_info_nce__by_hand_and_with_equal_negatives():
    positive, negatives = torch.ones(1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    expected = math.log(1 + math.exp(-2))
    assert_allclose(
        hard_info_nce(positive, negatives, temperature=0.5, beta=2.0).item(), expected, rtol=1e-12
    )
    equal = torch.full((1, 4), 0.3, dtype=torch.float64)  # weights change nothing
    losses = [hard_info_nce(positive, equal, beta=beta).item() for beta in (0.0, 5.0)]
    assert_allclose(losses[0], losses[1], rtol=1e-12)


def test_hard_info_nce__rises_with_beta_and_weighs_the_hardest_most():
    positive, negatives = similarities()
    losses = [hard_info_nce(positive, negatives, beta=beta).item() for beta in (0, 0.5, 1, 2, 50)]
    assert losses == sorted(losses) and losses[0] < losses[-1]
    hardest = negatives.max(1, keepdim=True).values.repeat(1, negatives.shape[1])
    assert_allclose(losses[-1], hard_info_nce(positive, hardest, beta=0.0).item(), rtol=1e-2)


def test_hard_info_nce__a_row_without_negatives_counts_zero():
    positive, negatives = similarities()
    assert hard_info_nce(positive, negatives[:, :0]).item() == 0
    gone = negatives.clone()
    gone[1:] = -math.inf
    gone.requires_grad_()
    loss = hard_info_nce(positive, gone, beta=1.0, tau_plus=0.1)
    one = hard_info_nce(positive[:1], negatives[:1], beta=1.0, tau_plus=0.1)
    assert_allclose(loss.item(), one.item() / len(positive), rtol=1e-12)
    loss.backward()
    assert torch.isfinite(gradient_of(gone)).all()


def test_hard_info_nce__does_not_overflow_and_has_the_right_gradient():
    positive, negatives = similarities()
    tiny = hard_info_nce(positive.float(), negatives.float(), temperature=0.01, beta=20.0)
    assert torch.isfinite(tiny)
    inputs = (positive[:3].clone().requires_grad_(), negatives[:3].clone().requires_grad_())
    for tau_plus in (0.0, 0.1):
        assert torch.autograd.gradcheck(
            lambda p, n, t=tau_plus: hard_info_nce(p, n, beta=0.7, tau_plus=t), inputs
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1.0}, "hard_beta = -1 must be 0 or more"),
        ({"tau_plus": 1.0}, "hard_tau_plus = 1 must be at least 0 and below 1"),
        ({"temperature": 0.0}, "temperature = 0 must be above 0"),
    ],
)
def test_hard_info_nce__refuses(options, message):
    with pytest.raises(SettingsError, match=message):
        hard_info_nce(*similarities(), **options)


def test_hard_info_nce__shapes():
    positive, negatives = similarities()
    with pytest.raises(ShapeError, match="5.*negatives.*6"):
        hard_info_nce(positive[1:], negatives)
