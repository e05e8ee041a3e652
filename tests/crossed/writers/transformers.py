"""What transformers writes: networks with their config.json, and processors beside them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoImageProcessor
from transformers.utils.logging import disable_progress_bar

from tests.crossed.kit import Cases, Written, class_names, outputs, pictures, trained

disable_progress_bar()
N = 7
SMALL = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 96}
# size, patches and classifier of each network: (model type, its class, its config, its processor)
NETWORKS: dict[str, tuple[str, dict[str, Any], str]] = {
    "ViT": ("ViTForImageClassification", {**SMALL, "image_size": 64, "patch_size": 16}, "ViTImageProcessor"),
    "DeiT": (
        "DeiTForImageClassification",
        {**SMALL, "image_size": 64, "patch_size": 16},
        "DeiTImageProcessor",
    ),
    "Dinov2": (
        "Dinov2ForImageClassification",
        {**SMALL, "image_size": 70, "patch_size": 14},
        "BitImageProcessor",
    ),
    "Swin": (
        "SwinForImageClassification",
        {
            "image_size": 64,
            "patch_size": 2,
            "embed_dim": 24,
            "depths": [1, 1],
            "num_heads": [2, 4],
            "window_size": 4,
        },
        "ViTImageProcessor",
    ),
    "ConvNext": (
        "ConvNextForImageClassification",
        {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 2, 1], "image_size": 64},
        "ConvNextImageProcessor",
    ),
    "ResNet": (
        "ResNetForImageClassification",
        {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"},
        "ConvNextImageProcessor",
    ),
}


def made(kind: str, **changes: Any) -> Any:
    name, settings, _ = NETWORKS[kind]
    cls = getattr(transformers, name)
    labels = class_names(N)
    config = cls.config_class(
        **{**settings, **changes},
        id2label=dict(enumerate(labels)),
        label2id={one: n for n, one in enumerate(labels)},
    )
    torch.manual_seed(0)
    return trained(cls(config))


def pixels_of(processor: Any) -> torch.Tensor:
    parts = [processor(images=one, return_tensors="pt")["pixel_values"] for one in pictures()]
    return torch.cat(parts)


def classifier(
    folder: Path, kind: str, *, processor: dict[str, Any] | None = None, safe: bool = True, **changes: Any
) -> Written:
    """A classifier with its processor, as `save_pretrained` writes both."""
    model = made(kind, **changes)
    side = model.config.image_size if hasattr(model.config, "image_size") else 64
    size = (
        {"shortest_edge": side}
        if kind in ("Dinov2", "ConvNext", "ResNet")
        else {"height": side, "width": side}
    )
    crop = {"crop_size": {"height": side, "width": side}} if kind in ("Dinov2", "DeiT") else {}
    settings = {"size": size, **crop, **(processor or {})}
    reader = getattr(transformers, NETWORKS[kind][2])(**settings)
    model.save_pretrained(folder)
    reader.save_pretrained(folder)
    again = AutoImageProcessor.from_pretrained(folder)
    pixels = pixels_of(again)
    return Written(
        spec="{folder}",
        pixels=pixels,
        logits=outputs(lambda x: model(x).logits, pixels),
        states_pixels=True,
        stated=True,
        names=class_names(N),
    )


PROCESSORS: dict[str, dict[str, Any]] = {
    "do_normalize false": {"do_normalize": False},
    "rescale_factor 1/127.5": {"rescale_factor": 1 / 127.5},
    "do_rescale false": {"do_rescale": False},
    "do_resize false": {"do_resize": False},
    "resample bicubic": {"resample": 3},
    "image_mean, image_std": {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]},
}
CASES: Cases = {
    **{("save_pretrained", kind): partial(classifier, kind=kind) for kind in NETWORKS},
    **{
        ("ViTImageProcessor.save_pretrained", name): partial(classifier, kind="ViT", processor=settings)
        for name, settings in PROCESSORS.items()
        if name != "do_resize false"
    },
    **{
        ("save_pretrained", f"{kind}, hidden_act {act}"): partial(classifier, kind=kind, hidden_act=act)
        for kind in ("ViT", "Swin", "ConvNext", "Dinov2")
        for act in ("relu", "silu", "gelu_new")
    },
    ("save_pretrained", "Dinov2, use_swiglu_ffn"): partial(classifier, kind="Dinov2", use_swiglu_ffn=True),
    ("save_pretrained", "ViT, qkv_bias false"): partial(classifier, kind="ViT", qkv_bias=False),
    ("save_pretrained", "ViT, layer_norm_eps .01"): partial(classifier, kind="ViT", layer_norm_eps=0.01),
    ("save_pretrained", "Swin, use_absolute_embeddings"): partial(
        classifier, kind="Swin", use_absolute_embeddings=True
    ),
}
