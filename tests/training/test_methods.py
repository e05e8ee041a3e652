from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity, NTXentLoss, SwaVLoss, VICRegLoss
from numpy.testing import assert_allclose
from torch import Tensor, nn
from torch.nn.functional import normalize

from core.errors import SettingsError
from core.training.config import TrainConfig, from_dict
from core.training.method import Method
from core.training.methods import METHODS, build_method
from core.training.objective import DEFAULTS
from core.training.optimise import along_cosine, build_optimiser
from tests.training import reference

SMALL = {
    "queue": 12,
    "prototypes": 6,
    "local_crops": 2,
    "bottleneck": 5,
    "predictor_hidden": 8,
    "momentum": 0.9,
    "momentum_end": 1.0,
    "queue_from": 0.5,
    "frozen": 0.25,
}
MOMENTUM = ["moco", "byol", "dino"]


def make(name: str, **objective: Any) -> Method:
    """A small method on 2x2 images, in training mode."""
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 10), nn.BatchNorm1d(10), nn.ReLU())
    return build_method(name, backbone, 10, settings(name, **objective)).train()


def settings(name: str, **objective: Any) -> TrainConfig:
    values = {"head_hidden": 8, "head_out": 7, "method": name, "temperature": 0.2}
    return from_dict({"images": "", "output": "", **values, "objective": {**SMALL, **objective}})


