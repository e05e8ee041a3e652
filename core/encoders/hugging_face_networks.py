"""Build timm's network for weights of Hugging Face `transformers`, and for its own ConvNeXts, which are
named alike: from their shapes, config.json, and the settings of their image processor."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from timm.layers.create_act import get_act_layer
from timm.layers.norm import LayerNorm
from timm.models.beit import Beit
from timm.models.convnext import ConvNeXt
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.swin_transformer import SwinTransformer
from timm.models.swin_transformer_v2 import SwinTransformerV2
from torch import Tensor, nn

from core.common.entries import Taken
from core.encoders.architectures import vision_transformer, vit_arguments
from core.encoders.assumptions import assumed
from core.encoders.hugging_face_processors import GIVE, HALF, OPENAI_MEAN, OPENAI_STD, View, read_view
from core.encoders.hugging_face_settings import (
    CONFIG,
    activation,
    check_held,
    encoder_settings,
    stated_number,
    stated_whole,
    untaken,
)
from core.encoders.transform import IMAGENET_MEAN, IMAGENET_STD, Transform, sides_of
from core.errors import CheckpointError

PIXELS = {"ViT": (HALF, HALF), "SigLIP": (HALF, HALF), "CLIP": (OPENAI_MEAN, OPENAI_STD)}
# of LayerNorms, in `transformers`
EPSILON = {
    "BEiT": 1e-12,
    "SwinV2": 1e-5,
    "ViT": 1e-12,
    "DeiT": 1e-12,
    "Swin": 1e-5,
    "DINOv3": 1e-5,
    "ConvNeXt": 1e-12,
}
ANY_SIZE = (
    "DINOv2",
    "DINOv3",
    "Swin",
    "SwinV2",
    "ConvNeXt",
    "convnext",
)  # networks that transformers gives other sizes
GIVEN = frozenset(("mean", "std", "input_size"))  # flags that stand in place of a processor
MISFITS = (KeyError, IndexError, ZeroDivisionError, AssertionError, RuntimeError, TypeError, ValueError)
Tensors = Mapping[str, Tensor]
Config = Mapping[str, Any]


@dataclass(frozen=True)
class BuiltNetwork:
    """A network for weights, and what is known of its input.

    Attributes:
        state: the weights as it takes them: position embeddings have the grid of the view.
        stated_by: the file that states the network, with which the weights agree; "" for none.
    """

    model: nn.Module
    arch: str
    view: View
    notes: list[str]
    state: dict[str, Tensor]
    stated_by: str = ""


def build_network(
    family: str, state: Tensors, path: Path, flags: frozenset[str] = frozenset()
) -> BuiltNetwork:
    """Return the network of a checkpoint of `transformers`, its transform, and what was assumed.

    Args:
        family: of `names.FAMILIES`, or `convnext` for timm's own.
        flags: names of the settings of pixels that the user gives, or that stand in a sidecar.
    Raises:
        CheckpointError: the weights are not those of a network of this kind, or the files beside them say
            otherwise, or something that is not known.
    """
    of_timm = family == "convnext"
    config = Taken({}, "") if of_timm else encoder_settings(path, family)
    makers = {
        "BEiT": _beit,
        "SwinV2": _swin_v2,
        "Swin": _swin,
        "ConvNeXt": _convnext,
        "convnext": _convnext,
        "DINOv3": _dinov3,
    }
    make, tensors = makers.get(family, _transformer), dict(state)
    try:
        own_sides = _own_sides(tensors, config)
        if "pos_embed" in tensors and not of_timm:
            check_held(config, {"image_size": own_sides[0] if own_sides[0] == own_sides[1] else own_sides})
        view = (
            View(_usual(family, own_sides)) if of_timm else read_view(path, family, _usual(family, own_sides))
        )
        view = _checked(view, family, own_sides, flags)
        sides = view.transform.sides if view.stated and family in ANY_SIZE else own_sides
        tensors = _on_grid(tensors, family, sides)
        model, arguments = make(tensors, config, family, sides)
    except MISFITS as error:
        raise CheckpointError(
            f"its keys are those of {family} in Hugging Face transformers, but its shapes are not "
            f"({type(error).__name__}: {error}); name the network: timm:NAME@PATH"
        ) from None
    settings = ",".join(f"{key}={value}" for key, value in sorted(arguments.items()))
    arch = f"{family.lower()}[{settings}]"
    notes = list(view.notes)
    if "num_heads" in arguments and not family.startswith("Swin") and "num_attention_heads" not in config:
        notes.append(assumed("heads_without_config", n=arguments["num_heads"]))
    if family == "CLIP" and "hidden_act" not in config:
        notes.append(assumed("quick_gelu"))
    if left := untaken(config):
        notes.append(assumed("network_untaken", names=tuple(left)))
    stated_by = CONFIG if len(config) else ""
    return BuiltNetwork(model, arch.replace(" ", ""), view, notes, tensors, stated_by)


def _own_sides(state: Tensors, config: Config) -> tuple[int, int]:
    """Height and width of the input that the position embeddings have places for; else those of config.json,
    or 224."""
    size = config.get("image_size")
    if isinstance(size, list | tuple) and len(size) == 2 and size[0] != size[1]:
        pair = {"image_size": size[0]}, {"image_size": size[1]}
        height, width = (stated_whole(one, "image_size") or 224 for one in pair)
        return height, width
    if "pos_embed" in state:
        size = vit_arguments(_without_distillation(state), heads=1)["img_size"]
    elif not isinstance(size, list | tuple):
        size = stated_whole(config, "image_size")
    return sides_of(size or 224)


def _without_distillation(state: Tensors) -> Tensors:
    """The weights without the second token of DeiT and its place: a plain ViT's, for their shapes alone."""
    if "dist_token" not in state:
        return state
    plain = {key: tensor for key, tensor in state.items() if key != "dist_token"}
    return plain | {"pos_embed": state["pos_embed"][:, 1:]}


