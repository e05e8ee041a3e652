"""The cosines of perturbed embeddings against points built one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from core.errors import SettingsError
from core.research.shortcuts_losses import (
    crossed,
    paired,
    renormalised_cosines,
    stepped_cosines,
    turned_cosines,
)
from tests.training.gradients import gradient_of


def embeddings(n: int = 5, k: int = 7, d: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    v, u = (torch.randn(size, d, generator=generator, dtype=torch.float64) for size in (n, k))
    return 3 * v, u


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / math.sqrt((one @ one) * (other @ other)))


def renormalised(v: np.ndarray, u: np.ndarray, epsilon: float) -> float:
    """The moved point itself: a unit embedding, a step along the unit anchor."""
    return cosine(v, u / math.sqrt(u @ u) + epsilon * v / math.sqrt(v @ v))


def turned(v: np.ndarray, u: np.ndarray, epsilon: float) -> float:
    """The tangent from the origin to the ball around u, nearest to v or farthest from it, as a vector."""
    length, radius = math.sqrt(u @ u), abs(epsilon)
    towards = math.copysign(1, epsilon)
    if radius >= length:
        return towards
    angle = math.acos(max(-1, min(1, cosine(v, u))))
    room = angle if towards > 0 else math.pi - angle
    if room <= math.asin(radius / length):
        return towards
    across = v / math.sqrt(v @ v) - cosine(v, u) * u / length  # orthogonal to u, towards v
    across /= math.sqrt(across @ across)
    foot = (1 - radius**2 / length**2) * u
    touch = foot + towards * radius * math.sqrt(1 - radius**2 / length**2) * across
    assert math.isclose((touch - u) @ (touch - u), radius**2, rel_tol=1e-9)
    return cosine(v, touch)


@pytest.mark.parametrize("epsilon", [-1.3, -0.1, 0.0, 0.1, 0.7, 2.0])
@pytest.mark.parametrize(
    ("found", "reference"), [(renormalised_cosines, renormalised), (turned_cosines, turned)]
)
def test_cosines__match_points_built_one_by_one(found, reference, epsilon):
    v, u = embeddings()
    expected = [[reference(a, b, epsilon) for b in u.numpy()] for a in v.numpy()]
    value, undefined = found(v, u, epsilon=epsilon)
    assert_allclose(value, expected, atol=1e-9)
    assert not undefined.any()
    assert_allclose(
        found(v, u[:5], epsilon=epsilon, dot=paired)[0], np.diag(np.array(expected)[:, :5]), atol=1e-9
    )


def test_turned_cosines__relative_epsilon_is_a_share_of_each_length():
    v, u = embeddings()
    expected = [[turned(a, b, 0.3 * math.sqrt(b @ b)) for b in u.numpy()] for a in v.numpy()]
    assert_allclose(turned_cosines(v, u, epsilon=0.3, relative=True)[0], expected, atol=1e-9)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("epsilon", [-0.4, 0.1, 0.6])
def test_stepped_cosines__approach_the_closed_form(epsilon, relative):
    v, u = embeddings()
    closed = turned_cosines(v, u, epsilon=epsilon, relative=relative)[0]
    stepped, _ = stepped_cosines(v, u, epsilon=epsilon, relative=relative, steps=200)
    assert_allclose(stepped, closed, atol=1e-3)
    pairs = stepped_cosines(v, u[:5], epsilon=epsilon, relative=relative, steps=200, dot=paired)[0]
    assert_allclose(pairs, closed[:, :5].diagonal(), atol=1e-3)
    with pytest.raises(SettingsError, match="steps.*0.*1"):
        stepped_cosines(v, u, epsilon=epsilon, steps=0)


def test_cosines__by_hand():
    v, u = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert_allclose(renormalised_cosines(v, u, epsilon=1.0)[0], [[1 / math.sqrt(2)]], rtol=1e-6)
    half = math.sin(math.pi / 4)  # turns by 45 degrees
    assert_allclose(turned_cosines(v, u, epsilon=half)[0], [[half]], rtol=1e-6)
    assert_allclose(turned_cosines(v, u, epsilon=-half)[0], [[-half]], rtol=1e-6)


def test_turned_cosines__no_point_of_the_ball_is_stronger(rng):
    v, u = embeddings()
    best = turned_cosines(v, u, epsilon=0.5)[0].numpy()
    worst = turned_cosines(v, u, epsilon=-0.5)[0].numpy()
    moves = rng.normal(size=(2000, 4))
    moves *= 0.5 / np.linalg.norm(moves, axis=1, keepdims=True) * rng.random((2000, 1)) ** 0.25
    for row, a in enumerate(v.numpy()):
        for column, b in enumerate(u.numpy()):
            points = b + moves
            tried = points @ a / np.linalg.norm(points, axis=1) / np.linalg.norm(a)
            assert worst[row, column] - 1e-12 <= tried.min() and tried.max() <= best[row, column] + 1e-12


@pytest.mark.parametrize("found", [renormalised_cosines, turned_cosines])
def test_cosines__rise_with_epsilon_and_are_plain_without(found):
    v, u = embeddings()
    values = torch.stack([found(v, u, epsilon=e)[0] for e in (-0.6, -0.2, 0.0, 0.2, 0.6)])
    assert (values.diff(dim=0) >= -1e-12).all() and values.diff(dim=0).max() > 0.05
    plain = crossed(torch.nn.functional.normalize(v, dim=1), torch.nn.functional.normalize(u, dim=1))
    assert_allclose(values[2], plain, atol=1e-12)


@pytest.mark.parametrize("epsilon", [-0.5, 0.5, 5.0])
@pytest.mark.parametrize("found", [renormalised_cosines, turned_cosines])
def test_cosines__gradient_is_that_of_the_cosine_at_the_fixed_move(found, epsilon):
    v, u = (one.requires_grad_() for one in embeddings())
    weights = torch.randn(5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (found(v, u, epsilon=epsilon)[0] * weights).sum().backward()
    again, other = (one.detach().clone().requires_grad_() for one in (v, u))
    total = torch.zeros((), dtype=torch.float64)
    for row in range(5):
        for column in range(7):
            a, b = again[row], other[column]
            start = b / b.norm() if found is renormalised_cosines else b
            moved = start + move(found, a.detach(), b.detach(), epsilon)
            total = total + weights[row, column] * (a @ moved) / (a.norm() * moved.norm())
    total.backward()
    assert_allclose(gradient_of(v), gradient_of(again), atol=1e-7)
    assert_allclose(gradient_of(u), gradient_of(other), atol=1e-7)


def move(found, a: torch.Tensor, b: torch.Tensor, epsilon: float) -> torch.Tensor:
    """What is added to the embedding, as a vector."""
    if found is renormalised_cosines:
        return epsilon * a / a.norm()
    cos, radius = float(a @ b / (a.norm() * b.norm())), abs(epsilon)
    angle = turned(a.numpy(), b.numpy(), epsilon)
    if abs(angle) == 1:  # anywhere on the ray of the anchor
        return math.copysign(1, epsilon) * a - b
    across = a / a.norm() - cos * b / b.norm()
    across = math.copysign(1, epsilon) * across / across.norm()
    share = radius / b.norm()
    return -(share**2) * b + radius * torch.sqrt(1 - share**2) * across


def test_renormalised_cosines__detach_leaves_out_the_gradient_of_the_move():
    v, u = (one.requires_grad_() for one in embeddings())
    gradients = []
    for detach in (True, False):
        renormalised_cosines(v, u, epsilon=0.5, detach=detach)[0].sum().backward()
        gradients.append(gradient_of(v).clone())
        v.grad = None
    assert (gradients[0] - gradients[1]).abs().max() > 0.01
    v, u = embeddings()
    pair = (v.requires_grad_(), u.requires_grad_())
    assert torch.autograd.gradcheck(
        lambda a, b: renormalised_cosines(a, b, epsilon=0.5, detach=False)[0], pair
    )


def test_cosines__undefined_ones_are_counted_and_have_finite_gradients():
    v = torch.tensor([[2.0, 0.0]], requires_grad=True)
    u = torch.tensor([[3.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 1.0]], requires_grad=True)
    value, undefined = renormalised_cosines(v, u[:2], epsilon=1.0)
    assert undefined.tolist() == [[False, True]] and value[0].tolist() == [1.0, 0.0]
    away, undefined = turned_cosines(v, u, epsilon=-0.5)
    assert undefined.tolist() == [[True, False, True, False]]  # parallel; antiparallel; no direction; a turn
    assert_allclose(away[0, [0, 1, 3]].detach(), [math.cos(math.asin(0.5 / 3)), -1, -0.5], rtol=1e-6)
    assert away[0, 2] == -math.inf
    whole, _ = turned_cosines(v, u, epsilon=1.0)
    assert_allclose(whole[0, [0, 1, 3]].detach(), [1, 1, 1])
    (value.sum() + away[0, [0, 1, 3]].sum() + whole[0, [0, 1, 3]].sum()).backward()
    assert torch.isfinite(gradient_of(v)).all() and torch.isfinite(gradient_of(u)).all()
    stuck, counted = stepped_cosines(v.detach(), u.detach(), epsilon=-0.5, steps=5)
    assert counted.tolist() == [[True, True, True, False]] and stuck[0, 2] == -math.inf


@pytest.mark.parametrize("sign", [1, -1])
def test_renormalised_cosines__points_at_zero_are_found_in_single_precision(sign):
    """Rounding moves cosines of opposite rows off -1; some of the points would otherwise have a direction."""
    generator = torch.Generator().manual_seed(0)
    v = torch.nn.functional.normalize(torch.randn(500, 128, generator=generator), dim=1)
    value, undefined = renormalised_cosines(v, -sign * v, epsilon=float(sign), dot=paired)
    assert undefined.all() and (value == 0).all()
    near = torch.nn.functional.normalize(v + 0.1 * v.roll(1, 0), dim=1)
    assert not renormalised_cosines(v, -sign * near, epsilon=float(sign), dot=paired)[1].any()