def images(method: Method, n: int = 4, seed: int = 1) -> tuple[Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(seed)
    local = torch.randn(method.n_local * n, 3, 2, 2, generator=generator) if method.n_local else None
    return torch.randn(2 * n, 3, 2, 2, generator=generator), local


def train(method: Method, n_steps: int, *, total: int = 100, same: bool = True) -> list[float]:
    """Losses of plain SGD on one batch again and again, with everything the trainer calls."""
    optimiser = build_optimiser(method, settings("simclr"))
    losses = []
    for step in range(n_steps):
        method.progress = step / total
        loss = method.loss(*images(method, 8, seed=1 if same else step))
        optimiser.zero_grad()
        loss.backward()
        method.after_backward()
        for group in optimiser.param_groups:
            group["lr"] = 0.02
        optimiser.step()
        method.after_step((step + 1) / total)
        losses.append(loss.item())
    return losses


def nt_xent(first: np.ndarray, second: np.ndarray, temperature: float) -> float:
    """Chen et al. 2020, eq. 1, one pair after the other."""
    z = np.concatenate([first, second])
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    n, total = len(first), 0.0
    for i in range(2 * n):
        j = (i + n) % (2 * n)
        denominator = sum(np.exp(z[i] @ z[k] / temperature) for k in range(2 * n) if k != i)
        total -= np.log(np.exp(z[i] @ z[j] / temperature) / denominator)
    return total / (2 * n)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("n", [2, 7])
def test_simclr__loss_matches_loop(n, temperature):
    torch.manual_seed(0)
    config = TrainConfig(images="", output="", temperature=temperature, head_hidden=8, head_out=4)
    method = build_method("simclr", nn.Flatten(), 12, config).double()
    views = torch.randn(2 * n, 3, 2, 2, dtype=torch.float64)
    projected = method.head(views.flatten(1)).detach().numpy()  # type: ignore[operator]
    expected = nt_xent(projected[:n], projected[n:], temperature)
    assert_allclose(method.loss(views).item(), expected, rtol=1e-5)  # the loss itself is float32


@pytest.mark.parametrize("n_local", [1, 3])
def test_simclr__small_views_are_positives_of_both_large_ones(n_local):
    torch.manual_seed(0)
    config = from_dict(
        {"images": "", "output": "", "head_hidden": 8, "head_out": 4, "objective": {"local_pairs": n_local}}
    )
    method = build_method("simclr", nn.Flatten(), 12, config).double()
    views, local = (torch.randn(n * 5, 3, 2, 2, dtype=torch.float64) for n in (2, n_local))
    first, second = np.split(method.head(views.flatten(1)).detach().numpy(), 2)  # type: ignore[operator]
    small = np.split(method.head(local.flatten(1)).detach().numpy(), n_local)  # type: ignore[operator]
    pairs = [nt_xent(one, large, config.temperature) for one in small for large in (first, second)]
    expected = 0.5 * nt_xent(first, second, config.temperature) + 0.5 * sum(pairs) / (2 * n_local)
    assert method.n_local == n_local
    assert_allclose(method.loss(views, local).item(), expected, rtol=1e-5)


def as_in_lightly(name: str, m: Any, views: Tensor, local: Tensor | None) -> Tensor:
    """The loss written with lightly's pieces as in its examples, one view after the other."""
    raw = m.backbone(views).chunk(2)
    small = () if local is None else m.backbone(local).chunk(2)
    if name == "simclr":
        first, second = m.head(torch.cat(raw)).chunk(2)
        return NTXentLoss(0.2)(first, second)
    if name in {"vicreg", "barlow"}:
        criterion = VICRegLoss() if name == "vicreg" else BarlowTwinsLoss()
        return criterion(m.head(raw[0]), m.head(raw[1]))
    if name == "simsiam":
        z = [m.head(view) for view in raw]
        p = [m.predictor(view) for view in z]
        cosine = NegativeCosineSimilarity()
        return 0.5 * (cosine(p[0], z[1].detach()) + cosine(p[1], z[0].detach()))
    if name == "swav":
        m.prototypes.normalize()
        high, low = ([m.prototypes(normalize(m.head(view), dim=1)) for view in part] for part in (raw, small))
        return SwaVLoss(temperature=0.2)(high, low)[0]
    target = m.target_backbone(views).chunk(2)
    if name == "byol":
        p, z = [m.predictor(m.head(view)) for view in raw], [m.target_head(view) for view in target]
        cosine = NegativeCosineSimilarity()
        return 0.5 * (cosine(p[0], z[1]) + cosine(p[1], z[0]))
    assert name == "dino"
    student = [m.head(view) for view in (*raw, *small)]
    criterion = DINOLoss(6, student_temp=0.2, teacher_temp=0.04, warmup_teacher_temp=0.04)
    return criterion([m.target_head(view) for view in target], student)


@pytest.mark.parametrize("name", sorted(set(METHODS) - {"moco"}))
def test_loss__is_lightlys_on_the_same_tensors(name):
    method = make(name)
    batch = images(method)
    expected = as_in_lightly(name, copy_of(method), *batch)
    assert_allclose(method.loss(*batch).item(), expected.item(), rtol=1e-6, atol=1e-7)


def copy_of(method: Method) -> Method:
    """DINO's weight normalisation forbids a deep copy."""
    name = next(name for name, kind in METHODS.items() if type(method) is kind)
    twin = make(name)
    twin.load_state_dict(method.state_dict())
    return twin


def test_moco__loss_is_info_nce_against_the_queues():
    method = make("moco")
    views, _ = images(method)
    bank = [normalize(torch.randn(12, 7), dim=1) for _ in range(2)]
    for criterion, entries in zip(method.criteria, bank, strict=True):  # type: ignore[arg-type]
        criterion.memory_bank.bank.copy_(entries)
    method.eval()  # running statistics, so that the shuffled halves do not matter
    queries = normalize(method.head(method.backbone(views)), dim=1).detach().double().numpy()  # type: ignore[operator]
    keys = normalize(method.target_head(method.target_backbone(views)), dim=1).double().numpy()  # type: ignore[operator]
    sides = [
        reference.info_nce((q * k).sum(1), q @ b.double().numpy().T, 0.2)
        for q, k, b in zip((queries[:4], queries[4:]), (keys[4:], keys[:4]), bank, strict=True)
    ]
    assert_allclose(method.loss(views).item(), sum(sides) / 2, rtol=1e-5)


def test_moco__halves_of_the_keys_have_their_own_statistics():
    from core.training.methods import in_shuffled_halves

    views = torch.arange(8.0)[:, None]
    plain = in_shuffled_halves(nn.Identity(), views)
    assert torch.equal(plain, views)
    torch.manual_seed(0)
    normed = nn.BatchNorm1d(1, affine=False)
    apart = in_shuffled_halves(normed, views)
    torch.manual_seed(0)
    for half in torch.randperm(8).chunk(2):
        assert_allclose(apart[half].mean().item(), 0, atol=1e-6)
    assert not torch.allclose(apart, nn.BatchNorm1d(1, affine=False)(views), atol=1e-2)


@pytest.mark.parametrize("name", METHODS)
def test_loss__falls_on_one_batch(name):
    method = make(name, queue=16 if name == "moco" else 0)
    losses = train(method, 80)
    assert np.isfinite(losses).all()
    begin = 5 if name == "moco" else 0  # before, the queue holds the noise it was made of
    assert np.mean(losses[-5:]) < np.mean(losses[begin : begin + 5]) - 0.01


@pytest.mark.parametrize("name", METHODS)
def test_loss__reaches_backbone_and_head_but_no_target(name):
    method = make(name)
    method.loss(*images(method)).backward()
    for part, parameter in method.named_parameters():
        if part.startswith("target"):
            assert parameter.grad is None and not parameter.requires_grad
        elif parameter.requires_grad:
            assert parameter.grad is not None, part
    assert method.backbone[1].weight.grad.abs().max() > 0  # type: ignore[index, union-attr]
    trained = {
        id(p) for group in build_optimiser(method, settings(name)).param_groups for p in group["params"]
    }
    assert trained == {id(p) for p in method.parameters() if p.requires_grad}


@pytest.mark.parametrize("name", METHODS)
def test_loss_of__takes_representations_that_a_regulariser_shares(name):
    method = make(name)
    views, local = images(method)
    twin = copy_of(method)
    torch.manual_seed(3)
    expected = twin.loss(views, local)
    torch.manual_seed(3)
    raw = method.backbone(views)
    loss = method.loss_of(raw, views, local)
    assert raw.shape == (8, 10) and torch.equal(loss, expected)
    assert torch.autograd.grad(loss, raw)[0].abs().max() > 0


@pytest.mark.parametrize("name", MOMENTUM)
def test_momentum__target_starts_equal_and_moves_by_its_share(name):
    method: Any = make(name)
    for online, target in method.pairs():
        for p, q in zip(online.parameters(), target.parameters(), strict=True):
            assert torch.equal(p, q)
            p.data += 1.0
    before = [q.clone() for _, target in method.pairs() for q in target.parameters()]
    method.after_step(0.5)
    share = 1.0 - 0.1 * 0.5
    moved = [(p, q) for pair in method.pairs() for p, q in zip(*(m.parameters() for m in pair), strict=True)]
    assert len(moved) == len(before) > 4
    for old, (p, q) in zip(before, moved, strict=True):
        assert_allclose(q.detach(), share * old.detach() + (1 - share) * p.detach(), rtol=1e-5)
    method.after_step(1.0)
    assert all(torch.equal(q, r) for q, (_, r) in zip([q for _, q in moved], moved, strict=True))


def test_along_cosine__rises_along_a_cosine():
    assert [along_cosine(x, 0.9, 1.0) for x in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])
    assert along_cosine(0.25, 0.9, 1.0) == pytest.approx(1 - 0.1 * (np.cos(np.pi / 4) + 1) / 2)


