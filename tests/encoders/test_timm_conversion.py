"""Files with other names than timm's: what they hold is what timm's own network gives."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.utils.model import reparameterize_model
from torch.testing import assert_close

from core.encoders.registry import load_encoder
from core.errors import CheckpointError
from tests.encoders.planted import reference, some_pixels, stir
from tests.sentences import as_record

TOLERANCE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-4}
CONVNEXT: dict[str, Any] = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32)}
FACEBOOK = (
    (r"^stem\.(\d)", r"downsample_layers.0.\1"),
    (r"^stages\.(\d)\.downsample\.(\d)", r"downsample_layers.\1.\2"),
    (r"^stages\.(\d)\.blocks\.(\d+)", r"stages.\1.\2"),
    (r"conv_dw", "dwconv"),
    (r"mlp\.fc(\d)", r"pwconv\1"),
    (r"head\.norm", "norm"),
    (r"head\.fc", "head"),
)


def renamed(state, rules):
    result = {}
    for key, tensor in state.items():
        for pattern, name in rules:
            key = re.sub(pattern, name, key)
        result[key] = tensor
    return result


def assert_same(spec, model, **options):
    encoder = load_encoder(spec, **options)
    pixels, transform = some_pixels(encoder.transform.sides[0]), encoder.transform
    expected = reference(model, pixels, transform.mean, transform.std)
    assert_close(encoder.represent(pixels), expected, **TOLERANCE)
    return encoder


def test_facebooks_convnext_is_converted(tmp_path):
    model: Any = timm.create_model("convnext_tiny", num_classes=3, **CONVNEXT)
    torch.save({"model": renamed(model.state_dict(), FACEBOOK)}, tmp_path / "f.pt")
    model.reset_classifier(0)
    spec = f"timm:convnext_tiny?depths=(1,1,2,1)&dims=(8,16,24,32)@{tmp_path / 'f.pt'}"
    assert_same(spec, model, input_size=64)


@pytest.mark.parametrize("spec", ["timm:deit3_small_patch16_224?depth=1&img_size=32@{}", "{}"])
def test_the_authors_deit3_is_read(tmp_path, spec):
    model: Any = timm.create_model("deit3_small_patch16_224", num_classes=3, depth=1, img_size=32)
    rules = ((r"ls(\d)\.gamma", r"gamma_\1"),)
    torch.save({"model": renamed(model.state_dict(), rules)}, tmp_path / "f.pt")
    model.reset_classifier(0)
    assert_same(spec.format(tmp_path / "f.pt"), model)


def test_a_network_whose_branches_were_fused_is_read(tmp_path):
    model = timm.create_model("repvgg_a0", num_classes=3)
    fused: Any = reparameterize_model(model.eval())
    torch.save(fused.state_dict(), tmp_path / "f.pt")
    fused.reset_classifier(0)
    assert_same(f"timm:repvgg_a0@{tmp_path / 'f.pt'}", fused, input_size=64)


EFFICIENTNET = (
    (r"^(conv_stem|conv_head|bn1|bn2)\.", r"_\1."),
    (r"^blocks\.", "_blocks."),
    (r"\.conv_dw\.", "._depthwise_conv."),
    (r"^classifier\.", "_fc."),
)


@pytest.mark.parametrize("spec", ["timm:efficientnet_b0@{}", "{}"])
def test_an_efficientnet_of_efficientnet_pytorch_has_tensorflows_padding(tmp_path, spec):
    model: Any = timm.create_model("tf_efficientnet_b0", num_classes=3)
    stir(model)
    torch.save(renamed(model.state_dict(), EFFICIENTNET), tmp_path / "f.pt")
    model.reset_classifier(0)
    encoder = assert_same(spec.format(tmp_path / "f.pt"), model, input_size=64)
    kinds = {as_record(line).kind for line in encoder.assumptions}
    assert "of_tensorflow" in kinds and "by_order" not in kinds


def test_a_npz_of_jax_is_read_as_timm_reads_it(tmp_path):
    model: Any = timm.create_model("vit_tiny_patch16_224", num_classes=3, depth=1, img_size=32)
    np.savez(tmp_path / "v.npz", **as_big_vision(model.state_dict(), heads=3))
    model.reset_classifier(0)
    name = "vit_tiny_patch16_224?depth=1&img_size=32"
    assert_same(f"timm:{name}@{tmp_path / 'v.npz'}", model)
    for spec in ("{}", "timm:vit_tiny_patch16_224?depth=1@{}", "timm:vit_small_patch16_224?depth=1@{}"):
        with pytest.raises(CheckpointError, match="timm:|name another"):
            load_encoder(spec.format(tmp_path / "v.npz"))


def as_big_vision(state, heads):
    """The arrays of a vision transformer of JAX: kernels are (in, out), those of attention by head."""
    block, width = "blocks.0.", state["norm.weight"].shape[0]
    arrays = {
        "cls": state["cls_token"],
        "embedding/kernel": state["patch_embed.proj.weight"].permute(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
        "head/kernel": state["head.weight"].T,
        "head/bias": state["head.bias"],
    }
    attention = "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/"
    for at, name in enumerate(("query", "key", "value")):
        rows = slice(at * width, (at + 1) * width)
        weight, bias = state[f"{block}attn.qkv.weight"][rows], state[f"{block}attn.qkv.bias"][rows]
        arrays[f"{attention}{name}/kernel"] = weight.T.reshape(width, heads, -1)
        arrays[f"{attention}{name}/bias"] = bias.reshape(heads, -1)
    arrays[f"{attention}out/kernel"] = state[f"{block}attn.proj.weight"].T.reshape(heads, -1, width)
    arrays[f"{attention}out/bias"] = state[f"{block}attn.proj.bias"]
    for at in (0, 1):
        dense = f"Transformer/encoderblock_0/MlpBlock_3/Dense_{at}/"
        arrays[f"{dense}kernel"] = state[f"{block}mlp.fc{at + 1}.weight"].T
        arrays[f"{dense}bias"] = state[f"{block}mlp.fc{at + 1}.bias"]
        norm = f"Transformer/encoderblock_0/LayerNorm_{2 * at}/"
        arrays[f"{norm}scale"] = state[f"{block}norm{at + 1}.weight"]
        arrays[f"{norm}bias"] = state[f"{block}norm{at + 1}.bias"]
    return {key: tensor.numpy() for key, tensor in arrays.items()}
