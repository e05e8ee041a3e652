"""config.json of Hugging Face `transformers`: what it says of the image encoder, with its class's defaults.

What a file leaves out is the default of its class of settings, not what is usual for a width. Values that the
weights contradict, and values of which the network is not known, refuse the file.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.common.entries import Taken
from core.common.inside import read_json_file
from core.errors import CheckpointError, did_you_mean

CONFIG = "config.json"
INNER = ("vision_config", "encoder")  # where the settings of an image encoder stand in those of more than one
# The defaults of the classes of transformers 4.30 to 5.24, by `model_type`.
OF_VIT = {"num_attention_heads": 12, "hidden_act": "gelu", "layer_norm_eps": 1e-12}
OF_CLIP = {"num_attention_heads": 12, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5}
OF_SIGLIP = {"num_attention_heads": 12, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6}
OF_DINOV2 = {"num_attention_heads": 12, "hidden_act": "gelu", "layer_norm_eps": 1e-6, "image_size": 224}
OF_DINOV3 = {"num_attention_heads": 6, "hidden_act": "gelu", "layer_norm_eps": 1e-5, "rope_theta": 100.0}
OF_SWIN = {"hidden_act": "gelu", "layer_norm_eps": 1e-5, "image_size": 224}
OF_CONVNEXT = {"hidden_act": "gelu", "layer_norm_eps": 1e-12}
DEFAULTS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("vit", "vit_mae", "ijepa", "deit"), OF_VIT),
    "vit_msn": OF_VIT | {"layer_norm_eps": 1e-6},
    **dict.fromkeys(("clip", "altclip", "chinese_clip", "metaclip_2", "clipseg"), OF_CLIP),
    "git_vision_model": OF_CLIP,
    **dict.fromkeys(("siglip", "siglip2"), OF_SIGLIP),
    **dict.fromkeys(("dinov2", "dinov2_with_registers"), OF_DINOV2),
    "dinov3_vit": OF_DINOV3,
    **dict.fromkeys(("beit", "data2vec-vision"), OF_VIT),
    "swinv2": OF_SWIN | {"window_size": 7},
    "swin": OF_SWIN,
    **dict.fromkeys(("convnext", "convnextv2"), OF_CONVNEXT),
}
DEFAULTS |= {f"{name}_vision_model": of for name, of in DEFAULTS.items() if of in (OF_CLIP, OF_SIGLIP)}
TYPES = {  # of a kind of network, by its keys; the first is meant where a file names none
    "ViT": ("vit", "vit_mae", "ijepa", "vit_msn"),
    "DeiT": ("deit",),
    "CLIP": tuple(name for name, of in DEFAULTS.items() if of is OF_CLIP),
    "SigLIP": tuple(name for name, of in DEFAULTS.items() if of is OF_SIGLIP),
    "DINOv2": ("dinov2", "dinov2_with_registers"),
    "DINOv3": ("dinov3_vit",),
    "BEiT": ("beit", "data2vec-vision"),
    "Swin": ("swin",),
    "SwinV2": ("swinv2",),
    "ConvNeXt": ("convnext", "convnextv2"),
}
ACTIVATIONS = {  # of transformers, as timm calls them
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu6": "relu6",
    "leaky_relu": "leaky_relu",
    "silu": "silu",
    "swish": "silu",
    "mish": "mish",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
}
# Settings that change neither the image encoder nor its pixels: of training, of text, of what is returned.
HARMLESS = (
    "*dropout*", "*drop_path*", "*initializer*", "*_token_id", "*_ids", "*label*", "*init_value*",
    "decoder_*", "out_*", "_*", "return_*", "output_*", "no_repeat*", "encoder_no_repeat*",
    "text_config*", "tie_*", "use_bfloat16", "auxiliary_*", "use_auxiliary*", "pos_embed_*",
    "layerscale_value", "num_beam*", "num_return_sequences", "pool_scales", "semantic_loss_ignore_index",
    "add_fpn", "forced_*", "torch*", "tokenizer*", "architectures", "transformers_version", "dtype",
    "problem_type", "finetuning_task", "model_type", "prefix", "chunk_size_feed_forward", "is_decoder",
    "is_encoder_decoder", "add_cross_attention", "pruned_heads", "task_specific_params",
    "cross_attention_hidden_size", "max_length", "min_length", "do_sample", "early_stopping",
    "length_penalty", "repetition_penalty", "diversity_penalty", "temperature", "top_k", "top_p",
    "typical_p", "suppress_tokens", "begin_suppress_tokens", "remove_invalid_values",
    "exponential_decay*", "tf_legacy_loss", "projection_dim", "encoder_stride", "mask_ratio",
    "norm_pix_loss", "use_mask_token", "apply_layernorm", "reshape_hidden_states", "stage_names",
    "num_layers", "pooler_*", "add_pooling_layer", "vocab_size", "attn_implementation", "use_cache",
    "intermediate_size", "mlp_ratio", "num_stages", "logit_scale*", "extract_layers", "reduce_dim",
    "conditional_layer", "use_complex_transposed_convolution", "gradient_checkpointing",
)  # fmt: skip
# These are seen in the weights, whose keys or shapes would not fit if they were otherwise.
SEEN = (
    "qkv_bias", "query_bias", "key_bias", "value_bias", "proj_bias", "mlp_bias", "num_channels",
    "use_swiglu_ffn", "use_gated_mlp", "vision_use_head", "use_absolute_embeddings",
    "use_absolute_position_embeddings", "use_relative_position_bias", "use_shared_relative_position_bias",
    "use_mean_pooling", "pretrained_window_sizes", "hidden_size", "num_hidden_layers", "patch_size",
    "num_register_tokens", "num_patches", "image_size", "embed_dim", "depths", "num_heads",
    "hidden_sizes", "window_size", "num_attention_heads", "rope_theta", "hidden_act", "layer_norm_eps",
)  # fmt: skip


def read_beside(path: Path, name: str = CONFIG) -> dict[str, Any]:
    """Return a JSON file beside a checkpoint, or in its folder; {} where there is none that is an object."""
    folder = path if path.is_dir() else path.parent
    try:
        values = read_json_file(folder / name)
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def read_settings(path: Path, name: str) -> dict[str, Any]:
    """Read a JSON settings file that lies beside a checkpoint; empty where there is none.

    Raises:
        CheckpointError: it is cut or holds something else.
    """
    file = (path if path.is_dir() else path.parent) / name
    if not file.is_file():
        return {}
    try:
        values = read_json_file(file)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"'{name}' beside it cannot be read ({error}): restore or remove it") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"'{name}' beside it is no JSON object: restore or remove it")
    return values


def encoder_settings(path: Path, family: str) -> Taken:
    """Return what config.json says of the image encoder, with the defaults of its class; empty for no file.

    Args:
        family: the kind of network that the keys of the weights are those of, one of TYPES.
    Raises:
        CheckpointError: the file is damaged, or of a kind of network whose keys are others.
    """
    values: Mapping[str, Any] = read_settings(path, CONFIG)
    if not isinstance(values.get("model_type"), str) and not any(key in values for key in INNER):
        return Taken({}, CONFIG)
    model_type = str(values.get("model_type", ""))
    while inner := next((key for key in INNER if isinstance(values.get(key), Mapping)), None):
        outer, values = values, {**values[inner], **(values.get(f"{inner}_dict") or {})}
        model_type = str(values.get("model_type", outer.get("model_type", "")))
    types = TYPES.get(family, ())
    if model_type not in types:
        raise CheckpointError(
            f"config.json beside it says model_type '{model_type}', but its keys are those of {family} "
            f"({', '.join(types[:3])}), so what is computed with them is not known: name the network, "
            "timm:NAME@FILE, or remove config.json if it belongs to other weights"
        )
    return Taken({**DEFAULTS[model_type], **values}, CONFIG)


def stated_version(path: Path) -> str:
    """The version of transformers that wrote config.json; "" where it does not say."""
    version = read_beside(path).get("transformers_version")
    return version if isinstance(version, str) else ""


def check_held(config: Taken, held: Mapping[str, Any]) -> None:
    """Compare the settings beside a checkpoint of `transformers` with what its weights hold.

    Args:
        held: by the name of the setting.
    Raises:
        CheckpointError: one of them says otherwise; the message names both.
    """
    for name, here in held.items():
        stated = config.values_by_key.get(name)
        here = list(here) if isinstance(here, tuple) else here
        if stated is None or here is None or stated in (here, [here, here]):
            continue
        raise CheckpointError(
            f"config.json beside it says {name} {str(stated)[:60]}, but the weights hold {here}: the two "
            "are of "
            "different networks; restore the config.json that was saved with them, or remove it"
        )


def activation(config: Taken, usual: str) -> str:
    """Return timm's name of the activation that a checkpoint's config.json names, or of `usual`.

    Raises:
        CheckpointError: it is not known.
    """
    name = config.get("hidden_act", usual)
    if name not in ACTIVATIONS:
        raise CheckpointError(
            f"config.json beside it says hidden_act {str(name)[:60]!r}, which is not known here; known: "
            f"{', '.join(ACTIVATIONS)}.{did_you_mean(str(name), ACTIVATIONS)} Give a factory of the model: "
            "python:package.module:factory"
        )
    return ACTIVATIONS[name]


def stated_whole(config: Mapping[str, Any], name: str, most: int = 1 << 16) -> int | None:
    """A positive whole number of a checkpoint's settings file by `transformers`; None where there is none.

    Raises:
        CheckpointError: it is something else.
    """
    value = config.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= most:
        raise CheckpointError(
            f"{_source(config)} says {name} {str(value)[:60]!r}, which is no number of its kind"
        )
    return value


def stated_number(config: Mapping[str, Any], name: str) -> float | None:
    """A positive number of a checkpoint's settings file; None for none. Raises CheckpointError."""
    value = config.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise CheckpointError(
            f"{_source(config)} says {name} {str(value)[:60]!r}, which is no number of its kind"
        )
    return float(value)


def _source(config: Mapping[str, Any]) -> str:
    return f"{config.source} beside it" if isinstance(config, Taken) else "the settings"


def untaken(config: Taken) -> list[str]:
    """Names of settings beside a checkpoint that were not read and may change the network."""
    left = config.left(*HARMLESS, *SEEN)
    return sorted(key for key, value in left.items() if value not in (None, False, [], {}, 0, ""))


def major(version: str) -> int | None:
    """The first number of a version of `transformers` that wrote a checkpoint; None without one."""
    match = re.match(r"\d+", version)
    return int(match[0]) if match else None
