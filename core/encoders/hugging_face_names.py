"""Give the tensors of Hugging Face `transformers` the names that timm has for the same network.

The kind of network is known from its keys alone. Query, key and value are joined; position embeddings lose
the CLS token's part where timm adds none to it; whatever is no part of the image encoder is left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Rules = tuple[tuple[str, str], ...]
BIAS_APART = ("DINOv3", "SwinV2", "BEiT")  # whose keys have no bias
QKV = re.compile(r"(.*)\b(query|key|value|q_proj|k_proj|v_proj)\.(weight|bias)")
PATCHES = "embeddings.patch_embeddings.projection.weight"
BLOCK: Rules = (
    (r"^(?:encoder\.)?layers?\.(\d+)\.", r"blocks.\1."),
    (r"attention\.output\.dense\.", "attn.proj."),
    (r"(attention\.(attention|self)|attention|self_attn)\.(?=\w+\.\w+$)", "attn."),
    (r"attn\.(out|o)_proj\.", "attn.proj."),
    (r"(layernorm_before|layer_norm1)\.", "norm1."),
    (r"(layernorm_after|layer_norm2)\.", "norm2."),
    (r"(?<!\w)intermediate\.dense\.", "mlp.fc1."),
    (r"(?<!\w)output\.dense\.", "mlp.fc2."),
    (r"layer_scale(\d)\.lambda1$", r"ls\1.gamma"),
    (r"mlp\.weights_in\.", "mlp.fc1."),
    (r"mlp\.weights_out\.", "mlp.fc2."),
    (r"^(layernorm|post_layernorm)\.", "norm."),
    (r"^pre_layrnorm\.", "norm_pre."),
    (r"^embeddings\.(cls_token|class_embedding)$", "cls_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.distillation_token$", "dist_token"),
    (r"^embeddings\.(position_embeddings|position_embedding\.weight)$", "pos_embed"),
    (r"^embeddings\.patch_embedding(s\.projection)?\.", "patch_embed.proj."),
)
POOL: Rules = (
    (r"^head\.probe$", "attn_pool.latent"),
    (r"^head\.attention\.out_proj\.", "attn_pool.proj."),
    (r"^head\.attention\.in_proj_", "attn_pool.qkv."),
    (r"^head\.layernorm\.", "attn_pool.norm."),
    (r"^head\.mlp\.", "attn_pool.mlp."),
)
DINOV3: Rules = (
    (r"^(?:model\.)?layer\.(\d+)\.", r"blocks.\1."),
    (r"attention\.o_proj\.", "attn.proj."),
    (r"attention\.(?=[qkv]_proj)", "attn."),
    (r"layer_scale(\d)\.lambda1$", r"gamma_\1"),
    (r"mlp\.gate_proj\.", "mlp.fc1_g."),
    (r"mlp\.down_proj\.", "mlp.fc2."),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.register_tokens$", "reg_token"),
    (r"^embeddings\.patch_embeddings\.", "patch_embed.proj."),
)
SWIN: Rules = (
    (r"^encoder\.layers\.(\d+)\.blocks\.", r"layers.\1.blocks."),
    BLOCK[1],
    (r"attention\.(self|relative_position_bias)\.", "attn."),
    *BLOCK[2:8],
    (r"^layernorm\.", "norm."),
    (r"^embeddings\.norm\.", "patch_embed.norm."),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
)
SWIN_V2: Rules = (*SWIN, (r"\.continuous_position_bias_mlp\.", ".cpb_mlp."))
BEIT: Rules = (
    *BLOCK,
    (r"\.lambda_(\d)$", r".gamma_\1"),
    (r"^encoder\.relative_position_bias\.", "rel_pos_bias."),
    (r"attn\.relative_position_bias\.", "attn."),
    (r"^pooler\.layernorm\.", "fc_norm."),
)
CONVNEXT: Rules = (
    (r"^encoder\.stages\.(\d+)\.layers\.(\d+)\.", r"stages.\1.blocks.\2."),
    (r"^encoder\.stages\.(\d+)\.downsampling_layer\.", r"stages.\1.downsample."),
    (r"\.dwconv\.", ".conv_dw."),
    (r"(?<=\d)\.layernorm\.", ".norm."),
    (r"\.pwconv([12])\.", r".mlp.fc\1."),
    (r"\.grn\.", ".mlp.grn."),
    (r"\.layer_scale_parameter$", ".gamma"),
    (r"^layernorm\.", "head.norm."),
    (r"^embeddings\.patch_embeddings\.", "stem.0."),
    (r"^embeddings\.(layer)?norm\.", "stem.1."),
)


@dataclass(frozen=True)
class Family:
    """A kind of network: keys that it has and keys that it lacks, below its prefix; how its keys are renamed.

    `unused`: the beginning of keys that are no part of the representation.
    """

    name: str
    has: tuple[str, ...]
    lacks: tuple[str, ...]
    rules: Rules
    unused: tuple[str, ...] = ("embeddings.mask_token", "embeddings.position_ids", "pooler.")


DISTILLATION = "embeddings.distillation_token"
DISTILLED = (DISTILLATION, "encoder.layer.0.lambda_1", "layers.0.lambda_1")  # DeiT, BEiT
POOLER = "pooler.dense."
CLASSIFIERS = ("classifier.", "cls_classifier.", "distillation_classifier.")
# Two rows of a name: as files of the hub name the tensors, and as `transformers` 5 does in memory.
FAMILIES = (
    Family("DINOv3", ("layer.0.attention.q_proj.weight", "embeddings.register_tokens"), (), DINOV3),
    Family("DINOv3", ("model.layer.0.attention.q_proj.weight", "embeddings.register_tokens"), (), DINOV3),
    Family("DINOv2", ("encoder.layer.0.layer_scale1.lambda1", PATCHES), (), BLOCK),
    Family(
        "ViT",
        ("encoder.layer.0.layernorm_before.weight", PATCHES, "embeddings.position_embeddings"),
        DISTILLED,
        BLOCK,
    ),
    Family(
        "ViT",
        ("layers.0.layernorm_before.weight", PATCHES, "embeddings.position_embeddings"),
        DISTILLED,
        BLOCK,
    ),
    Family("DeiT", ("encoder.layer.0.layernorm_before.weight", PATCHES, DISTILLATION), (), BLOCK),
    Family("DeiT", ("layers.0.layernorm_before.weight", PATCHES, DISTILLATION), (), BLOCK),
    Family("CLIP", ("pre_layrnorm.weight", "embeddings.patch_embedding.weight"), (), BLOCK),
    Family("SigLIP", ("head.probe", "embeddings.patch_embedding.weight"), (), POOL + BLOCK),
    Family(
        "Swin",
        ("encoder.layers.0.blocks.0.attention.self.query.weight", PATCHES),
        ("encoder.layers.0.blocks.0.attention.self.logit_scale",),
        SWIN,
    ),
    Family("Swin", ("encoder.layers.0.blocks.0.attention.q_proj.weight", PATCHES), (), SWIN),
    Family("SwinV2", ("encoder.layers.0.blocks.0.attention.self.logit_scale", PATCHES), (), SWIN_V2),
    Family("BEiT", ("encoder.layer.0.lambda_1", PATCHES), (), BEIT, ("embeddings.mask_token",)),
    Family("ConvNeXt", ("encoder.stages.0.layers.0.dwconv.weight",), (), CONVNEXT),
)


UNREAD = (  # networks of transformers whose names are not changed here, by what their keys hold
    (r"embedder\.embedder\.", "a ResNet"),
    (r"detection_tokens$", "a YOLOS"),
    (r"conv_stem\.(\w+\.)?convolution\.", "a MobileNet or MobileViT"),
    (r"embeddings\.patch_embedding\.weight$", "a SigLIP without its pooling head, or a network alike,"),
)


def unread_network(tensors: Mapping[str, Tensor]) -> str:
    """What the keys of a network of `transformers` that is not read say it is."""
    return next(
        (name for pattern, name in UNREAD if any(re.search(pattern, key) for key in tensors)), "a network"
    )


@dataclass(frozen=True)
class Renamed:
    """The image encoder of a file of `transformers`: its kind, the prefix of its keys, timm's names."""

    family: str
    prefix: str
    state: dict[str, Tensor]


