"""The image tower of a CLIP of open_clip as an encoder, with the pixels that it was trained on."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from core.encoders.assumptions import assumed
from core.encoders.spec import Spec
from core.encoders.transform import Transform
from core.errors import EncoderError, did_you_mean

SETTINGS = ("force_image_size", "force_quick_gelu")  # the others name files, or concern texts
PIXEL_KEYS = ("mean", "std", "interpolation", "resize_mode")
CROPS = {"shortest": "center", "squash": "squash"}


def image_tower(spec: Spec, call: Callable[..., Any], *, with_weights: bool) -> tuple[nn.Module, str | None]:
    """Build the image tower of `open_clip:NAME?pretrained=TAG`; its output is the projected embedding.

    Args:
        call: calls open_clip, and reports its errors in one line.
    Returns:
        the tower, and the tag of its weights; None for random ones.
    Raises:
        EncoderError: unknown model, tag or setting, or weights that cannot be downloaded.
    """
    import open_clip

    names = open_clip.list_models()
    if spec.name not in names:
        raise EncoderError(f"open_clip has no model '{spec.name}'.{did_you_mean(spec.name, names)}")
    arguments = dict(spec.arguments)
    tag = arguments.pop("pretrained", None)
    tags = open_clip.list_pretrained_tags_by_model(spec.name)
    if tag not in (None, False) and tag not in tags:
        raise EncoderError(
            f"open_clip:{spec.name} has no weights '{tag}'; it has {', '.join(tags) or 'none, give @PATH'}"
        )
    for name in arguments:
        if name not in SETTINGS:
            setting_names = ", ".join(("pretrained", *SETTINGS))
            raise EncoderError(f"'{name}' is not a setting of open_clip:{spec.name}; it has {setting_names}")
    loaded_tag = tag if with_weights and tag else None
    if loaded_tag and has_quick_gelu(spec.name, loaded_tag):
        arguments = {"force_quick_gelu": True, **arguments}
    with silent_logs():
        make = open_clip.create_model
        model = call(spec, make, spec.name, pretrained=loaded_tag, pretrained_text=False, **arguments)
    return model.visual, loaded_tag


def has_quick_gelu(name: str, tag: str) -> bool:
    """Whether an encoder's checkpoint, by its open_clip tag, was trained with OpenAI's quick GELU.

    The name of their model does not say so: open_clip builds the other one, and warns.
    """
    from open_clip.pretrained import get_pretrained_cfg

    return bool(get_pretrained_cfg(name, tag).get("quick_gelu", False))


def agreed_pixels(name: str) -> dict[str, Any]:
    """What all weights of a model of open_clip agree on of its pixels; empty where they differ, or none is
    known: a file of weights under a model's name says nothing of it."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    tags = open_clip.list_pretrained_tags_by_model(name)
    configs = [{key: get_pretrained_cfg(name, tag).get(key) for key in PIXEL_KEYS} for tag in tags]
    if not configs or any(config != configs[0] for config in configs):
        return {}
    return {key: value for key, value in configs[0].items() if value is not None}


def activations_differ(name: str) -> bool:
    """Whether some weights of a model of open_clip have OpenAI's quick GELU and some have not."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    tags = open_clip.list_pretrained_tags_by_model(name)
    return len({bool(get_pretrained_cfg(name, tag).get("quick_gelu")) for tag in tags}) > 1


def tower_transform(tower: nn.Module, agreed: Mapping[str, Any] | None = None) -> tuple[Transform, list[str]]:
    """Return the pixels that an image tower of open_clip was trained on, and what is done otherwise.

    Args:
        agreed: what is known better of its weights.
    """
    config: Mapping[str, Any] = {**(getattr(tower, "preprocess_cfg", None) or {}), **(agreed or {})}
    size = config.get("size") or getattr(tower, "image_size", 224)
    height, width = (size, size) if isinstance(size, int) else size[:2]
    sides = (int(height), int(width))
    mode, notes = config.get("resize_mode", "shortest"), []
    if mode not in CROPS:
        notes.append(assumed("open_clip_resize", what=str(mode)))
    mean, std = tuple(config["mean"]), tuple(config["std"])
    interpolation, crop = config.get("interpolation", "bicubic"), CROPS.get(mode, "center")
    transform = Transform(
        resize=min(sides), input_size=sides, mean=mean, std=std, interpolation=interpolation, crop=crop
    )
    return transform, notes


@contextmanager
def silent_logs() -> Iterator[None]:
    """Silence open_clip and huggingface_hub as they load an encoder or a CLIP: we report one line."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
