"""Implicit feature modification inside the methods: the same negatives as lightly's losses, harder logits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lightly.loss import NTXentLoss
from numpy.testing import assert_allclose
from torch import Tensor
from torch.nn.functional import normalize

from core.errors import SettingsError
from core.training.config import TrainConfig, from_dict
from core.training.methods.contrastive import HarderNTXent, nt_xent
from core.training.methods.registry import build_method
from tests.training import reference


def settings(method: str = "simclr", **objective: Any) -> TrainConfig:
    values = {"images": "", "output": "", "method": method, "temperature": 0.2}
    return from_dict({**values, "objective": {"queue": 10, **objective}})


def projections(n: int = 5, d: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))
    return first.requires_grad_(), second.requires_grad_()


def with_bank(criterion: NTXentLoss) -> NTXentLoss:
    bank = torch.randn(10, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    criterion.memory_bank.bank = normalize(bank, dim=1)
    return criterion


def test_nt_xent__is_lightlys_own_without_epsilon():
    assert type(nt_xent(settings())) is NTXentLoss
    assert type(nt_xent(settings(ifm_epsilon=0.1))) is HarderNTXent


@pytest.mark.parametrize("bank", [False, True], ids=["batch", "queue"])
def test_harder__alpha_zero_is_lightlys_loss_with_its_gradient(bank):
    options = {"memory_bank_size": (10, 6)} if bank else {}
    plain, harder = (
        nt_xent(settings(), **options),
        nt_xent(settings(ifm_epsilon=0.1, ifm_alpha=0.0), **options),
    )
    if bank:
        with_bank(plain), with_bank(harder)
    losses, gradients = [], []
    for criterion in (plain, harder):
        first, second = projections()
        loss = criterion(first, second)
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.stack([first.grad, second.grad]))
    assert_allclose(losses[0], losses[1], rtol=1e-12)
    assert_allclose(gradients[0], gradients[1], atol=1e-12)
    assert torch.equal(plain.memory_bank.bank, harder.memory_bank.bank)  # and both remember the same
    assert not bank or int(harder.memory_bank.bank_ptr) == 5


@pytest.mark.parametrize("alpha", [0.5, math.inf])
def test_harder__matches_loop_over_the_batch(alpha):
    first, second = projections()
    found = nt_xent(settings(ifm_epsilon=0.1, ifm_alpha=alpha))(first, second).item()
    units = [normalize(view.detach(), dim=1) for view in (first, second)]
    positive, negatives = [], []
    for own, other in (units, units[::-1]):
        for i in range(5):
            positive.append(float(own[i] @ other[i]))
            negatives.append([float(own[i] @ view[j]) for view in units for j in range(5) if j != i])
    plain = reference.info_nce(positive, negatives, 0.2)
    hard = reference.info_nce(positive, negatives, 0.2, 0.1)
    expected = hard if math.isinf(alpha) else (plain + alpha * hard) / (1 + alpha)
    assert_allclose(found, expected, rtol=1e-10)


def test_harder__negatives_of_the_queue_only():
    first, second = projections()
    criterion = with_bank(nt_xent(settings(ifm_epsilon=0.1), memory_bank_size=(10, 6)))
    bank = criterion.memory_bank.bank.clone()
    found = criterion(first, second).item()
    own, key = normalize(first.detach(), dim=1), normalize(second.detach(), dim=1)
    positive, negatives = (own * key).sum(1), own @ bank.T
    halves = [reference.info_nce(positive.tolist(), negatives.tolist(), 0.2, e) for e in (0.0, 0.1)]
    assert_allclose(found, sum(halves) / 2, rtol=1e-10)


@pytest.mark.parametrize("method", ["simclr", "moco"])
def test_methods__take_the_settings(method):
    def loss(**objective: Any) -> float:
        torch.manual_seed(0)
        backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 8), torch.nn.ReLU())
        built = build_method(method, backbone, 8, settings(method, **objective)).train()
        return built.loss(torch.randn(16, 3, 2, 2, generator=torch.Generator().manual_seed(1))).item()

    assert loss(ifm_epsilon=0.0, ifm_alpha=3.0) == loss()
    assert_allclose(loss(ifm_epsilon=1e-9), loss(), rtol=1e-5)
    assert loss(ifm_epsilon=0.1) > loss() + 0.05


@pytest.mark.parametrize("method", ["byol", "swav", "vicreg", "simsiam", "barlow", "dino"])
def test_config__needs_a_method_with_negatives(method):
    with pytest.raises(
        SettingsError, match=f"ifm_epsilon changes the logits of simclr and moco; {method} has none"
    ):
        settings(method, ifm_epsilon=0.1)
    with pytest.raises(SettingsError, match="objective.ifm_epsilon = -1.0 must be 0 or more"):
        settings(ifm_epsilon=-1.0)