def test_moco__queue_rotates():
    method: Any = make("moco", queue=10)
    banks = [criterion.memory_bank for criterion in method.criteria]
    first = banks[0].bank.clone()
    views, _ = images(method)
    method.loss(views)
    assert [int(bank.bank_ptr) for bank in banks] == [4, 4]
    assert torch.equal(banks[0].bank[4:], first[4:]) and not torch.equal(banks[0].bank[:4], first[:4])
    assert_allclose(banks[0].bank.norm(dim=1), np.ones(10), rtol=1e-6)
    assert not torch.equal(banks[0].bank[:4], banks[1].bank[:4])  # each remembers the other view
    second = banks[0].bank[:4].clone()
    for seed in (2, 3):
        method.loss(images(method, seed=seed)[0])
    assert int(banks[0].bank_ptr) == 0 and torch.equal(banks[0].bank[:4], second)
    method.loss(images(method, seed=4)[0])
    assert not torch.equal(banks[0].bank[:4], second)
    assert {"criteria.0.memory_bank.bank", "criteria.1.memory_bank.bank_ptr"} <= set(method.state_dict())


def test_moco__needs_a_queue():
    with pytest.raises(SettingsError, match="objective.queue.*0"):
        make("moco", queue=0)


def test_swav__queue_rotates_and_counts_when_full_and_late_enough():
    method: Any = make("swav", queue=6)
    used = []
    plain = method.criterion.forward
    method.criterion.forward = lambda high, low, past: used.append(past is not None) or plain(high, low, past)
    newest = []
    for step, progress in enumerate([0.0, 0.6, 0.6, 0.4]):
        method.progress = progress
        method.loss(*images(method, seed=step))
        newest.append(method.queue[:, :4].clone())
        assert torch.equal(method.queue[:, 4:6], newest[-2][:, :2] if step else torch.zeros(2, 2, 7))
    assert used == [False, False, True, False] and int(method.n_queued) == 16
    assert_allclose(method.queue.norm(dim=2), np.ones((2, 6)), rtol=1e-6)
    assert {"queue", "n_queued"} <= set(method.state_dict())


