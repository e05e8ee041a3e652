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
from core.research.shortcuts_harder import HarderNTXent
from core.training.config import TrainConfig, from_dict
from core.training.methods import build_method, nt_xent
from tests.training import reference
from tests.training.gradients import gradient_of


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
        with_bank(plain)
        with_bank(harder)
    losses, gradients = [], []
    for criterion in (plain, harder):
        first, second = projections()
        loss = criterion(first, second)
        loss.backward()
        losses.append(loss.item())
        gradients.append(torch.stack([gradient_of(first), gradient_of(second)]))
    assert_allclose(losses[0], losses[1], rtol=1e-12)
    assert_allclose(gradients[0], gradients[1], atol=1e-12)
    assert torch.equal(plain.memory_bank.bank, harder.memory_bank.bank)  # and both remember the same
    assert not bank or int(harder.memory_bank.bank_ptr) == 5


@pytest.mark.parametrize("alpha", [0.5, math.inf])
def test_harder__matches_loop_over_the_batch(alpha):
    first, second = projections()
    loss = nt_xent(settings(ifm_epsilon=0.1, ifm_alpha=alpha))(first, second).item()
    units = [normalize(view.detach(), dim=1) for view in (first, second)]
    positive, negatives = [], []
    for anchors, other in (units, units[::-1]):
        for i in range(5):
            positive.append(float(anchors[i] @ other[i]))
            negatives.append([float(anchors[i] @ view[j]) for view in units for j in range(5) if j != i])
    plain = reference.info_nce(positive, negatives, 0.2)
    hard = reference.info_nce(positive, negatives, 0.2, 0.1)
    expected = hard if math.isinf(alpha) else (plain + alpha * hard) / (1 + alpha)
    assert_allclose(loss, expected, rtol=1e-10)


def test_harder__negatives_of_the_queue_only():
    first, second = projections()
    criterion = with_bank(nt_xent(settings(ifm_epsilon=0.1), memory_bank_size=(10, 6)))
    bank = criterion.memory_bank.bank.clone()
    loss = criterion(first, second).item()
    anchors, key = normalize(first.detach(), dim=1), normalize(second.detach(), dim=1)
    positive, negatives = (anchors * key).sum(1), anchors @ bank.T
    halves = [reference.info_nce(positive.tolist(), negatives.tolist(), 0.2, e) for e in (0.0, 0.1)]
    assert_allclose(loss, sum(halves) / 2, rtol=1e-10)


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
    with pytest.raises(SettingsError, match="objective.ifm_epsilon.*-1.0.*0"):
        settings(ifm_epsilon=-1.0)


def explicit(first: Tensor, second: Tensor, **objective: Any) -> float:
    """The loss of a batch from cosines of points that are built one by one, negatives towards the anchor."""
    from core.research.shortcuts_losses import renormalised_cosines, turned_cosines

    build = {"norm": renormalised_cosines, "pre_norm": turned_cosines}[objective["ifm_variant"]]
    views, losses = [first.detach(), second.detach()], []
    for anchors, other in (views, views[::-1]):
        for i in range(len(anchors)):
            rest = torch.cat([view[torch.arange(len(view)) != i] for view in views])
            cosines = [
                (
                    build(anchors[i : i + 1], other[i : i + 1], epsilon=-e)[0].item(),
                    build(anchors[i : i + 1], rest, epsilon=e)[0][0].tolist(),
                )
                for e in (0.0, objective["ifm_epsilon"])
            ]
            losses.append(sum(reference.info_nce([p], [n], 0.2) for p, n in cosines) / 2)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("variant", ["norm", "pre_norm"])
def test_variants__match_a_loop_over_the_batch(variant):
    first, second = projections()
    objective = {"ifm_epsilon": 0.3, "ifm_variant": variant}
    criterion = nt_xent(settings(**objective))
    assert_allclose(criterion(first, second).item(), explicit(first, second, **objective), rtol=1e-9)
    assert isinstance(criterion, HarderNTXent)
    facts = criterion.facts()
    assert facts["ifm_undefined"] == 0 and ("ifm_length" in facts) == (variant == "pre_norm")
    if variant == "pre_norm":
        assert_allclose(facts["ifm_length"], second.detach().norm(dim=1).mean().item(), rtol=1e-5)
        stepped = nt_xent(settings(**objective, ifm_steps=200))(first, second).item()
        assert_allclose(stepped, explicit(first, second, **objective), atol=2e-3)
        relative = nt_xent(settings(**objective, ifm_relative=True))(first, second).item()
        assert abs(relative - stepped) > 0.01


