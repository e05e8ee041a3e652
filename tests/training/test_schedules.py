"""What the papers let change during a training, watched step by step: rates, weight decay, teachers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import normalize

from core.errors import SettingsError
from core.study.progress import Progress
from core.training.optimise import build_optimiser
from core.training.setup import start_method
from core.training.trainer import TrainingRun

pytestmark = pytest.mark.slow

SMALL = {"prototypes": 8, "local_crops": 0, "bottleneck": 6}
STEPS = 8  # two epochs of 64 images in batches of 16


@pytest.fixture
def steps(tiny_source, tiny_config):
    """Runs a method for eight steps; returns the run and what `look` saw after each."""

    def go(method: str, look, objective: dict[str, Any] | None = None, lr: float = 0.1):
        config = tiny_config(method=method, lr=lr, objective={**SMALL, **(objective or {})})
        run, seen = TrainingRun(config, tiny_source, Progress.silent()), []
        assert run.steps_per_epoch * config.epochs == STEPS
        for _ in range(STEPS):
            before = targets(run)
            run.train_step()
            seen.append(look(run, before))
        return run, seen

    return go


def targets(run: TrainingRun) -> dict[str, torch.Tensor]:
    teacher = {name: value for name, value in run.method.named_parameters() if name.startswith("target_")}
    return {name: value.detach().clone() for name, value in teacher.items()}


def half_cosine(step: int, first: float, last: float) -> float:
    """At `first` where training begins, at `last` after all steps."""
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * step / STEPS))


@pytest.mark.parametrize("name", ["byol", "dino"])
def test_momentum__teacher_moves_by_the_papers_cosine(steps, name):
    def teacher_share(run: TrainingRun, before: dict[str, torch.Tensor]) -> None:
        share = half_cosine(run.step, 0.996, 1.0)
        online = dict(run.method.named_parameters())
        assert before
        for key, old in before.items():
            student = online[key.removeprefix("target_")].detach()
            expected = share * old.double() + (1 - share) * student.double()
            assert_allclose(online[key].detach(), expected, rtol=1e-5, atol=1e-7)

    run, _ = steps(name, teacher_share)
    assert (run.config.objective.momentum, run.config.objective.momentum_end) == (0.996, 1.0)
    assert half_cosine(STEPS, 0.996, 1.0) == 1.0  # so the last step leaves the teacher where it was


def test_simsiam__predictor_keeps_its_rate(steps):
    def rates(run: TrainingRun, _: Any) -> list[float]:
        predictor = {id(p) for p in run.method.predictor.parameters()}  # type: ignore[union-attr]
        rates_of = {True: set(), False: set()}
        for group in run.optimiser.param_groups:
            for parameter in group["params"]:
                rates_of[id(parameter) in predictor].add(group["lr"])
        assert all(len(rates) == 1 for rates in rates_of.values())
        return [rates_of[True].pop(), rates_of[False].pop()]

    peak = 0.12 * 16 / 256
    _, seen = steps("simsiam", rates, lr=0.12)
    assert [pair[0] for pair in seen] == [peak] * STEPS
    warm_up = [peak * (step + 1) / 2 for step in range(2)]  # half an epoch of four steps
    falling = [peak * 0.5 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    assert_allclose([pair[1] for pair in seen], [*warm_up, *falling])
    _, seen = steps("simsiam", rates, {"constant_predictor_rate": False}, lr=0.12)
    assert_allclose([pair[0] for pair in seen], [*warm_up, *falling])


def test_simsiam__weights_of_the_predictor_move_after_the_schedule_has_ended(tiny_source, tiny_config):
    """At the last step the others' rate is almost 0."""
    moved = {}
    for constant in (True, False):
        objective = {"constant_predictor_rate": constant}
        config = tiny_config(method="simsiam", lr=0.12, epochs=40, weight_decay=0.0, objective=objective)
        run = TrainingRun(config, tiny_source, Progress.silent())
        run.step = 40 * run.steps_per_epoch - 1
        before = {name: value.detach().clone() for name, value in run.method.named_parameters()}
        run.train_step()
        after = dict(run.method.named_parameters())
        for part in ("predictor", "backbone"):
            change = sum((after[k] - v).norm().item() for k, v in before.items() if k.startswith(part))
            moved[constant, part] = change
    assert moved[True, "predictor"] > 100 * moved[False, "predictor"] > 0
    assert_allclose(moved[True, "backbone"], moved[False, "backbone"], rtol=1e-5)


def test_simsiam__regulariser_and_fine_tuning_keep_the_predictors_rate(tiny_config):
    method = start_method(tiny_config(method="simsiam", regularizer={"kind": "lasso"}))
    groups = build_optimiser(method, tiny_config(method="simsiam")).param_groups
    constant = {id(p) for group in groups if group["constant_rate"] for p in group["params"]}
    assert constant == {id(p) for p in method.inner.predictor.parameters()} != set()  # type: ignore[union-attr]
    assert not any(group["constant_rate"] for group in groups[:2])  # the logged rate is the schedule's


def test_dino__weight_decay_rises_along_a_cosine(steps):
    def decays(run: TrainingRun, _: Any) -> float:
        seen_decays = set()
        for group in run.optimiser.param_groups:
            for parameter in group["params"]:
                if parameter.ndim > 1:
                    seen_decays.add(group["weight_decay"])
                else:
                    assert group["weight_decay"] == 0
        (decay,) = seen_decays
        return decay

    _, seen = steps("dino", decays)
    assert_allclose(seen, [half_cosine(step, 0.04, 0.4) for step in range(STEPS)])
    assert all(a < b for a, b in zip(seen, seen[1:], strict=False))
    run, seen = steps("simclr", decays)
    assert seen == [run.config.weight_decay] * STEPS


def test_swav__prototypes_have_no_bias(steps):
    run, _ = steps("swav", lambda run, before: None)
    method: Any = run.method
    layer = method.prototypes.heads[0]
    assert layer.bias is None and "prototypes.heads.0.bias" not in method.state_dict()
    vectors = normalize(torch.randn(5, layer.in_features, generator=torch.Generator().manual_seed(0)), dim=1)
    method.prototypes.normalize()
    logits = method.prototypes(vectors)
    assert logits.abs().max() <= 1 + 1e-6  # cosines
    assert_allclose((-logits).detach(), method.prototypes(-vectors).detach(), atol=1e-6)
    method, _ = steps("swav", lambda run, before: None, {"prototype_bias": True})
    assert "prototypes.heads.0.bias" in method.method.state_dict()


@pytest.mark.parametrize("values", [{"weight_decay": -0.1}, {"weight_decay_end": float("nan")}], ids=str)
def test_config__weight_decay_below_zero(tiny_config, values):
    with pytest.raises(SettingsError, match=r"weight_decay\w*.*0"):
        tiny_config(**values)