def test_swav__a_full_queue_changes_the_loss():
    losses = []
    for progress in (0.0, 1.0):
        method: Any = make("swav", queue=4)
        method.loss(*images(method, seed=5))
        method.progress = progress
        losses.append(method.loss(*images(method)).item())
    assert abs(losses[0] - losses[1]) > 1e-4


def test_swav__prototypes_have_unit_length():
    method: Any = make("swav")
    method.prototypes.heads[0].weight.data *= 3
    method.loss(*images(method))
    assert_allclose(method.prototypes.heads[0].weight.detach().norm(dim=1), np.ones(6), rtol=1e-6)


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_clustering__last_layer_stands_still_at_first(name):
    method: Any = make(name)
    layer = method.prototypes.heads[0].weight if name == "swav" else method.head.last_layer.weight_v
    for progress, frozen in ((0.1, True), (0.3, False)):
        method.progress = progress
        method.zero_grad()
        method.loss(*images(method)).backward()
        method.after_backward()
        assert (layer.grad is None) == frozen


@pytest.mark.parametrize("name", ["swav", "dino"])
def test_clustering__small_views_count(name):
    method = make(name)
    views, local = images(method)
    assert method.n_local == 2 and local is not None
    loss = method.loss(views, local).item()
    twin = make(name)
    assert abs(twin.loss(views, local.square()).item() - loss) > 1e-4
    assert make(name, local_crops=0).n_local == 0
    assert np.isfinite(make(name, local_crops=0).loss(views).item())


def test_dino__centre_follows_the_teacher_and_is_saved():
    method: Any = make("dino")
    views, local = images(method)
    twin: Any = copy_of(method)
    teacher = torch.stack([twin.target_head(v) for v in twin.target_backbone(views).chunk(2)])
    method.loss(views, local)
    assert_allclose(method.criterion.center[0, 0], 0.1 * teacher.mean((0, 1)).detach(), rtol=1e-4, atol=1e-7)
    assert "criterion.center" in method.state_dict()


@pytest.mark.parametrize("name", METHODS)
def test_state__goes_on_to_the_same_bits(name):
    method = make(name, queue=16, queue_from=0.0)
    train(method, 4, same=False)
    state, random = copy.deepcopy(method.state_dict()), torch.get_rng_state()
    expected = [method.loss(*images(method, 8)).item() for _ in range(2)]
    other = make(name, queue=16, queue_from=0.0)
    other.load_state_dict(state)
    other.progress = method.progress
    torch.set_rng_state(random)
    assert [other.loss(*images(other, 8)).item() for _ in range(2)] == expected


def test_build_method__unknown_lists_known():
    with pytest.raises(SettingsError, match="'simclear'.*'simclr'"):
        build_method("simclear", nn.Identity(), 4, TrainConfig(images="", output=""))


def test_methods__all_have_defaults():
    assert set(METHODS) == set(DEFAULTS)