def timm_names(tensors: Mapping[str, Tensor]) -> Renamed | None:
    """Return the network of `transformers` among these tensors with timm's names; None if there is none."""
    for family in FAMILIES:
        first = family.has[0]
        for key in tensors:
            prefix = key[: len(key) - len(first)] if key.endswith(first) else None
            if prefix is None or (prefix and not prefix.endswith(".")):
                continue
            has = all(f"{prefix}{name}" in tensors for name in family.has)
            if has and not any(f"{prefix}{name}" in tensors for name in family.lacks):
                return Renamed(family.name, prefix, _renamed(family, prefix, tensors))
    return None


def with_whole_prefix(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Put the layers of a ViT-MSN with a classifier below `vit.`: transformers 5.24 forgets it on saving."""
    if "vit.embeddings.cls_token" not in tensors or "encoder.layer.0.layernorm_before.weight" not in tensors:
        return tensors
    return {
        f"vit.{key}" if key.startswith("encoder.layer.") else key: tensor for key, tensor in tensors.items()
    }


def _renamed(family: Family, prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    inside = {key[len(prefix) :]: tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    used = {key: tensor for key, tensor in inside.items() if not key.startswith(family.unused)}
    if not prefix:  # heads of classifiers stand beside the network
        used = {key: tensor for key, tensor in used.items() if not key.startswith(CLASSIFIERS)}
    state = {}
    for key, tensor in used.items():
        for pattern, name in family.rules:
            key = re.sub(pattern, name, key)
        state[key] = tensor
    joined = _joined(state, separate_bias=family.name in BIAS_APART)
    return FINISH.get(family.name, _finish_tokens)(joined)


def _joined(state: Mapping[str, Tensor], *, separate_bias: bool) -> dict[str, Tensor]:
    """Join query, key and value; with `separate_bias` only their weights, as DINOv3 has no bias of keys."""
    joined, parts = {}, {}
    for key, tensor in state.items():
        match = QKV.fullmatch(key)
        if match is None:
            joined[key] = tensor
        elif separate_bias and match[3] == "bias":
            joined[f"{match[1]}{match[2][0]}_bias"] = tensor
        else:
            parts.setdefault((match[1], match[3]), {})[match[2][0]] = tensor
    for (before, kind), three in parts.items():
        if len(three) == 3:
            joined[f"{before}qkv.{kind}"] = torch.cat([three[part] for part in "qkv"])
        else:
            joined |= {f"{before}{part}.{kind}": tensor for part, tensor in three.items()}
    return joined


def _finish_tokens(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give tokens and position embeddings timm's shapes, and split the query from the pooling's qkv."""
    for name in ("cls_token", "pos_embed"):
        if name in state:
            state[name] = state[name].reshape(1, -1, state[name].shape[-1])
    patch = state.get("patch_embed.proj.weight")
    if (
        patch is not None and patch.ndim == 2
    ):  # SigLIP 2 in its NaFlex form: (rows, columns, channels) of a patch
        side = round((patch.shape[1] / 3) ** 0.5)
        if patch.shape[1] == 3 * side * side:
            state["patch_embed.proj.weight"] = (
                patch.reshape(-1, side, side, 3).permute(0, 3, 1, 2).contiguous()
            )
    for kind in ("weight", "bias"):
        if (qkv := state.pop(f"attn_pool.qkv.{kind}", None)) is not None:
            third = len(qkv) // 3
            state[f"attn_pool.q.{kind}"], state[f"attn_pool.kv.{kind}"] = qkv[:third], qkv[third:]
    return registers_apart(state)


def registers_apart(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the CLS token's position embedding to it where there are registers, which have none: timm's way."""
    if "register_tokens" in state:  # DINOv2's own repository
        state["reg_token"] = state.pop("register_tokens")
    if not {"reg_token", "cls_token", "pos_embed"} <= state.keys():
        return state
    grid = state["pos_embed"].shape[1] - 1
    if round(max(grid, 0) ** 0.5) ** 2 == grid > 0:
        state["cls_token"] = state["cls_token"] + state["pos_embed"][:, :1]
        state["pos_embed"] = state["pos_embed"][:, 1:]
    return state


def _finish_dinov3(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name the first layer of the perceptron: beside a gate it is the gated part."""
    gated = any(".mlp.fc1_g." in key for key in state)
    name = ".mlp.fc1_x." if gated else ".mlp.fc1."
    return {key.replace(".mlp.up_proj.", name): tensor for key, tensor in state.items()}


def _finish_swin(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Move each reduction to the beginning of the next stage; indices are computed, not loaded."""
    moved = {}
    for key, tensor in state.items():
        if match := re.match(r"encoder\.layers\.(\d+)\.downsample\.(.*)", key):
            moved[f"layers.{int(match[1]) + 1}.downsample.{match[2]}"] = tensor
        elif not key.endswith("relative_position_index"):
            moved[key] = tensor
    return moved


def _finish_convnext(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take the two spare axes from the parameters of the response normalisation."""
    return {key: tensor.flatten() if ".grn." in key else tensor for key, tensor in state.items()}


FINISH = {
    "DINOv3": _finish_dinov3,
    "Swin": _finish_swin,
    "SwinV2": _finish_swin,
    "ConvNeXt": _finish_convnext,
}
