"""What transformers writes: networks with their config.json, and processors beside them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
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

VIT = {**SMALL, "image_size": 64, "patch_size": 16}
DINOV2 = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 70,
    "patch_size": 14,
}
DINOV3 = {**VIT, "num_register_tokens": 4}
BOTH = {"text_config": {**SMALL, "vocab_size": 99}, "vision_config": VIT}
SWIN, CONVNEXT = NETWORKS["Swin"][1], NETWORKS["ConvNext"][1]
SQUARE: dict[str, Any] = {"size": {"height": 64, "width": 64}}
CROPPED: dict[str, Any] = {"size": {"shortest_edge": 73}, "crop_size": {"height": 64, "width": 64}}
SQUARE_CROPPED: dict[str, Any] = {**CROPPED, "size": {"height": 73, "width": 73}}
BIT: dict[str, Any] = {"size": {"shortest_edge": 80}, "crop_size": {"height": 70, "width": 70}}
SMALLER: dict[str, Any] = {"size": {"shortest_edge": 64}, "crop_size": {"height": 56, "width": 56}}
LARGER: dict[str, Any] = {"size": {"shortest_edge": 120}, "crop_size": {"height": 112, "width": 112}}
DINOV3_PROCESSOR = "DINOv3ViTImageProcessor"
if not hasattr(transformers, DINOV3_PROCESSOR):
    DINOV3_PROCESSOR += "Fast"  # the only one of transformers 4
# What the rows are called: network, its config, its processor, the settings of that.
Row = tuple[str, dict[str, Any], str, dict[str, Any]]
CLASSIFIERS: dict[str, Row] = {
    **{
        f"ViT with {name}": ("ViTForImageClassification", VIT, name, settings)
        for name, settings in {
            "BitImageProcessor": CROPPED,
            "CLIPImageProcessor": CROPPED,
            "DeiTImageProcessor": SQUARE_CROPPED,
            "SiglipImageProcessor": SQUARE,
            "LevitImageProcessor": {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}},
            "ConvNextImageProcessor": {"size": {"shortest_edge": 64}, "crop_pct": 0.9},
        }.items()
    },
    "ViT of 64 x 96": (
        "ViTForImageClassification",
        {**VIT, "image_size": [64, 96]},
        "ViTImageProcessor",
        {"size": {"height": 64, "width": 96}},
    ),
    "ViT, do_pad": ("ViTForImageClassification", VIT, "ViTImageProcessor", {**SQUARE, "do_pad": True}),
    "ViT-MSN": ("ViTMSNForImageClassification", VIT, "ViTImageProcessor", SQUARE),
    "I-JEPA": ("IJepaForImageClassification", VIT, "ViTImageProcessor", SQUARE),
    "DeiT with teacher": ("DeiTForImageClassificationWithTeacher", VIT, "DeiTImageProcessor", SQUARE_CROPPED),
    "DINOv2, smaller view": ("Dinov2ForImageClassification", DINOV2, "BitImageProcessor", SMALLER),
    "DINOv2, larger view": ("Dinov2ForImageClassification", DINOV2, "BitImageProcessor", LARGER),
    "DINOv2 with registers, smaller view": (
        "Dinov2WithRegistersForImageClassification",
        DINOV2,
        "BitImageProcessor",
        SMALLER,
    ),
    "CLIP": ("CLIPForImageClassification", BOTH, "CLIPImageProcessor", CROPPED),
    "SigLIP": ("SiglipForImageClassification", BOTH, "SiglipImageProcessor", SQUARE),
    "Swin, larger view": (
        "SwinForImageClassification",
        SWIN,
        "ViTImageProcessor",
        {"size": {"height": 96, "width": 96}},
    ),
    "Swin, layer_norm_eps .01": (
        "SwinForImageClassification",
        {**SWIN, "layer_norm_eps": 0.01},
        "ViTImageProcessor",
        SQUARE,
    ),
    "ConvNext, 384": (
        "ConvNextForImageClassification",
        CONVNEXT,
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": 384}},
    ),
    "ConvNext with ViTImageProcessor": (
        "ConvNextForImageClassification",
        CONVNEXT,
        "ViTImageProcessor",
        SQUARE,
    ),
    "ConvNextV2": (
        "ConvNextV2ForImageClassification",
        CONVNEXT,
        "ConvNextImageProcessor",
        {"size": {"shortest_edge": 64}},
    ),
}
CLASSIFIERS |= {
    "SwinV2": ("Swinv2ForImageClassification", SWIN, "ViTImageProcessor", SQUARE),
    "BEiT": (
        "BeitForImageClassification",
        {**VIT, "use_relative_position_bias": True},
        "BeitImageProcessor",
        {**SQUARE, "do_center_crop": False},
    ),
}
ENCODERS: dict[str, Row] = {
    "ViT-MAE": ("ViTMAEModel", {**VIT, "mask_ratio": 0.0}, "ViTImageProcessor", SQUARE),
    "DINOv2 with registers": ("Dinov2WithRegistersModel", DINOV2, "BitImageProcessor", BIT),
    "DINOv3": ("DINOv3ViTModel", DINOV3, DINOV3_PROCESSOR, SQUARE),
    "DINOv3, gated": (
        "DINOv3ViTModel",
        {**DINOV3, "use_gated_mlp": True, "hidden_act": "silu"},
        DINOV3_PROCESSOR,
        SQUARE,
    ),
    "DINOv3, hidden_act relu": ("DINOv3ViTModel", {**DINOV3, "hidden_act": "relu"}, DINOV3_PROCESSOR, SQUARE),
    "CLIP": ("CLIPModel", BOTH, "CLIPImageProcessor", CROPPED),
    "CLIP vision model": ("CLIPVisionModel", VIT, "CLIPImageProcessor", CROPPED),
    "CLIP, 12 heads by default": (
        "CLIPModel",
        {
            **BOTH,
            "vision_config": {
                "hidden_size": 96,
                "num_hidden_layers": 2,
                "intermediate_size": 64,
                "image_size": 64,
                "patch_size": 16,
            },
        },
        "CLIPImageProcessor",
        CROPPED,
    ),
    "MetaCLIP 2": ("MetaClip2Model", BOTH, "CLIPImageProcessor", CROPPED),
    "CLIPSeg": ("CLIPSegModel", BOTH, "ViTImageProcessor", SQUARE),
    "SigLIP": ("SiglipModel", BOTH, "SiglipImageProcessor", SQUARE),
}
UNREADABLE: dict[str, Row] = {
    "ViT, hidden_act laplace": (
        "ViTForImageClassification",
        {**VIT, "hidden_act": "laplace"},
        "ViTImageProcessor",
        SQUARE,
    ),
    "ViT with MobileViTImageProcessor": (
        "ViTForImageClassification",
        VIT,
        "MobileViTImageProcessor",
        CROPPED,
    ),
    "SigLIP 2 NaFlex": (
        "Siglip2VisionModel",
        {**SMALL, "num_patches": 16, "patch_size": 16},
        "Siglip2ImageProcessor",
        {"patch_size": 16, "max_num_patches": 16},
    ),
}


def network_of(row: Row, folder: Path) -> Any:
    """A network with its config and its processor, as `save_pretrained` writes both."""
    name, settings, processor, of_processor = row
    cls, labels = getattr(transformers, name), class_names(N)
    named = {"id2label": dict(enumerate(labels)), "label2id": {one: n for n, one in enumerate(labels)}}
    torch.manual_seed(0)
    model = trained(cls(cls.config_class(**settings, **named)))
    model.save_pretrained(folder)
    getattr(transformers, processor)(**of_processor).save_pretrained(folder)
    return model


def labelled(folder: Path, row: Row) -> Written:
    model = network_of(row, folder)
    pixels = pixels_of(AutoImageProcessor.from_pretrained(folder))
    return Written(
        spec="{folder}",
        pixels=pixels,
        logits=outputs(lambda x: model(pixel_values=x).logits, pixels),
        states_pixels=True,
        stated=True,
        names=class_names(N),
    )


def encoder(folder: Path, row: Row) -> Written:
    model: Any = network_of(row, folder)
    inner = getattr(model, "vision_model", model)

    def vectors(x: torch.Tensor) -> torch.Tensor:
        given = inner(pixel_values=x)
        pooled = getattr(given, "pooler_output", None)
        return given.last_hidden_state[:, 0] if pooled is None else pooled

    pixels = pixels_of(AutoImageProcessor.from_pretrained(folder))
    features = outputs(vectors, pixels)
    return Written(spec="{folder}", pixels=pixels, features=features, states_pixels=True, stated=True)


def unreadable(folder: Path, row: Row) -> Written:
    network_of(row, folder)
    return Written(spec="{folder}", refused=True)


def clip_processor(folder: Path) -> Written:
    """A CLIPProcessor: with transformers 5 its image processor stands in processor_config.json."""
    own = {**CROPPED, "image_mean": [0.5] * 3, "image_std": [0.25] * 3, "resample": 2}
    row = ("CLIPModel", BOTH, "CLIPImageProcessor", own)
    written = encoder(folder, row)
    (folder / "preprocessor_config.json").unlink()
    transformers.CLIPProcessor(
        image_processor=transformers.CLIPImageProcessor(**own), tokenizer=_tokenizer(folder)
    ).save_pretrained(folder)
    return written


def _tokenizer(folder: Path) -> Any:
    vocabulary = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2, "a": 3}
    try:
        return transformers.CLIPTokenizer(vocab=vocabulary, merges=[])
    except TypeError:  # transformers 4 reads files
        (folder / "vocab.json").write_text(json.dumps(vocabulary))
        (folder / "merges.txt").write_text("#version: 0.2\n")
        return transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))


def own_head(folder: Path) -> Written:
    """A Linear on `pooler_output` of a CLIP, saved with the config of the encoder."""
    encoder_of = transformers.CLIPVisionModel
    torch.manual_seed(0)
    network = torch.nn.ModuleDict(
        {"backbone": encoder_of(encoder_of.config_class(**VIT)), "head": torch.nn.Linear(48, N)}
    )
    trained(network)
    save_file(
        {key: one.contiguous() for key, one in network.state_dict().items()}, folder / "model.safetensors"
    )
    network["backbone"].config.save_pretrained(folder)
    transformers.CLIPImageProcessor(**CROPPED).save_pretrained(folder)
    pixels = pixels_of(AutoImageProcessor.from_pretrained(folder))
    logits = outputs(lambda x: network["head"](network["backbone"](pixel_values=x).pooler_output), pixels)
    return Written(spec="{folder}", pixels=pixels, logits=logits, states_pixels=True, stated=True)


def wrapped(folder: Path) -> Written:
    """A network of timm as Trainer saves it."""
    stated = {
        "input_size": [3, 96, 96], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "crop_pct": 0.8,
        "interpolation": "bicubic", "crop_mode": "center", "num_classes": N, "first_conv": "conv1.0",
        "classifier": "fc",
    }  # fmt: skip
    settings = {
        "architecture": "resnet10t",
        "num_classes": N,
        "label_names": class_names(N),
        "pretrained_cfg": stated,
    }
    model = trained(
        transformers.TimmWrapperForImageClassification(transformers.TimmWrapperConfig.from_dict(settings))
    )
    model.save_pretrained(folder)
    pixels = pixels_of(AutoImageProcessor.from_pretrained(folder))
    logits = outputs(lambda x: model(pixel_values=x).logits, pixels)
    return Written(
        spec="{folder}", pixels=pixels, logits=logits, states_pixels=True, stated=True, names=class_names(N)
    )


def shards(folder: Path, **options: Any) -> Written:
    """The same network in several files, perhaps of a variant."""
    written = labelled(folder, ("ViTForImageClassification", VIT, "ViTImageProcessor", SQUARE))
    (folder / "model.safetensors").unlink()
    model = network_of(("ViTForImageClassification", VIT, "ViTImageProcessor", SQUARE), folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, **options)
    return written


MADE_BY: dict[str, tuple[dict[str, Row], Any]] = {
    "ForImageClassification.save_pretrained": (CLASSIFIERS, labelled),
    "Model.save_pretrained": (ENCODERS, encoder),
    "save_pretrained, not read": (UNREADABLE, unreadable),
}
CASES |= {
    (writer, name): partial(how, row=row)
    for writer, (rows, how) in MADE_BY.items()
    for name, row in rows.items()
    if hasattr(transformers, row[0]) and hasattr(transformers, row[2])
}
CASES |= {
    ("CLIPProcessor.save_pretrained", "CLIP"): clip_processor,
    ("own Linear on pooler_output", "CLIP"): own_head,
    ("TimmWrapperForImageClassification.save_pretrained", "resnet10t"): wrapped,
    ("save_pretrained", "ViT, max_shard_size"): partial(shards, max_shard_size="20KB"),
    ("save_pretrained", "ViT, max_shard_size, variant"): partial(
        shards, max_shard_size="20KB", variant="fp16"
    ),
}
