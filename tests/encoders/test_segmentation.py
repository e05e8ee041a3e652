"""Encoders of networks of segmentation: what their weights do not show is what stands beside them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from core.encoders.architectures import network_of_torchvision
from core.encoders.registry import load_encoder
from core.encoders.transform import IMAGENET_MEAN, IMAGENET_STD
from core.errors import CheckpointError
from tests.encoders.planted import narrow_resnet, reference, some_pixels, stir, under

TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}


def save(folder, state, prefix="encoder.", **config):
    rest = {"decoder.0.weight": torch.ones(2, 2, 1, 1), "segmentation_head.0.weight": torch.ones(1, 2, 3, 3)}
    save_file(under(prefix, dict(state)) | rest, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def dilated(model, rates):
    """Every convolution of these stages keeps the size and reads every `rate`-th pixel."""
    for name, rate in rates.items():
        convolutions: list[Any] = [
            one for one in getattr(model, name).modules() if isinstance(one, nn.Conv2d)
        ]
        for conv in convolutions:
            conv.stride, conv.dilation = 1, rate
            conv.padding = rate if conv.kernel_size == (3, 3) else 0
    return model


@pytest.mark.parametrize(
    ("config", "rates"),
    [
        ({"_model_class": "Unet"}, {}),
        ({"_model_class": "DeepLabV3Plus", "encoder_output_stride": 16}, {"layer4": 2}),
        ({"_model_class": "DeepLabV3Plus", "encoder_output_stride": 8}, {"layer3": 2, "layer4": 4}),
        ({"_model_class": "PAN"}, {"layer4": 2}),
    ],
)
def test_the_output_stride_beside_the_weights_decides(tmp_path, config, rates):
    model = torchvision.models.resnet18()
    stir(model)
    model.set_submodule("fc", nn.Identity())
    encoder = load_encoder(
        save(tmp_path, model.state_dict(), encoder_name="resnet18", **config), input_size=64
    )
    pixels = some_pixels(64)
    expected = reference(dilated(model, rates), pixels, IMAGENET_MEAN, IMAGENET_STD)
    assert_close(encoder.represent(pixels), expected, **TOLERANCE)


def test_a_network_of_timm_is_dilated_as_timm_does(tmp_path):
    model = timm.create_model("resnet18", num_classes=0, output_stride=8)
    stir(model)
    config = {"encoder_name": "tu-resnet18", "_model_class": "DeepLabV3", "encoder_output_stride": 8}
    encoder = load_encoder(save(tmp_path, model.state_dict(), "encoder.model.", **config), input_size=64)
    pixels, transform = some_pixels(64), encoder.transform
    expected = reference(model, pixels, transform.mean, transform.std)
    assert_close(encoder.represent(pixels), expected, **TOLERANCE)


def test_an_output_stride_of_an_encoder_that_is_not_known_refuses(tmp_path):
    config = {"encoder_name": "mine", "_model_class": "DeepLabV3", "encoder_output_stride": 8}
    with pytest.raises(CheckpointError, match="output_stride"):
        load_encoder(save(tmp_path, narrow_resnet().state_dict(), **config))


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["{}", "torchvision:fcn_resnet50@{}"])
def test_the_backbone_of_torchvisions_fcn_is_dilated(tmp_path, spec):
    model: Any = torchvision.models.get_model("fcn_resnet50", weights=None, weights_backbone=None).eval()
    stir(model)
    torch.save(model.state_dict(), tmp_path / "f.pt")
    encoder = load_encoder(spec.format(tmp_path / "f.pt"), input_size=64)
    x = encoder.normalise(some_pixels(64))
    assert_close(encoder.represent(some_pixels(64)), model.backbone(x)["out"].mean((2, 3)), **TOLERANCE)


@pytest.mark.parametrize(("name", "other"), [("fcn_resnet50", False), ("deeplabv3_resnet50", True)])
def test_torchvisions_networks_are_known_by_all_their_tensors(name, other):
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None, weights_backbone=None, aux_loss=other)
    state = dict(model.state_dict())
    assert network_of_torchvision({"model": under("module.", state)}) == name
    assert network_of_torchvision(state | {"classifier.9.weight": torch.ones(1)}) is None
