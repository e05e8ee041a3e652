"""The wrapper around a method: its loss, its gradients, its frozen control, and what it reports."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from core.analysis.definitions import normalise_rows
from core.analysis.scores import q_score
from core.errors import SettingsError
from core.training.config import from_dict
from core.training.losses import large_norms, lasso, q_regularizer, q_reward
from core.training.method import Method
from core.training.methods import METHODS, build_method
from core.training.penalty import Penalised, changes, parts_of

WIDTH = 12
SMALL = {"queue": 16, "queue_from": 0.0, "prototypes": 8, "local_crops": 2, "bottleneck": 6, "frozen": 0.0}
HEADS = {"head_hidden": 16, "head_out": 8, "objective": SMALL}
STRONG = {"epsilon": 1.0, "lambda1": 3.0, "lambda2": 0.2, "weight": 0.7}


class Net(nn.Module):
    """(B, 3, s, s) -> (B, WIDTH), not negative, with BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, WIDTH, 3)
        self.norm = nn.BatchNorm2d(WIDTH)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.norm(self.conv(x)).relu().mean((2, 3))


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """D of a study named 'begun', which exists nowhere else."""
    discriminative = np.arange(WIDTH) % 3 != 0
    monkeypatch.setattr(
        "core.training.penalty.discriminative_of",
        lambda config, n: (torch.from_numpy(discriminative.copy()), config.regularizer.epsilon),
    )
    return discriminative


def wrapped(name: str, kind: str, **changes) -> Penalised:
    values = {"images": "", "output": "", "method": name, "crop_size": 16, "image_size": 16, **HEADS}
    regularizer = {"kind": kind, "study": "begun", **STRONG}
    config = from_dict({**values, "start": "begun", "regularizer": regularizer, **changes})
    torch.manual_seed(0)
    return Penalised(build_method(name, Net(), WIDTH, config), WIDTH, config).train()


def views_of(method: Method) -> tuple[torch.Tensor, torch.Tensor | None]:
    torch.manual_seed(1)
    local = torch.randn(6 * method.n_local, 3, 8, 8) if method.n_local else None
    return torch.randn(12, 3, 16, 16), local


@pytest.mark.parametrize("kind", ["none", "q", "lasso"])
@pytest.mark.parametrize("name", METHODS)
def test_loss__is_the_methods_own_plus_the_regulariser(study, name, kind):
    method = wrapped(name, kind)
    views, local = views_of(method)
    plain = copy_of(method)
    torch.manual_seed(2)  # moco shuffles
    loss = method(views, local)
    torch.manual_seed(2)
    inner_loss = plain.inner(views, local)
    raw = copy_of(method, plain).backbone(views)
    expected = {
        "none": torch.zeros(()),
        "q": q_regularizer(raw, study, epsilon=1.0, lambda1=3.0, lambda2=0.2),
        "lasso": lasso(raw, weight=0.7),
    }[kind]
    assert (kind == "none") == (expected.item() == 0)
    assert_allclose(loss.item(), inner_loss.item() + expected.item(), rtol=1e-5)


def copy_of(method: Penalised, like: Penalised | None = None) -> Penalised:
    """An equal one; DINO's head cannot be copied deeply, so it is built again."""
    again = wrapped(method_of(method), method.settings.kind)
    again.load_state_dict((like or method).state_dict())
    return again.train()


def method_of(method: Penalised) -> str:
    return next(name for name, kind in METHODS.items() if type(method.inner) is kind)


@pytest.mark.parametrize("name", METHODS)
def test_loss__calls_the_backbone_once_for_the_large_views(study, name):
    method = wrapped(name, "q")
    method(*views_of(method))
    net = method.backbone
    assert isinstance(net, Net) and net.calls == 1 + bool(method.n_local)


def test_loss__of_a_method_that_calls_its_backbone_itself(study):
    class Own(METHODS["simclr"]):
        def loss(self, views, local=None):
            return sum(self.backbone(view).sum() for view in views.chunk(2)) + self.backbone(local).sum()

    method = wrapped("simclr", "lasso")
    method.inner.__class__ = Own
    views, local = views_of(method)[0], torch.randn(4, 3, 8, 8)
    plain = copy.deepcopy(method)
    penalised_loss = method(views, local)
    inner_loss = plain.inner.loss(views, local)
    raw = torch.cat([copy.deepcopy(method).backbone(view) for view in views.chunk(2)])
    assert_allclose(penalised_loss.item(), inner_loss.item() + lasso(raw, weight=0.7).item(), rtol=1e-5)


