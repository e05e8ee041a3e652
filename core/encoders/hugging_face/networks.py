"""Build timm's network for weights of Hugging Face `transformers`, and for its own ConvNeXts, which are
named alike: from their shapes, and config.json."""

import copy
import dataclasses
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from timm.layers.norm import LayerNorm
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.swin_transformer import SwinTransformer
from torch import Tensor, nn

from core.common.inside import read_json_file
from core.encoders.architectures import vision_transformer, vit_arguments
from core.encoders.assumptions import assumed
from core.encoders.transform import IMAGENET_MEAN, IMAGENET_STD, Transform
from core.errors import CheckpointError, SettingsError

HALF = (0.5, 0.5, 0.5)
OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PIXELS = {"ViT": (HALF, HALF), "SigLIP": (HALF, HALF), "CLIP": (OPENAI_MEAN, OPENAI_STD)}
# of LayerNorms, in `transformers`
EPSILON = {"ViT": 1e-12, "Swin": 1e-5, "DINOv3": 1e-5, "ConvNeXt": 1e-12}
ACTIVATIONS = {"gelu": "gelu", "quick_gelu": "quick_gelu", "gelu_pytorch_tanh": "gelu_tanh", "silu": "silu"}
RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
PREPROCESSOR = "preprocessor_config.json"
MOST_SIDE = 4096  # pixels of an input view
WHOLE_FROM = 384  # pixels of an input view, from which on a ConvNeXt is shown whole pictures
MISFITS = (KeyError, IndexError, ZeroDivisionError, AssertionError, RuntimeError, TypeError, ValueError)
Tensors = Mapping[str, Tensor]
Config = Mapping[str, Any]


def read_beside(path: Path, name: str = "config.json") -> dict[str, Any]:
    """Return a JSON file beside a checkpoint, or in its folder; {} where there is none that is an object."""
    folder = path if path.is_dir() else path.parent
    try:
        values = read_json_file(folder / name)
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def build_network(family: str, state: Tensors, path: Path) -> tuple[nn.Module, str, Transform, list[str]]:
    """Return the network, the name of its architecture, its transform, and what was assumed.

    Args:
        family: of `names.FAMILIES`, or `convnext` for timm's own.
    Raises:
        CheckpointError: the weights are not those of a network of this kind.
    """
    config = read_beside(path)
    config = config["vision_config"] if isinstance(config.get("vision_config"), dict) else config
    makers = {"Swin": _swin, "ConvNeXt": _convnext, "convnext": _convnext, "DINOv3": _dinov3}
    try:
        model, arguments = makers.get(family, _transformer)(state, config, family)
    except MISFITS as error:
        raise CheckpointError(
            f"its keys are those of {family} in Hugging Face transformers, but its shapes are not "
            f"({type(error).__name__}: {error}); name the network: timm:NAME@PATH"
        ) from None
    arch = f"{family.lower()}[" + ",".join(f"{key}={value}" for key, value in sorted(arguments.items())) + "]"
    notes = []
    if "num_heads" in arguments and family != "Swin" and "num_attention_heads" not in config:
        notes.append(assumed("heads_without_config", n=arguments["num_heads"]))
    if family == "CLIP" and "hidden_act" not in config:
        notes.append(assumed("quick_gelu"))
    size = int(arguments.get("img_size", 224))
    return model, arch.replace(" ", ""), _transform(family, size, path), notes


def _transformer(state: Tensors, config: Config, family: str) -> tuple[nn.Module, dict]:
    """Build a plain ViT, DINOv2, CLIP or SigLIP. Only a few numbers of config.json are used."""
    heads = _whole(config, "num_attention_heads")
    fits = heads and len(state["patch_embed.proj.weight"]) % heads == 0
    arguments: dict[str, Any] = dict(vit_arguments(state, heads=heads if fits else None))
    arguments["eps"] = _number(config, "layer_norm_eps") or EPSILON.get(family, arguments.get("eps", 1e-6))
    usual = {"CLIP": "quick_gelu", "SigLIP": "gelu_pytorch_tanh"}.get(family, "gelu")
    act = ACTIVATIONS.get(str(config.get("hidden_act", usual)), "gelu")
    if act != "gelu" and "mlp" not in arguments:
        arguments["act_layer"] = act
    return vision_transformer(arguments), arguments