def _checked(view: View, family: str, trained: tuple[int, int], flags: frozenset[str]) -> View:
    """The view, or the error that it is not known or not that of the network."""
    if view.problem and not flags >= GIVEN:
        raise CheckpointError(f"{view.problem}: give {GIVE}, or a sidecar with a transform")
    sides = view.transform.sides
    is_free = family in ANY_SIZE or not view.source or view.problem
    if is_free or sides == trained or "input_size" in flags:
        return view
    shown, embedded = f"{sides[0]} x {sides[1]} pixels", f"{trained[0]} x {trained[1]}"
    raise CheckpointError(
        f"{view.source} beside it shows pictures of {shown}, but the weights hold position embeddings for "
        f"{embedded}: give --input-size {trained[0]} if the weights are right"
    )


def _on_grid(state: dict[str, Tensor], family: str, sides: tuple[int, int]) -> dict[str, Tensor]:
    """Resample position embeddings (1, n, r) to the grid of another view, as transformers' DINOv2 does.

    Bicubic; with registers the picture is smoothed where it shrinks (antialias), without it is not.
    """
    if family != "DINOv2" or "pos_embed" not in state:
        return state
    places, patch = state["pos_embed"], state["patch_embed.proj.weight"].shape[-1]
    grid = sides[0] // patch, sides[1] // patch
    n_class = round(places.shape[1] - round(places.shape[1] ** 0.5) ** 2)
    side = round((places.shape[1] - n_class) ** 0.5)
    if grid == (side, side):
        return state
    first, rest = places[:, :n_class], places[:, n_class:].float()
    rest = rest.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    smooth = "reg_token" in state
    rest = nn.functional.interpolate(rest, grid, mode="bicubic", align_corners=False, antialias=smooth)
    rest = rest.permute(0, 2, 3, 1).flatten(1, 2).to(places.dtype)
    return state | {"pos_embed": torch.cat([first, rest], 1)}