@pytest.mark.parametrize("reading", ["sum", "printed", "mean"])
@pytest.mark.parametrize("name", METHODS)
def test_step_facts__are_those_of_gradients_taken_one_by_one(study, name, reading):
    method = wrapped(name, "q", regularizer={"kind": "q", "study": "begun", **STRONG, "reading": reading})
    views, local = views_of(method)
    seen = []
    handle = method.backbone.register_forward_hook(lambda module, given, output: seen.append(output))
    torch.manual_seed(2)  # moco shuffles
    for _ in range(2):  # two micro-batches of a step
        method(views, local).backward()
    handle.remove()
    facts = method.step_facts()
    raw = next(output for output in seen if len(output) == len(views)).detach().requires_grad_()
    reward = q_reward(raw, study, epsilon=1.0)
    weights = {"sum": (3.0, 0.2), "printed": (3.0 / 12, 0.2), "mean": (3.0 / 12, 0.2 / 12)}[reading]
    terms = (weights[0] * reward.total, weights[1] * large_norms(raw))
    norm = [torch.autograd.grad(term, raw)[0].double().norm().item() for term in terms]
    assert facts["rewarded"] == 2 * reward.rewarded.sum() > 0
    assert facts["scored"] == 2 * reward.scored.sum() and facts["rows"] == 24
    assert_allclose(facts["reward_gradient"] / facts["norm_gradient"], norm[0] / norm[1], rtol=1e-3)
    if name in ("simclr", "vicreg", "barlow"):  # the others have a state that the first call changes
        (inner_gradient,) = torch.autograd.grad(copy_of(method).inner.loss_of(raw, views, local), raw)
        assert_allclose(facts["reward_gradient"], norm[0] / inner_gradient.double().norm().item(), rtol=1e-3)
    assert method.step_facts()["rows"] == 0  # each step is asked once


@pytest.mark.parametrize("kind", ["none", "lasso"])
def test_step_facts__of_other_regularisers_are_none(study, kind):
    method = wrapped("simclr", kind)
    method(*views_of(method)).backward()
    assert method.step_facts() == {} and method.concern({}) == ""


def test_step_facts__of_a_method_that_calls_its_backbone_itself(study):
    class Own(METHODS["simclr"]):
        def loss(self, views, local=None):
            return sum(self.backbone(view).square().sum() for view in views.chunk(2))

    method = wrapped("simclr", "q")
    method.inner.__class__ = Own
    views = views_of(method)[0]
    raw = torch.cat([copy.deepcopy(method).backbone(view) for view in views.chunk(2)]).detach()
    method(views).backward()
    raw.requires_grad_()
    (pull,) = torch.autograd.grad(3.0 * q_reward(raw, study, epsilon=1.0).total, raw)
    expected = pull.double().norm() / (2 * raw.detach().double()).norm()
    assert_allclose(method.step_facts()["reward_gradient"], expected.item(), rtol=1e-4)


def test_step_facts__frozen_weights_have_no_gradients(study):
    method = wrapped("simclr", "q", frozen=True)
    method(*views_of(method)).backward()
    assert set(method.step_facts()) == {"rewarded", "scored", "rows"}


def test_concern__only_where_no_row_was_rewarded(study):
    method = wrapped("simclr", "q")
    assert method.concern({"rewarded": 0.5, "scored": 3.0, "rows": 24.0}) == ""
    sentence = method.concern({"rewarded": 0.0, "scored": 1.0, "rows": 24.0})
    assert all(part in sentence for part in ("24", "discriminative", "1"))
    method.settings = dataclasses.replace(method.settings, lambda1=0.0)
    assert method.concern({"rewarded": 0.0, "scored": 1.0, "rows": 24.0}) == ""


