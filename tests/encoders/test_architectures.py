"""Architectures are read off the shapes of weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import timm
import torch
import torchvision

from core.encoders.architectures import (
    ResNet,
    ResNetShape,
    Stem,
    named_resnet,
    resnet_shape,
    vision_transformer,
    vit_arguments,
)
from core.errors import CheckpointError, EncoderError

NAMES = ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "resnext50_32x4d"]


def on_meta(make, *args):
    with torch.device("meta"):
        return make(*args)


def shapes(model):
    return {k: tuple(v.shape) for k, v in model.state_dict().items() if not k.startswith("fc.")}


@pytest.mark.parametrize("name", NAMES)
def test_named_inferred_and_torchvisions_resnets_agree(name):
    theirs = on_meta(torchvision.models.get_model, name)
    inferred = resnet_shape(theirs.state_dict())
    assert inferred.name == name
    assert inferred == named_resnet(name, stem=Stem())
    assert shapes(on_meta(ResNet, inferred)) == shapes(theirs)


@pytest.mark.parametrize(
    ("name", "n_features"), [("resnet50x2", 4096), ("resnet50x4", 8192), ("resnet50w2", 4096)]
)
def test_wide_resnets_of_swav_and_simclr(name, n_features):
    model = on_meta(ResNet, named_resnet(name, stem=Stem()))
    assert model.conv1.weight.shape[0] == n_features // 32
    assert model.get_parameter("layer4.2.conv3.weight").shape[0] == n_features
    assert resnet_shape(model.state_dict()).name == name.replace("w", "x")


def test_a_3x3_first_convolution_is_read_as_a_cifar_stem():
    shape = replace(named_resnet("resnet18", stem=Stem()), stem=Stem(cifar=True, padding=1, maxpool=False))
    assert resnet_shape(on_meta(ResNet, shape).state_dict()) == shape


def test_unusual_resnets_have_a_name_too():
    assert ResNetShape(False, (1, 1), width=16).name == "resnet[1-1]w16"


def test_names_that_do_not_exist():
    for name in ("resnet19", "densenet121", "resnet18_2x4d"):
        with pytest.raises(EncoderError, match=f"unknown architecture '{name}'"):
            named_resnet(name, stem=Stem())


def test_stems_that_are_not_plain():
    state = on_meta(timm.create_model, "resnet18d").state_dict()
    with pytest.raises(CheckpointError, match="deep stem.*timm:resnet50d@PATH"):
        resnet_shape(state)
    state = on_meta(torchvision.models.resnet18).state_dict() | {"conv1.weight": torch.empty(64, 3, 5, 5)}
    with pytest.raises(CheckpointError, match="5x5.*7x7.*3x3"):
        resnet_shape(state)


@pytest.mark.parametrize(
    "name",
    [
        *("vit_tiny_patch16_224", "vit_small_patch8_224", "vit_base_patch16_224", "vit_huge_patch14_224"),
        *("vit_small_patch14_reg4_dinov2", "vit_giant_patch14_dinov2", "vit_base_patch16_siglip_224"),
        *("vit_base_patch32_clip_224", "vit_so400m_patch14_siglip_224", "vit_giantopt_patch16_siglip_256"),
    ],
)
def test_vision_transformers(name):
    blocks: dict[str, Any] = (
        {} if name == "vit_tiny_patch16_224" else {"depth": 2}
    )  # what a block is like, one tells
    theirs: Any = on_meta(lambda: timm.create_model(name, **blocks))
    arguments = vit_arguments(theirs.state_dict())
    assert arguments["num_heads"] == theirs.blocks[0].attn.num_heads
    ours: Any = on_meta(lambda: vision_transformer(arguments))
    assert ours.blocks[0].norm1.eps == theirs.blocks[0].norm1.eps
    del theirs.head
    assert {k: v.shape for k, v in ours.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }


def test_moco_v3s_small_transformer_has_twelve_heads():
    state = on_meta(timm.create_model, "vit_small_patch16_224").state_dict()
    assert vit_arguments(state)["num_heads"] == 6
    assert vit_arguments(state, moco_v3=True)["num_heads"] == 12


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pos_embed": torch.zeros(1, 6, 384)}, "no square grid of position embeddings; name it"),
        ({"blocks.0.mlp.w12.weight": torch.zeros(8, 384)}, "blocks of another kind; name it"),
    ],
)
def test_vit_arguments__names_the_transformers_that_keys_alone_do_not_describe(more, message):
    state = {
        "patch_embed.proj.weight": torch.zeros(384, 3, 14, 14),
        "pos_embed": torch.zeros(1, 4, 384),
        "blocks.0.norm1.weight": torch.zeros(384),
    }
    with pytest.raises(CheckpointError, match=message):
        vit_arguments(state | more)
