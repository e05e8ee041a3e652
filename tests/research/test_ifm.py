from __future__ import annotations

import math

import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import cross_entropy, normalize

from core.errors import SettingsError, ShapeError
from core.research.shortcuts_losses import ifm_info_nce, mixed_info_nce
from tests.training import reference


def similarities(n: int = 6, k: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    anchors, others, memory = (
        normalize(torch.randn(size, 5, generator=generator, dtype=torch.float64), dim=1) for size in (n, n, k)
    )
    return (anchors * others).sum(1), anchors @ memory.T


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
def test_ifm_info_nce__matches_loop(temperature, epsilon, alpha):
    positive, negatives = similarities()
    plain = reference.info_nce(positive.numpy(), negatives.numpy(), temperature)
    hard = reference.info_nce(positive.numpy(), negatives.numpy(), temperature, epsilon)
    loss = ifm_info_nce(positive, negatives, temperature=temperature, epsilon=epsilon, alpha=alpha)
    assert_allclose(loss.item(), (plain + alpha * hard) / (1 + alpha), rtol=1e-12)


def test_ifm_info_nce__without_perturbation_is_plain_info_nce():
    positive, negatives = similarities()
    logits = torch.cat([positive[:, None], negatives], 1) / 0.2
    plain = cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long)).item()
    assert_allclose(ifm_info_nce(positive, negatives, epsilon=0.0).item(), plain, rtol=1e-12)
    assert_allclose(ifm_info_nce(positive, negatives, alpha=0.0).item(), plain, rtol=1e-12)
    assert ifm_info_nce(positive, negatives).item() > plain  # the perturbed half is harder


def test_ifm_info_nce__perturbed_half_is_the_worst_move_of_the_features():
    generator = torch.Generator().manual_seed(1)
    anchor, positive, *memory = normalize(torch.randn(5, 4, generator=generator, dtype=torch.float64), dim=1)
    negatives = torch.stack(memory)
    harder = ifm_info_nce(
        (anchor @ positive)[None], (negatives @ anchor)[None], epsilon=0.1, alpha=math.inf
    ).item()

    def loss(moves: torch.Tensor) -> float:
        moves = 0.1 * normalize(moves, dim=1)
        return ifm_info_nce(
            (anchor @ (positive + moves[0]))[None], ((negatives + moves[1:]) @ anchor)[None], epsilon=0.0
        ).item()

    along = anchor * torch.tensor([-1.0, 1, 1, 1], dtype=torch.float64)[:, None]
    assert_allclose(loss(along), harder, rtol=1e-12)
    tried = [loss(torch.randn(4, 4, generator=generator, dtype=torch.float64)) for _ in range(200)]
    assert max(tried) < harder


def test_ifm_info_nce__by_hand():
    positive, negatives = torch.ones(1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    expected = (math.log(1 + math.exp(-5)) + math.log(1 + math.exp(-4))) / 2
    assert_allclose(ifm_info_nce(positive, negatives).item(), expected, rtol=1e-6)
    assert ifm_info_nce(positive, negatives[:, :0]).item() == 0


def test_ifm_info_nce__minus_infinity_leaves_a_negative_out():
    positive, negatives = similarities()
    masked = negatives.clone()
    masked[:, 4] = -math.inf
    others = torch.cat([negatives[:, :4], negatives[:, 5:]], 1)
    assert_allclose(ifm_info_nce(positive, masked).item(), ifm_info_nce(positive, others).item(), rtol=1e-12)


def test_mixed_info_nce__mixes_two_losses_and_leaves_out_a_row_without_direction():
    positive, negatives = similarities()
    moved = positive - 0.2, negatives + 0.1
    halves = [
        reference.info_nce(near.numpy(), far.numpy(), 0.5) for near, far in ((positive, negatives), moved)
    ]
    options = {"temperature": 0.5, "alpha": 2.0}
    loss = mixed_info_nce((positive, negatives), moved, **options).item()
    assert_allclose(loss, (halves[0] + 2 * halves[1]) / 3, rtol=1e-12)
    gone = moved[0].clone()
    gone[2] = -math.inf
    rest = [row for row in range(len(gone)) if row != 2]
    harder = reference.info_nce(moved[0][rest].numpy(), moved[1][rest].numpy(), 0.5)
    loss = mixed_info_nce((positive, negatives), (gone, moved[1]), **options).item()
    assert_allclose(loss, (halves[0] + 2 * harder) / 3, rtol=1e-12)
    assert mixed_info_nce((positive, negatives[:, :0]), (positive, negatives[:, :0]), **options).item() == 0


def test_ifm_info_nce__gradient_is_numerically_right():
    positive, negatives = similarities(3, 4)
    inputs = (positive.requires_grad_(), negatives.requires_grad_())
    assert torch.autograd.gradcheck(ifm_info_nce, inputs)


def test_ifm_info_nce__errors():
    positive, negatives = similarities()
    with pytest.raises(ShapeError, match="5.*negatives.*6"):
        ifm_info_nce(positive[1:], negatives)
    with pytest.raises(ShapeError, match="negatives"):
        ifm_info_nce(positive, negatives[0])
    with pytest.raises(SettingsError, match="temperature.*0.*0"):
        ifm_info_nce(positive, negatives, temperature=0.0)
    for name in ("alpha", "epsilon"):
        with pytest.raises(SettingsError, match=f"{name} = -1 must be 0 or more"):
            ifm_info_nce(positive, negatives, **{name: -1.0})
