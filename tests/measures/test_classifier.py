"""A classifier in numbers against the same modules of torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from core.analysis.removal import logits_without
from core.answers.class_logits import ACTIVATIONS, Classifier
from core.encoders.head import ACTIVATIONS as RECOGNISED


def numbers(linear: nn.Linear) -> tuple[np.ndarray, np.ndarray]:
    return linear.weight.detach().numpy(), linear.bias.detach().numpy()


@pytest.mark.parametrize("activation", ["", *ACTIVATIONS])
def test_logits_gradients_and_removal__are_those_of_torch(activation):
    torch.manual_seed(0)
    width = 9 if activation else 6
    first, last = nn.Linear(6, 9).double(), nn.Linear(width, 5).double()
    network, classifier = last, Classifier(*numbers(last))
    if activation:
        first.weight.data *= 6  # as far as where curves bend
        network = nn.Sequential(first, getattr(nn, activation)(), last)
        classifier = Classifier(*numbers(last), *numbers(first), activation=activation)
    raw = torch.randn(40, 6, dtype=torch.float64, requires_grad=True)
    toward = torch.randn(40, 5, dtype=torch.float64)
    logits = network(raw)
    expected = torch.autograd.grad((logits * toward).sum(), raw)[0]
    values = raw.detach().numpy()
    assert_allclose(classifier.logits(values), logits.detach(), atol=1e-12)
    assert_allclose(classifier.gradients(values, toward.numpy()), expected, atol=1e-12)
    means, removed = np.linspace(0, 1, 6), np.tile([[4, -1, 1]], (40, 1))
    changed = raw.detach().clone()
    changed[:, [1, 4]] = torch.from_numpy(means)[[1, 4]]
    without = logits_without(classifier, classifier.start(values), values, means, removed)
    assert_allclose(without, network(changed).detach(), atol=1e-12)
    kept = np.array([True, False, False, True, True])
    assert_allclose(classifier.of_outputs(kept).logits(values), logits.detach().numpy()[:, kept], atol=1e-12)


def test_every_activation_that_is_recognised_is_known():
    stated = {"Identity"}  # by --head-activation: a network without one between its layers is linear
    assert {one.__name__ for one in RECOGNISED} - {"UnknownActivation"} == set(ACTIVATIONS) - stated
