"""Grad-CAM under every pooling: the closed form against pytorch-grad-cam."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from pytorch_grad_cam import GradCAM

from core.analysis.gradcam import channel_maps, direction_maps, gradcam_maps, method_of
from core.config import POOLINGS
from core.encoders.encoder import Encoder
from core.encoders.registry import load_encoder
from core.encoders.transform import Transform
from core.study.heatmaps import combine
from tests.encoders.planted import narrow_resnet, some_pixels

pytestmark = pytest.mark.usefixtures("one_thread")

SIZE, SINGLE = 128, 1e-4


@pytest.fixture(params=POOLINGS)
def encoder(request):
    transform = Transform(resize=None, input_size=SIZE)
    return Encoder(narrow_resnet(), transform, arch="narrow", pool=request.param)


def by_the_library(encoder, pixels, target):
    """(B, S, S): the library as its README uses it, a black box."""
    with GradCAM(encoder.model, [encoder.target_module]) as cam:
        cam.compute_input_gradient = True  # the encoder's weights are frozen
        return cam(encoder.normalise(pixels), [target] * len(pixels))


def heatmap(maps):
    maps = np.asarray(maps)
    return combine(maps, np.ones(len(maps)), "mean", SIZE)


def test_closed_form__is_the_librarys_map(encoder):
    pixels = some_pixels(SIZE)
    features = encoder.represent(pixels).min(0).values.topk(5).indices.numpy()
    maps = gradcam_maps(encoder, pixels, features, method="closed")
    torch.testing.assert_close(
        maps, gradcam_maps(encoder, pixels, features, method="library"), rtol=1e-4, atol=1e-7
    )
    assert method_of(encoder) == "closed form" and maps.shape[2:] == (4, 4)
    for at, j in enumerate(features):
        expected = by_the_library(encoder, pixels, lambda raw, j=j: raw[j])
        for image in range(len(pixels)):
            assert expected[image].max() > 0.9
            assert_allclose(heatmap(maps[image, at : at + 1]), expected[image], atol=SINGLE)


def test_closed_form__is_the_librarys_map_for_the_packaged_encoder():
    """A real network of photographs: its last map has channels that are zero nearly everywhere."""
    encoder, pixels = load_encoder("asset:efficientnet_lite0"), some_pixels(224)[:1]
    features = encoder.represent(pixels)[0].topk(2).indices.numpy()
    maps = gradcam_maps(encoder, pixels, features)
    assert (method_of(encoder), encoder.target_layer) == ("closed form", "bn2")
    for at, j in enumerate(features):
        expected = by_the_library(encoder, pixels, lambda raw, j=j: raw[j])
        assert expected[0].max() > 0.9
        ours = combine(np.asarray(maps[0, at : at + 1]), np.ones(1), "mean", 224)
        assert_allclose(ours, expected[0], atol=SINGLE)


def test_directions__are_the_librarys_maps(encoder, rng):
    """Here the weights of several channels matter, not only each map up to a factor."""
    pixels, directions = some_pixels(SIZE), rng.normal(size=(3, encoder.n_features))
    maps = direction_maps(encoder, pixels, directions, method="closed")
    library = direction_maps(encoder, pixels, directions, method="library")
    torch.testing.assert_close(maps, library, rtol=1e-3, atol=1e-6)
    for k, direction in enumerate(torch.from_numpy(directions).float()):
        expected = by_the_library(encoder, pixels, lambda raw, along=direction: raw @ along)
        for image in range(len(pixels)):
            assert_allclose(heatmap(maps[image, k : k + 1]), expected[image], atol=SINGLE)


def test_all_channels_at_once__are_the_single_ones(encoder):
    pixels = some_pixels(SIZE)
    raw, maps = channel_maps(encoder, pixels)
    torch.testing.assert_close(maps, gradcam_maps(encoder, pixels, np.arange(encoder.n_features)))
    torch.testing.assert_close(raw, encoder.represent(pixels))


def test_scaled_heatmaps__do_not_depend_on_the_pooling():
    """Only a channel that is zero everywhere has none, and it has none under any pooling."""
    transform, pixels = Transform(resize=None, input_size=SIZE), some_pixels(SIZE)
    maps = [
        channel_maps(Encoder(narrow_resnet(), transform, arch="narrow", pool=pool), pixels)[1]
        for pool in POOLINGS
    ]
    for image in range(len(pixels)):
        for feature in range(0, 64, 7):
            first = heatmap(maps[0][image, feature : feature + 1])
            for other in maps[1:]:
                assert_allclose(heatmap(other[image, feature : feature + 1]), first, atol=SINGLE)
    zero = maps[0].amax((2, 3)) == 0
    assert all(torch.equal(zero, other.amax((2, 3)) == 0) for other in maps)
