"""The terms of domain-disentangled training, against loops written from [K] section 2.4."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from core.errors import ShapeError
from core.research.domains_disentangled import (
    DomainCritic,
    as_read_by_critic,
    critic_gap,
    falling_rate,
    gradient_penalty,
    prefix_objective,
    unit_or_zero,
)
from tests.training.gradients import gradient_of

TOLERANCE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-12}  # float64 sums in another order


def cosine(a, b):
    norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / norms if norms else 0.0


def loop_objective(h, domains, tau):
    """The mean over anchors of log(sum within / sum across); anchors without one of the sums are left out."""
    values = []
    for i in range(len(h)):
        within, across, partners = 0.0, 0.0, 0
        for j in range(len(h)):
            if domains[i] < 0 or domains[j] < 0:
                continue
            sim = math.exp(cosine(h[i], h[j]) / tau)
            if domains[i] == domains[j]:
                if i != j:
                    within, partners = within + sim, partners + 1
            else:
                across += sim
        if partners and across:
            values.append(math.log(within / across))
    return (sum(values) / len(values) if values else 0.0), len(values)


@pytest.mark.parametrize("tau", [0.1, 0.2, 1.0])
@pytest.mark.parametrize("n_domains", [1, 2, 5])
def test_prefix_objective__matches_the_loop(rng, tau, n_domains):
    h = rng.normal(size=(14, 4))
    h[3] = 0.0
    domains = rng.integers(-1, n_domains, 14)
    found = prefix_objective(torch.from_numpy(h), torch.from_numpy(domains), temperature=tau)
    value, n_defined = loop_objective(h.tolist(), domains.tolist(), tau)
    assert_allclose(found.value, value, **TOLERANCE)
    assert int(found.defined.sum()) == n_defined


def test_prefix_objective__by_hand():
    """N = 2 images of two domains, two views each, orthogonal prefixes: log(e^1 / (2 e^0))."""
    h = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    domains = torch.tensor([0, 1, 0, 1])
    found = prefix_objective(h, domains, temperature=1.0)
    assert_allclose(found.value, math.log(math.e / 2), **TOLERANCE)
    assert found.partners.tolist() == [1, 1, 1, 1] and found.defined.all()


@pytest.mark.parametrize("domains", [[0, 0, 0, 0], [-1, -1, -1, -1], [0, 1, 2, 3]])
def test_prefix_objective__is_zero_where_it_is_undefined(domains):
    """One domain, none, and only anchors without a partner."""
    h = torch.randn(4, 3, requires_grad=True)
    found = prefix_objective(h, torch.tensor(domains), temperature=0.2)
    found.value.backward()
    assert found.value.item() == 0.0 and not found.defined.any() and not gradient_of(h).any()


def test_prefix_objective__zero_prefixes_have_cosine_zero_and_finite_gradients():
    h = torch.zeros(6, 3, dtype=torch.float64, requires_grad=True)
    found = prefix_objective(h, torch.tensor([0, 0, 0, 1, 1, 1]), temperature=0.2)
    found.value.backward()
    assert_allclose(found.value.detach(), math.log(2 / 3), **TOLERANCE)
    assert torch.isfinite(gradient_of(h)).all()


def test_prefix_objective__rows_may_come_in_any_order_and_domains_have_any_name(rng):
    h, domains = torch.from_numpy(rng.normal(size=(12, 5))), torch.from_numpy(rng.integers(0, 3, 12))
    order, names = torch.from_numpy(rng.permutation(12)), torch.tensor([2, 0, 1])
    value = prefix_objective(h, domains, temperature=0.2).value
    assert_allclose(
        prefix_objective(h[order], names[domains[order]], temperature=0.2).value, value, **TOLERANCE
    )


def test_prefix_objective__is_bounded(rng):
    """|L| <= 2 / tau + |log(n_same / n_other)|, and prefixes that say the domain reach it."""
    domains = torch.tensor([0, 0, 1, 1])
    h = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    found = prefix_objective(h, domains, temperature=0.5)
    assert_allclose(found.value, 2 / 0.5 + math.log(1 / 2), rtol=1e-6)


def test_prefix_objective__refuses_other_numbers_of_rows():
    with pytest.raises(ShapeError, match="prefixes"):
        prefix_objective(torch.zeros(3, 2), torch.zeros(4, dtype=torch.long), temperature=1.0)


class Linear(nn.Module):
    """D(h, y) = a h + b y."""

    def __init__(self, row, domain):
        super().__init__()
        self.row, self.domain = torch.tensor(row), torch.tensor(domain)

    def forward(self, h, y):
        return h @ self.row.to(h) + y @ self.domain.to(y)


def test_gradient_penalty__of_a_linear_critic_is_that_of_its_weights(rng):
    critic, h = Linear([3.0, 0.0], [0.0, 4.0]), torch.from_numpy(rng.normal(size=(5, 2)))
    y = torch.eye(2, dtype=torch.float64)[torch.tensor([0, 1, 0, 1, 1])]
    found = gradient_penalty(critic, h, y, y.flip(0), torch.rand(5, 1).double())
    assert_allclose(found.detach(), (5 - 1) ** 2, **TOLERANCE)


def test_gradient_penalty__matches_differences(rng):
    """Against central differences of the critic in every entry of (h, u y + (1 - u) y_rand)."""
    critic = DomainCritic(3, 2, hidden=7).double()
    h, mix = rng.normal(size=(4, 3)), rng.random((4, 1))
    y, other = np.eye(2)[[0, 1, 1, 0]], np.eye(2)[[1, 1, 0, 0]]
    total, step = 0.0, 1e-6
    for i in range(4):
        at = np.concatenate([h[i], mix[i] * y[i] + (1 - mix[i]) * other[i]])
        slopes = []
        for entry in range(5):
            ends = []
            for sign in (1, -1):
                moved = torch.from_numpy(at + sign * step * np.eye(5)[entry])
                ends.append(float(critic(moved[None, :3], moved[None, 3:])))
            slopes.append((ends[0] - ends[1]) / (2 * step))
        total += (math.sqrt(sum(slope**2 for slope in slopes)) - 1) ** 2
    tensors = [torch.from_numpy(array) for array in (h, y, other, mix)]
    assert_allclose(gradient_penalty(critic, *tensors).detach(), total / 4, rtol=1e-6)


def test_critic_gap__is_the_difference_of_two_calls(rng):
    critic, h = DomainCritic(3, 2).double(), torch.from_numpy(rng.normal(size=(4, 3)))
    y, other = torch.eye(2).double()[[0, 1, 1, 0]], torch.eye(2).double()[[1, 1, 0, 0]]
    found = critic_gap(critic, h, y, other)
    loop = [
        float(critic(h[i : i + 1], y[i : i + 1]) - critic(h[i : i + 1], other[i : i + 1])) for i in range(4)
    ]
    assert_allclose(found, loop, **TOLERANCE)
    assert found[1] == 0 and found[3] == 0  # y_rand may be y: the product measure


def adam_by_hand(weights, gradients, lr):
    """Kingma and Ba 2015, algorithm 1, number by number."""
    m = v = 0.0
    for t, gradient in enumerate(gradients, 1):
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        weights -= lr * (m / (1 - 0.9**t)) / (math.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return weights


def test_domain_critic__takes_the_steps_of_adam(rng):
    critic = DomainCritic(2, 2, hidden=3).double()
    gradients, before = rng.normal(size=(3, len(critic.first))), critic.from_row.weight[0, 0].item()
    for gradient in gradients:
        critic._adam(torch.from_numpy(gradient), 0.1)
    assert_allclose(critic.from_row.weight[0, 0], adam_by_hand(before, gradients[:, 0], 0.1), rtol=1e-12)


@pytest.mark.slow
def test_critic_and_encoder__lower_the_distance_of_two_gaussians():
    """Critic steps find W > 0; encoder steps that maximise L_invar bring it down: the sign of eq. 2.1."""
    torch.manual_seed(0)
    y = torch.eye(2).repeat_interleave(64, 0)
    shift = nn.Parameter(torch.tensor([2.0, 0.0]))  # all that tells the domains apart
    noise, critic = torch.randn(128, 2), DomainCritic(2, 2, hidden=16)
    optimiser, distances = torch.optim.SGD([shift], lr=0.3), []

    def rows():
        return noise + y[:, 1:] * shift

    def drawn():
        return torch.eye(2)[torch.randint(2, (128,))]

    for step in range(200):
        gap, _ = critic.step(rows().detach(), y, drawn(), torch.rand(128, 1), lr=0.05, penalty=10.0)
        if step >= 80:
            optimiser.zero_grad()
            (-critic_gap(critic, rows(), y, drawn()).mean()).backward()
            optimiser.step()
        distances.append(-float(gap))
    assert np.mean(distances[60:80]) > 0.2
    assert np.mean(distances[-40:]) < 0.1 and shift.detach().norm() < 0.7


def test_as_read_by_critic__does_not_see_the_scale(rng):
    h = torch.from_numpy(rng.normal(size=(5, 9)))
    h[2] = 0.0
    read = as_read_by_critic(h, "normalised")
    assert_allclose(read, as_read_by_critic(1e-3 * h, "normalised"), rtol=1e-9)
    assert_allclose(read.norm(dim=1), [3, 3, 0, 3, 3], rtol=1e-12)
    assert as_read_by_critic(h, "raw") is h and not unit_or_zero(h)[2].any()
    assert_allclose(as_read_by_critic(h, "unit") * 3, read, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reads", "distance", "least", "most"), [("unit", 0.25, 0.3, 1.1), ("normalised", 0.5, 0, 0.1)]
)
def test_critic__pulls_at_separated_domains_only_where_rows_have_length_one(reads, distance, least, most):
    """At length sqrt(d) two domains lie further apart than their labels: W is at its largest, and flat."""
    torch.manual_seed(0)
    y, critic = torch.eye(2).repeat_interleave(64, 0), DomainCritic(64, 2, hidden=32)
    h = 0.1 * torch.randn(128, 64)
    h[:, 0], h[:, 1] = 0.5 * (2 * y[:, 0] - 1), 1.0
    h.requires_grad_()
    for step in range(240):
        read = as_read_by_critic(h.detach(), reads)
        drawn = torch.eye(2)[torch.randint(2, (128,))]
        critic.step(read, y, drawn, torch.rand(128, 1), lr=falling_rate(0.01, step / 240), penalty=10.0)
    gap = critic_gap(critic, as_read_by_critic(h, reads), y, y.flip(1))
    assert -gap.detach().mean() / 2 > distance  # half of y_rand are the own domain, where the gap is 0
    (gradient,) = torch.autograd.grad(gap.sum(), h)
    pull = float((gradient.norm(dim=1) * h.detach().norm(dim=1)).mean())  # by angle, in radians
    assert least < pull / 2 < most


def test_falling_rate__ends_at_zero():
    assert_allclose([falling_rate(0.4, share) for share in (0, 0.5, 1)], [0.4, 0.2, 0.0], atol=1e-15)