@pytest.mark.parametrize("kind", ["q", "lasso"])
def test_gradients__are_the_numerical_ones(study, kind):
    method = wrapped("simclr", kind).double()
    views = views_of(method)[0].double()
    net: Any = method.backbone
    weight = net.conv.weight
    method.penalty(method.backbone(views)).backward()  # the method's own loss is in single precision
    analytic = weight.grad[3, 1, 0, 2].item()
    numeric = []
    for step in (1e-6, -1e-6):
        with torch.no_grad():
            weight[3, 1, 0, 2] += step
            numeric.append(method.penalty(method.backbone(views)).item())
            weight[3, 1, 0, 2] -= step
    assert_allclose(analytic, (numeric[0] - numeric[1]) / 2e-6, rtol=1e-4, atol=1e-7)


def test_discriminative__has_no_gradient_and_outlives_another_study(study):
    method = wrapped("simclr", "q")
    assert not method.discriminative.requires_grad
    assert "discriminative" not in dict(method.named_parameters())
    state = method.state_dict()
    other = wrapped("simclr", "q")
    other.discriminative.logical_not_()  # as if the study had been computed anew between two sittings
    other.load_state_dict(state)
    assert torch.equal(other.discriminative, torch.from_numpy(study))


@pytest.mark.parametrize("name", METHODS)
def test_frozen__weights_keep_their_bits_and_batchnorm_statistics_move(study, name):
    method = wrapped(name, "q", frozen=True)
    before = {key: value.clone() for key, value in method.backbone.state_dict().items()}
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=1.0, momentum=0.9, weight_decay=0.1)
    for step in range(2):
        optimiser.zero_grad()
        method(*views_of(method)).backward()
        method.after_backward()
        optimiser.step()
        method.after_step(step / 2)
    after = method.backbone.state_dict()
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert moved == {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    facts = method.facts()
    assert facts["weight_change"] == 0 == facts["batchnorm_change"] < facts["statistics_change"]


def test_facts__are_means_over_batches_and_changes_of_the_start(study):
    method = wrapped("simclr", "lasso")
    raws = []
    for seed in (3, 4):
        torch.manual_seed(seed)
        raw = torch.rand(8, WIDTH)
        raws.append(raw)
        method.penalty(raw)
    with torch.no_grad():
        net = method.backbone
        net.conv.weight *= 1.5  # type: ignore[operator]
        net.conv.bias *= 1.5  # type: ignore[operator]
    facts = method.facts()
    h = [normalise_rows(raw.double()) for raw in raws]
    assert_allclose(facts["mean_q"], np.mean([q_score(part, study, epsilon=1.0).mean() for part in h]))
    assert_allclose(facts["l1"], np.mean([part.abs().sum(1).mean() for part in h]))
    assert_allclose(facts["penalty"], 0.7 * facts["l1"])
    assert_allclose(facts["weight_change"], 0.5, rtol=1e-6)
    assert facts["batchnorm_change"] == facts["statistics_change"] == 0
    assert "mean_q" not in method.facts()  # nothing since


def test_changes__of_a_network_without_batchnorm():
    net = nn.Linear(2, 1)
    before = parts_of(net)
    with torch.no_grad():
        net.weight.zero_()
        net.bias.zero_()
    assert changes(before, parts_of(net)) == {"weight_change": pytest.approx(1.0)}


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"kind": "Q"}, "regularizer.kind = 'Q' must be none, q or lasso"),
        ({"kind": "q"}, "needs discriminative features: give their study"),
        (
            {"reading": "summ"},
            "regularizer.reading = 'summ' must be sum, printed or mean. Did you mean 'sum'",
        ),
        ({"lambda1": -1.0}, "regularizer.lambda1 = -1.0 must be 0 or more"),
        ({"weigth": 1.0}, r"\[regularizer\]: unknown setting 'weigth'. Did you mean 'weight'"),
    ],
)
def test_config__says_what_cannot_work(own, message):
    with pytest.raises(SettingsError, match=message):
        from_dict({"images": "", "output": "", "regularizer": own})


def test_config__frozen_needs_a_start():
    with pytest.raises(SettingsError, match="start"):
        from_dict({"images": "", "output": "", "frozen": True})


def test_penalised__refuses_a_study_of_another_width(shared_study: Path):
    regularizer = {"kind": "q", "study": str(shared_study)}
    config = from_dict({"images": "", "output": "", "regularizer": regularizer, **HEADS})
    with pytest.raises(SettingsError, match="48.*timm:resnet18.*12"):
        Penalised(build_method("simclr", Net(), WIDTH, config), WIDTH, config)