def _dinov3(state: Tensors, config: Config, family: str) -> tuple[nn.Module, dict]:
    patch, dim = state["patch_embed.proj.weight"].shape[-1], len(state["norm.weight"])
    gated = "blocks.0.mlp.fc1_g.weight" in state
    hidden = len(state[f"blocks.0.mlp.fc1{'_x' if gated else ''}.weight"])
    size = _whole(config, "image_size") or 256
    heads = _whole(config, "num_attention_heads") or max(dim // 64, 1)
    arguments: dict[str, Any] = {
        "img_size": size if size % patch == 0 else 16 * patch,
        "patch_size": patch,
        "embed_dim": dim,
        "depth": _count(state, r"blocks\.(\d+)\."),
        "num_heads": heads,
        "mlp_ratio": hidden / dim,
        "num_reg_tokens": state["reg_token"].shape[1],
        "qkv_bias": "blocks.0.attn.q_bias" in state,
        "rope_temperature": _number(config, "rope_theta") or 100.0,
        "swiglu_mlp": gated,
    }
    model = Eva(
        **arguments,
        num_classes=0,
        global_pool="token",
        dynamic_img_size=True,
        init_values=1.0,
        rope_type="dinov3",
        rope_rotate_half=True,
        use_rot_pos_emb=True,
        use_abs_pos_emb=False,
        use_fc_norm=False,
        swiglu_align_to=8,
        norm_layer=partial(LayerNorm, eps=_number(config, "layer_norm_eps") or EPSILON[family]),
    )
    return model, arguments


def _swin(state: Tensors, config: Config, family: str) -> tuple[nn.Module, dict]:
    n_stages = _count(state, r"layers\.(\d+)\.blocks\.")
    tables = [
        state[f"layers.{stage}.blocks.0.attn.relative_position_bias_table"] for stage in range(n_stages)
    ]
    patch = state["patch_embed.proj.weight"]
    hidden = len(state["layers.0.blocks.0.mlp.fc1.weight"])
    depths = [_count(state, rf"layers\.{stage}\.blocks\.(\d+)\.") for stage in range(n_stages)]
    window = (round(len(tables[0]) ** 0.5) + 1) // 2
    arguments: dict[str, Any] = {
        "img_size": _whole(config, "image_size") or 224,
        "patch_size": patch.shape[-1],
        "embed_dim": len(patch),
        "depths": tuple(depths),
        "num_heads": tuple(table.shape[1] for table in tables),
        "window_size": window,
        "mlp_ratio": hidden / len(patch),
        "qkv_bias": "layers.0.blocks.0.attn.qkv.bias" in state,
    }
    return SwinTransformer(**arguments, num_classes=0, strict_img_size=False), arguments


def _convnext(state: Tensors, config: Config, family: str) -> tuple[nn.Module, dict]:
    n_stages = _count(state, r"stages\.(\d+)\.blocks\.")
    arguments: dict[str, Any] = {
        "depths": tuple(_count(state, rf"stages\.{stage}\.blocks\.(\d+)\.") for stage in range(n_stages)),
        "dims": tuple(len(state[f"stages.{stage}.blocks.0.norm.weight"]) for stage in range(n_stages)),
        "patch_size": state["stem.0.weight"].shape[-1],
        "use_grn": "stages.0.blocks.0.mlp.grn.weight" in state,
    }
    if state["stages.0.blocks.0.mlp.fc1.weight"].ndim == 4:
        arguments["conv_mlp"] = True
    scale = 1.0 if "stages.0.blocks.0.gamma" in state else None
    model = ConvNeXt(**arguments, ls_init_value=scale, num_classes=0)
    if isinstance(norm := model.head.norm, nn.LayerNorm):
        norm.eps = _number(config, "layer_norm_eps") or EPSILON.get(family, 1e-6)  # of the last norm alone
    return model, arguments


def with_classifier(model: nn.Module, linear: nn.Linear | None = None) -> nn.Module:
    """A copy of a ConvNeXt of timm that ends in a classifier; None: one of two outputs."""
    network: Any = copy.deepcopy(model)
    network.head.fc = linear or nn.Linear(network.num_features, 2)
    return network


def _count(state: Tensors, pattern: str) -> int:
    numbers = {int(match[1]) for key in state if (match := re.match(pattern, key))}
    return max(numbers, default=-1) + 1


def _whole(config: Config, name: str) -> int | None:
    value: Any = config.get(name)
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return value if is_whole and 0 < value <= MOST_SIDE else None


def _number(config: Config, name: str) -> float | None:
    value: Any = config.get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 1e9 else None


def _transform(family: str, size: int, path: Path) -> Transform:
    """Return the transform of preprocessor_config.json beside, else the usual one of this kind of network."""
    mean, std = PIXELS.get(family, (IMAGENET_MEAN, IMAGENET_STD))
    squash = family in ("ViT", "SigLIP", "DINOv3")
    base = Transform(
        resize=None if squash or family == "CLIP" else round(size * 256 / 224),
        input_size=size,
        mean=mean,
        std=std,
        interpolation="bilinear" if family in ("ViT", "DINOv3") else "bicubic",
        crop="squash" if squash else "center",
    )
    try:
        return dataclasses.replace(base, **_stated(family, size, read_beside(path, PREPROCESSOR)))
    except (SettingsError, TypeError, ValueError):
        return base


def _stated(family: str, size: int, settings: Config) -> dict[str, Any]:
    """What preprocessor_config.json says of the transform. It raises where its values are of other types."""
    changes: dict[str, Any] = {}
    for ours, theirs in (("mean", "image_mean"), ("std", "image_std")):
        if isinstance(settings.get(theirs), list):
            changes[ours] = tuple(settings[theirs])
    if settings.get("resample") in RESAMPLE:
        changes["interpolation"] = RESAMPLE[settings["resample"]]
    sides = settings.get("size")
    shortest = _whole(sides, "shortest_edge") if isinstance(sides, dict) else _whole(settings, "size")
    if family == "ConvNeXt" and shortest and not settings.get("do_center_crop"):
        changes |= _view_of_convnext(shortest, _number(settings, "crop_pct"))
    if family == "Swin" and sides and not settings.get("do_center_crop"):
        changes |= {"resize": None, "crop": "squash"}
    crop = settings.get("crop_size")
    crop = _whole(crop, "height") if isinstance(crop, dict) else _whole(settings, "crop_size")
    if settings.get("do_center_crop") and crop == size and shortest:
        changes |= {"resize": shortest, "crop": "center"}
    return changes


def _view_of_convnext(side: int, share: float | None) -> dict[str, Any]:
    """The view that its own processor gives: the middle `share` of a picture; from WHOLE_FROM on, all."""
    if side >= WHOLE_FROM:
        return {"input_size": side, "resize": None, "crop": "squash"}
    share = share if share and 0.1 <= share <= 10 else 224 / 256
    return {"input_size": side, "resize": int(side / share), "crop": "center"}
