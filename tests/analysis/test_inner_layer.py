"""Grad-CAM at an inner layer: the closed form, the library, and the library alone give the same maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from pytorch_grad_cam import GradCAM
from torch import nn

from core.analysis.gradcam import direction_maps, gradcam_maps, method_of
from core.encoders.encoder import Encoder
from core.encoders.transform import Transform
from tests.analysis.test_gradcam import SINGLE, by_the_library, firing, heatmap, pixels_of
from tests.encoders.planted import narrow_resnet

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("layer", ["layer2", "layer3.0"])
def test_an_inner_layer_has_the_closed_form(layer):
    encoder = Encoder(narrow_resnet(), Transform(resize=None, input_size=64), arch="narrow", layer=layer)
    pixels = pixels_of(encoder)
    features = firing(encoder, pixels, 4)
    closed, library = (gradcam_maps(encoder, pixels, features, method=m) for m in ("closed", "library"))
    assert method_of(encoder) == "closed form" and closed.shape[2] > 2
    for image in range(3):
        for at in range(4):
            one = slice(at, at + 1)
            assert_allclose(heatmap(closed[image, one], 64), heatmap(library[image, one], 64), atol=SINGLE)


class Pooled(nn.Module):
    """A network cut after some of its parts, whose map goes through a ReLU of its own into the average."""

    def __init__(self, parts):
        super().__init__()
        self.parts, self.relu = nn.Sequential(*parts), nn.ReLU()

    def forward(self, x):
        return self.relu(self.parts(x)).mean((2, 3))


@pytest.mark.parametrize("layer", ["layer1", "layer2", "layer3.0.conv1"])
def test_the_sum_at_an_inner_layer_is_the_same_by_both_and_by_the_library_alone(layer):
    """A library that looked before the ReLU would weight each channel by its share of positive positions."""
    encoder = Encoder(narrow_resnet(), Transform(resize=None, input_size=64), arch="narrow", layer=layer)
    pixels = pixels_of(encoder)
    _, layer_maps = encoder.represent_with_map(pixels)
    features = (layer_maps > 0).float().mean((0, 2, 3)).sort().indices[-12::2].numpy()  # of unlike shares
    direction = np.zeros((1, encoder.n_features))
    direction[0, features] = 1
    closed, library = (
        direction_maps(encoder, pixels, direction, method=m).numpy() for m in ("closed", "library")
    )
    assert_allclose(library, closed, rtol=1e-4, atol=1e-7)
    singles = gradcam_maps(encoder, pixels, features).numpy()
    expected = by_the_library(encoder, pixels, lambda raw: raw[features].sum())
    for image in range(len(pixels)):
        assert expected[image].max() > 0.9
        assert_allclose(heatmap(closed[image], 64), expected[image], atol=SINGLE)
        assert_allclose(heatmap(singles[image], 64, "sum"), expected[image], atol=SINGLE)


def test_the_sum_at_an_inner_layer_is_that_of_a_network_that_ends_there():
    base = narrow_resnet()
    encoder = Encoder(base, Transform(resize=None, input_size=64), arch="narrow", layer="layer2")
    pixels, features = pixels_of(encoder), np.array([0, 3, 5, 8])
    parts = (base.conv1, base.bn1, base.relu, base.maxpool, base.layer1, base.layer2)
    alone = Pooled(parts).eval()
    torch.testing.assert_close(alone(encoder.normalise(pixels)), encoder.represent(pixels))
    with GradCAM(alone, [alone.relu]) as cam:
        cam.compute_input_gradient = True
        targets: Any = [lambda raw: raw[features].sum()] * len(pixels)
        expected = cam(encoder.normalise(pixels), targets)
    direction = np.zeros((1, encoder.n_features))
    direction[0, features] = 1
    for method in ("closed", "library"):
        maps = direction_maps(encoder, pixels, direction, method=method).numpy()
        for image in range(len(pixels)):
            assert_allclose(heatmap(maps[image], 64), expected[image], atol=SINGLE)
