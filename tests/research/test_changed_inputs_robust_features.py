"""Targeted steps: the number of steps on a linear model, against a loop, and what is left out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core.errors import SettingsError, ShapeError
from core.research.changed_inputs_robust_features import draw_targets, robust_feature_sets, targeted_fgsm


def linear(weights: torch.Tensor):
    return lambda images: images.flatten(1) @ weights.T


def test_targeted_fgsm__reaches_the_target_of_a_linear_model_in_the_computed_number_of_steps():
    """Two classes: each step changes the margin by step * sum |w_1 - w_0|, as long as nothing is clipped."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2, 12, generator=generator, dtype=torch.float64)
    images = 0.5 + 0.02 * torch.randn(20, 3, 2, 2, generator=generator, dtype=torch.float64)
    gap = weights[1] - weights[0]
    targets = (images.flatten(1) @ gap < 0).long()  # the class that is not predicted
    found = targeted_fgsm(linear(weights), images, targets, step=0.01, steps=200)
    margin = (images.flatten(1) @ gap).abs()
    expected = [math.ceil(float(m) / (0.01 * float(gap.abs().sum())) - 1e-9) for m in margin]
    assert found.reached.all() and found.steps.tolist() == expected and max(expected) > 1
    np.testing.assert_allclose(found.change, 0.01 * np.array(expected), atol=1e-9)


def test_targeted_fgsm__matches_a_loop_over_images(rng):
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(12, 8), torch.nn.Tanh(), torch.nn.Linear(8, 4)
    )
    network.requires_grad_(False)
    images, targets = torch.rand(10, 3, 2, 2), torch.arange(10) % 4
    found = targeted_fgsm(network, images, targets, step=0.05, steps=6)
    for row in range(10):
        x, taken, reached = images[row : row + 1].clone(), 6, False
        for k in range(7):
            if int(network(x).argmax()) == int(targets[row]):
                taken, reached = k, True
                break
            if k == 6:
                break
            leaf = x.clone().requires_grad_()
            torch.nn.functional.cross_entropy(network(leaf), targets[row : row + 1]).backward()
            assert leaf.grad is not None
            x = torch.clip(x - 0.05 * torch.sign(leaf.grad), 0, 1)
        assert (int(found.steps[row]), bool(found.reached[row])) == (taken, reached)
        assert torch.allclose(found.images[row], x[0], atol=1e-6)
    assert found.reached.sum() > 0 and found.images.min() >= 0 and found.images.max() <= 1


def test_targeted_fgsm__leaves_alone_what_is_right_and_stops_without_gradient():
    weights = torch.zeros(2, 12)
    weights[0, 0] = 1.0
    images = torch.full((2, 3, 1, 4), 0.5)
    right = targeted_fgsm(linear(weights), images, torch.tensor([0, 0]))
    assert right.steps.tolist() == [0, 0] and torch.equal(right.images, images)
    flat = targeted_fgsm(
        lambda x: torch.tensor([[1.0, 0.0]]).repeat(len(x), 1) + 0 * x.sum(), images, torch.tensor([1, 1])
    )
    assert flat.stuck.all() and not flat.reached.any() and flat.change.max() == 0
    short = targeted_fgsm(linear(weights), images, torch.tensor([1, 1]), steps=2)
    assert not short.reached.any() and short.steps.tolist() == [2, 2] and not short.stuck.any()


def test_targeted_fgsm__refuses():
    images = torch.rand(2, 3, 1, 1)
    with pytest.raises(ShapeError):
        targeted_fgsm(linear(torch.zeros(2, 3)), images, torch.tensor([0]))
    with pytest.raises(SettingsError, match="0.*above.*0"):
        targeted_fgsm(linear(torch.zeros(2, 3)), images, torch.tensor([0, 1]), step=0)
    with pytest.raises(SettingsError, match="steps.*0.*1"):
        targeted_fgsm(linear(torch.zeros(2, 3)), images, torch.tensor([0, 1]), steps=0)


def test_draw_targets__uniform_over_all_or_over_the_others():
    labels = np.arange(4000) % 4
    drawn = draw_targets(labels, 4, seed=0)
    assert (drawn == labels).mean() == pytest.approx(0.25, abs=0.03)
    assert np.bincount(drawn).min() > 900
    others = draw_targets(labels, 4, seed=0, other=True)
    assert not (others == labels).any() and np.bincount(others).min() > 900
    with pytest.raises(SettingsError, match="classes"):
        draw_targets(labels, 1, seed=0)


def test_robust_feature_sets__only_what_reached_its_target():
    rows, true, aimed = robust_feature_sets(
        np.array([True, False, True]), np.array([0, 1, 2]), np.array([2, 0, 1])
    )
    assert rows.tolist() == [0, 2] and true.tolist() == [0, 2] and aimed.tolist() == [2, 1]