def _transformer(
    state: Tensors, config: Taken, family: str, sides: tuple[int, int]
) -> tuple[nn.Module, dict[str, Any]]:
    """Build a plain ViT, DeiT, DINOv2, CLIP or SigLIP."""
    square = _with_square_grid(_without_distillation(state), sides)
    heads, width = stated_whole(config, "num_attention_heads"), len(state["patch_embed.proj.weight"])
    _check_heads(heads, width)
    arguments: dict[str, Any] = dict(vit_arguments(square, heads=heads))
    arguments["img_size"] = sides[0] if sides[0] == sides[1] else sides
    arguments["eps"] = stated_number(config, "layer_norm_eps") or EPSILON.get(
        family, arguments.get("eps", 1e-6)
    )
    if arguments["global_pool"] == "avg" and "fc_norm.weight" not in state:
        arguments["fc_norm"] = False  # I-JEPA: the mean of normed tokens
    usual = {"CLIP": "quick_gelu", "SigLIP": "gelu_pytorch_tanh"}.get(family, "gelu")
    act = activation(config, usual)
    if act != "gelu" and "mlp" not in arguments:
        arguments["act_layer"] = act
    check_held(config, {
        "hidden_size": width,
        "num_hidden_layers": arguments["depth"],
        "patch_size": arguments["patch_size"],
        "num_register_tokens": arguments.get("reg_tokens"),
        # the class of DINOv2 keeps such a setting and reads mlp_ratio
        "intermediate_size": None if family == "DINOv2" else len(state["blocks.0.mlp.fc1.weight"]),
    })  # fmt: skip
    if "dist_token" in state:
        return _distilled(arguments), arguments
    return vision_transformer(arguments), arguments


def _distilled(arguments: Mapping[str, Any]) -> nn.Module:
    """timm's DeiT with a token of distillation, whose output is the mean of both tokens."""
    plain = {key: value for key, value in arguments.items() if key not in ("eps", "class_token")}
    return VisionTransformerDistilled(**plain, norm_layer=partial(LayerNorm, eps=arguments["eps"]))