def test_variants__an_embedding_without_length_is_left_out_and_counted():
    first, second = projections()
    with torch.no_grad():
        second[1] = 0
    for variant in ("norm", "pre_norm"):
        criterion = nt_xent(settings(ifm_epsilon=0.3, ifm_variant=variant))
        loss = criterion(first, second)
        loss.backward()
        assert isinstance(criterion, HarderNTXent) and torch.isfinite(loss)
        assert torch.isfinite(gradient_of(first)).all() and torch.isfinite(gradient_of(second)).all()
        assert criterion.facts()["ifm_undefined"] == (0 if variant == "norm" else 9)
        assert criterion.facts()["ifm_undefined"] == 0  # since the last call


def test_pre_norm__the_queue_keeps_the_lengths_of_its_keys():
    first, second = projections()
    criterion = nt_xent(settings(ifm_epsilon=0.3, ifm_variant="pre_norm"), memory_bank_size=(10, 6))
    criterion.memory_bank.bank = criterion.memory_bank.bank.double()
    assert_allclose(criterion.memory_bank.bank[:, -1], 1.0)
    criterion(first, second)
    stored = criterion.memory_bank.bank[:5]
    assert_allclose(stored[:, :-1] * stored[:, -1:], second.detach(), rtol=1e-12)
    bank = criterion.memory_bank.bank.clone()
    queued = bank[:, :-1] * bank[:, -1:]
    from core.research.shortcuts_losses import paired, turned_cosines

    halves = []
    for e in (0.0, 0.3):
        positive = turned_cosines(first, second, epsilon=-e, dot=paired)[0].tolist()
        halves.append(reference.info_nce(positive, turned_cosines(first, queued, epsilon=e)[0].tolist(), 0.2))
    assert_allclose(criterion(first, second).item(), sum(halves) / 2, rtol=1e-9)


def test_hard_negatives__match_the_function_on_the_negatives_of_the_batch():
    from core.research.shortcuts_losses import hard_info_nce

    first, second = projections()
    loss = nt_xent(settings(hard_beta=1.0, hard_tau_plus=0.1))(first, second).item()
    units, positive, negatives = [normalize(view.detach(), dim=1) for view in (first, second)], [], []
    for anchors, other in (units, units[::-1]):
        for i in range(5):
            positive.append(anchors[i] @ other[i])
            negatives.append(
                torch.stack([anchors[i] @ view[j] for view in units for j in range(5) if j != i])
            )
    hardness = {"temperature": 0.2, "beta": 1.0, "tau_plus": 0.1}
    expected = hard_info_nce(torch.stack(positive), torch.stack(negatives), **hardness).item()
    assert_allclose(loss, expected, rtol=1e-10)


@pytest.mark.parametrize(
    "objective",
    [
        {"ifm_epsilon": 0.2, "ifm_variant": "norm"},
        {"ifm_epsilon": 0.2, "ifm_variant": "pre_norm"},
        {"ifm_epsilon": 0.2, "ifm_variant": "pre_norm", "ifm_steps": 3},
        {"ifm_epsilon": 0.2, "ifm_alpha": math.inf},
        {"hard_beta": 1.0, "hard_tau_plus": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["simclr", "moco"])
def test_methods__take_the_variants_and_learn_from_them(method, objective):
    def built(**objective: Any) -> tuple[float, Tensor, dict[str, float]]:
        torch.manual_seed(0)
        linear = torch.nn.Linear(12, 8)
        backbone = torch.nn.Sequential(torch.nn.Flatten(), linear, torch.nn.ReLU())
        made = build_method(method, backbone, 8, settings(method, **objective)).train()
        loss = made.loss(torch.randn(16, 3, 2, 2, generator=torch.Generator().manual_seed(1)))
        loss.backward()
        return loss.item(), gradient_of(linear.weight), made.facts()

    loss, gradient, facts = built(**objective)
    plain, plain_gradient, none = built()
    assert none == {} and loss != plain and not torch.allclose(gradient, plain_gradient)
    assert torch.isfinite(gradient).all() and ("ifm_undefined" in facts) == ("ifm_variant" in objective)


@pytest.mark.parametrize(
    ("method", "objective", "message"),
    [
        (
            "byol",
            {"hard_beta": 1.0},
            "objective.hard_beta changes the logits of simclr and moco; byol has none",
        ),
        ("dino", {"hard_tau_plus": 0.1}, "objective.hard_tau_plus changes the logits of simclr and moco"),
        ("simclr", {"hard_beta": -1.0}, "objective.hard_beta = -1.0 must be 0 or more"),
        ("simclr", {"hard_tau_plus": 1.0}, "hard_tau_plus = 1.0 must be at least 0 and below 1"),
        ("simclr", {"hard_beta": 1.0, "ifm_epsilon": 0.1}, "exclude each other"),
        ("simclr", {"ifm_epsilon": 0.1, "ifm_variant": "prenorm"}, "Did you mean 'pre_norm'"),
        ("simclr", {"ifm_steps": -1}, "objective.ifm_steps = -1 must be at least 0"),
    ],
)
def test_config__refuses(method, objective, message):
    with pytest.raises(SettingsError, match=message):
        settings(method, **objective)