def _with_square_grid(state: Tensors, sides: tuple[int, int]) -> Tensors:
    """The weights with as many places as a square grid has, where the view is none: for their shapes "
    "alone."""
    if sides[0] == sides[1] or "pos_embed" not in state:
        return state
    patch, places = state["patch_embed.proj.weight"].shape[-1], state["pos_embed"]
    n_places = (sides[0] // patch) * (sides[1] // patch)
    return {**state, "pos_embed": places[:, : places.shape[1] - n_places + 1]}


def _check_heads(heads: int | None, width: int) -> None:
    if heads and width % heads:
        raise CheckpointError(
            f"config.json beside it says {heads} attention heads (num_attention_heads, or the default of "
            "its class), "
            f"but the weights hold a width of {width}, which they do not divide: restore the config.json "
            "that was "
            "saved with them, or remove it"
        )


def _dinov3(
    state: Tensors, config: Taken, family: str, sides: tuple[int, int]
) -> tuple[nn.Module, dict[str, Any]]:
    patch, dim = state["patch_embed.proj.weight"].shape[-1], len(state["norm.weight"])
    gated = "blocks.0.mlp.fc1_g.weight" in state
    hidden = len(state[f"blocks.0.mlp.fc1{'_x' if gated else ''}.weight"])
    states_size = "image_size" in config or sides[0] != sides[1]
    fits = sides[0] % patch == 0 == sides[1] % patch and states_size
    size = sides[0] if sides[0] == sides[1] else sides
    heads = stated_whole(config, "num_attention_heads") or max(dim // 64, 1)
    _check_heads(heads, dim)
    arguments: dict[str, Any] = {"img_size": size if fits else 16 * patch, "patch_size": patch}
    arguments |= {"embed_dim": dim, "depth": _count(state, r"blocks\.(\d+)\."), "num_heads": heads}
    arguments |= {"mlp_ratio": hidden / dim, "num_reg_tokens": state["reg_token"].shape[1]}
    arguments["qkv_bias"] = "blocks.0.attn.q_bias" in state
    arguments["rope_temperature"] = stated_number(config, "rope_theta") or 100.0
    arguments["swiglu_mlp"] = gated
    check_held(config, {
        "hidden_size": dim,
        "num_hidden_layers": arguments["depth"],
        "patch_size": patch,
        "num_register_tokens": arguments["num_reg_tokens"],
        "intermediate_size": hidden,
    })  # fmt: skip
    epsilon = stated_number(config, "layer_norm_eps") or EPSILON[family]
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
        norm_layer=partial(LayerNorm, eps=epsilon),
    )
    usual = "silu" if gated else "gelu"
    arguments |= _with_activation(model, config, usual)
    return model, arguments


def _swin(
    state: Tensors, config: Taken, family: str, sides: tuple[int, int]
) -> tuple[nn.Module, dict[str, Any]]:
    n_stages = _count(state, r"layers\.(\d+)\.blocks\.")
    tables = [
        state[f"layers.{stage}.blocks.0.attn.relative_position_bias_table"] for stage in range(n_stages)
    ]
    patch = state["patch_embed.proj.weight"]
    hidden = len(state["layers.0.blocks.0.mlp.fc1.weight"])
    depths = [_count(state, rf"layers\.{stage}\.blocks\.(\d+)\.") for stage in range(n_stages)]
    window = (round(len(tables[0]) ** 0.5) + 1) // 2
    arguments: dict[str, Any] = {"img_size": sides[0] if sides[0] == sides[1] else sides}
    arguments |= {"patch_size": patch.shape[-1], "embed_dim": len(patch), "depths": tuple(depths)}
    arguments |= {"num_heads": tuple(table.shape[1] for table in tables), "window_size": window}
    arguments["mlp_ratio"] = hidden / len(patch)
    arguments["qkv_bias"] = "layers.0.blocks.0.attn.qkv.bias" in state
    names = ("patch_size", "embed_dim", "depths", "num_heads", "window_size")
    check_held(config, {name: arguments[name] for name in names})
    model = SwinTransformer(**arguments, num_classes=0, strict_img_size=False)
    eps = stated_number(config, "layer_norm_eps") or EPSILON[family]
    arguments |= _with_activation(model, config)
    if eps != EPSILON[family]:
        _set_eps(model, eps)
        arguments["eps"] = eps
    return model, arguments


def _swin_v2(
    state: Tensors, config: Taken, family: str, sides: tuple[int, int]
) -> tuple[nn.Module, dict[str, Any]]:
    """Build a Swin V2, whose windows no weight shows: they are those of config.json."""
    window = stated_whole(config, "window_size")
    if window is None:
        raise CheckpointError(
            "a Swin V2 has its window_size in config.json, which is not beside it: restore it"
        )
    n_stages, patch = _count(state, r"layers\.(\d+)\.blocks\."), state["patch_embed.proj.weight"]
    scales = [state[f"layers.{stage}.blocks.0.attn.logit_scale"] for stage in range(n_stages)]
    before = config.get("pretrained_window_sizes") or (0,) * n_stages
    depths = tuple(_count(state, rf"layers\.{stage}\.blocks\.(\d+)\.") for stage in range(n_stages))
    arguments: dict[str, Any] = {"img_size": sides[0] if sides[0] == sides[1] else sides}
    arguments |= {"patch_size": patch.shape[-1], "embed_dim": len(patch), "depths": depths}
    arguments |= {"num_heads": tuple(len(scale) for scale in scales), "window_size": window}
    arguments["pretrained_window_sizes"] = tuple(before)[:n_stages]
    arguments["mlp_ratio"] = len(state["layers.0.blocks.0.mlp.fc1.weight"]) / len(patch)
    check_held(config, {name: arguments[name] for name in ("patch_size", "embed_dim", "depths", "num_heads")})
    model = SwinTransformerV2(**arguments, num_classes=0, strict_img_size=False)
    eps = stated_number(config, "layer_norm_eps") or EPSILON[family]
    _set_eps(model, eps)
    arguments |= _with_activation(model, config) | ({} if eps == EPSILON[family] else {"eps": eps})
    return model, arguments


def _beit(
    state: Tensors, config: Taken, family: str, sides: tuple[int, int]
) -> tuple[nn.Module, dict[str, Any]]:
    patch, heads = state["patch_embed.proj.weight"], stated_whole(config, "num_attention_heads")
    hidden = len(state["blocks.0.mlp.fc1.weight"])
    _check_heads(heads, len(patch))
    shared_bias = "rel_pos_bias.relative_position_bias_table"
    arguments: dict[str, Any] = {"img_size": sides[0] if sides[0] == sides[1] else sides}
    arguments |= {"patch_size": patch.shape[-1], "embed_dim": len(patch)}
    arguments |= {"depth": _count(state, r"blocks\.(\d+)\."), "num_heads": heads or max(len(patch) // 64, 1)}
    arguments |= {"mlp_ratio": hidden / len(patch), "use_abs_pos_emb": "pos_embed" in state}
    arguments["use_rel_pos_bias"] = "blocks.0.attn.relative_position_bias_table" in state
    arguments["use_shared_rel_pos_bias"] = shared_bias in state
    arguments["global_pool"] = "avg" if "fc_norm.weight" in state else "token"
    stated = {"hidden_size": len(patch), "num_hidden_layers": arguments["depth"], "intermediate_size": hidden}
    check_held(config, stated | {"patch_size": patch.shape[-1]})
    eps = stated_number(config, "layer_norm_eps") or EPSILON[family]
    norm: Any = partial(LayerNorm, eps=eps)
    model = Beit(**arguments, num_classes=0, init_values=1.0, norm_layer=norm)
    arguments |= _with_activation(model, config) | ({} if eps == EPSILON[family] else {"eps": eps})
    return model, arguments


def _with_activation(model: nn.Module, config: Taken, usual: str = "gelu") -> dict[str, str]:
    """Give a network with its usual activation that of config.json; what that adds to its arguments."""
    act = activation(config, usual)
    if act == usual:
        return {}
    _set_activation(model, act)
    return {"act_layer": act}


def _set_eps(model: nn.Module, eps: float) -> None:
    """Set that of the norms in the blocks of a Swin and of its last one; the others have the usual value."""
    for name, module in model.named_modules():
        if isinstance(module, nn.LayerNorm) and re.search(r"^norm$|blocks\.\d+\.norm", name):
            module.eps = eps


def _convnext(
    state: Tensors, config: Taken, family: str, sides: tuple[int, int]
) -> tuple[nn.Module, dict[str, Any]]:
    n_stages = _count(state, r"stages\.(\d+)\.blocks\.")
    depths = tuple(_count(state, rf"stages\.{stage}\.blocks\.(\d+)\.") for stage in range(n_stages))
    dims = tuple(len(state[f"stages.{stage}.blocks.0.norm.weight"]) for stage in range(n_stages))
    arguments: dict[str, Any] = {"depths": depths, "dims": dims}
    arguments["patch_size"] = state["stem.0.weight"].shape[-1]
    arguments["use_grn"] = "stages.0.blocks.0.mlp.grn.weight" in state
    stated = {"depths": arguments["depths"], "hidden_sizes": arguments["dims"]}
    check_held(config, stated | {"patch_size": arguments["patch_size"]})
    if state["stages.0.blocks.0.mlp.fc1.weight"].ndim == 4:
        arguments["conv_mlp"] = True
    scale = 1.0 if "stages.0.blocks.0.gamma" in state else None
    model = ConvNeXt(**arguments, ls_init_value=scale, num_classes=0)
    if isinstance(norm := model.head.norm, nn.LayerNorm):
        norm.eps = stated_number(config, "layer_norm_eps") or EPSILON.get(
            family, 1e-6
        )  # of the last norm alone
    arguments |= _with_activation(model, config)
    return model, arguments


def _set_activation(model: nn.Module, name: str) -> None:
    """Give every perceptron another activation; `name` as timm calls it."""
    kind: Any = get_act_layer(name)
    for module_name, module in model.named_modules():
        if module_name.endswith("mlp") and isinstance(getattr(module, "act", None), nn.Module):
            module.act = kind()


def with_classifier(model: nn.Module, linear: nn.Linear | None = None) -> nn.Module:
    """A copy of a ConvNeXt of timm that ends in a classifier; None: one of two outputs."""
    network: Any = copy.deepcopy(model)
    network.head.fc = linear or nn.Linear(network.num_features, 2)
    return network


def _count(state: Tensors, pattern: str) -> int:
    numbers = {int(match[1]) for key in state if (match := re.match(pattern, key))}
    return max(numbers, default=-1) + 1


def _usual(family: str, sides: tuple[int, int]) -> Transform:
    """The transform of this kind of network where no settings of an image processor lie beside it."""
    mean, std = PIXELS.get(family, (IMAGENET_MEAN, IMAGENET_STD))
    squash = family in ("ViT", "SigLIP", "DINOv3", "BEiT")
    resize = None if squash or family == "CLIP" else round(min(sides) * 256 / 224)
    interpolation = "bilinear" if family in ("ViT", "DINOv3") else "bicubic"
    crop = "squash" if squash else "center"
    return Transform(
        resize=resize, input_size=sides, mean=mean, std=std, interpolation=interpolation, crop=crop
    )
