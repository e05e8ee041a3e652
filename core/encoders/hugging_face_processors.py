"""Image processors of Hugging Face `transformers`: the pixels that their settings say a network sees.

The class of the processor decides what a size means, whatever the network is. Settings of which the pixels
are not known refuse the file, unless mean, std and input size are given instead.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.common.entries import Taken
from core.encoders.assumptions import assumed
from core.encoders.hugging_face_settings import (
    major,
    read_settings,
    stated_number,
    stated_version,
    stated_whole,
)
from core.encoders.transform import IMAGENET_MEAN, IMAGENET_STD, Transform
from core.errors import CheckpointError, SettingsError

HALF = (0.5, 0.5, 0.5)
OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
NESTED = "image_processor"  # the key in the latter
RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
MOST_SIDE = 4096  # pixels of an input view
WHOLE_FROM = 384  # pixels of an input view, from which on a ConvNeXt is shown whole pictures
GIVE = "--mean, --std and --input-size"
ENDINGS = ("ImageProcessorFast", "ImageProcessorPil", "ImageProcessor", "FeatureExtractor")
Size = tuple[int, ...]  # the shorter side, or height and width


@dataclass(frozen=True)
class ImageProcessor:
    """What a class of processors does with a setting that is left out, or that has several meanings.

    Attributes:
        squares: a size that is one number stands for both sides, else for the shorter one.
        crops: it cuts out the middle by itself. enlarges: the size is multiplied by this before.
        by_share: from WHOLE_FROM pixels on pictures are squashed, below it `crop_pct` of them is shown.
        crops_since_5: transformers 4 left the middle uncut in its usual form, whatever the settings say.
    """

    size: Any
    mean: tuple[float, ...] = HALF
    std: tuple[float, ...] = HALF
    resample: int = 3
    squares: bool = True
    crops: bool = False
    crop_size: int = 224
    enlarges: float = 1.0
    by_share: bool = False
    crops_since_5: bool = False


SQUARE, SHORTEST = {"height": 224, "width": 224}, {"shortest_edge": 224}
OF_CLIP = ImageProcessor(SHORTEST, OPENAI_MEAN, OPENAI_STD, squares=False, crops=True)
OF_CONVNEXT = ImageProcessor({"shortest_edge": WHOLE_FROM}, squares=False, by_share=True)
KINDS = {  # by the name of the class, without its ending
    "ViT": ImageProcessor(SQUARE, resample=2, crops_since_5=True),
    "Siglip": ImageProcessor(SQUARE, crops_since_5=True),
    "Beit": ImageProcessor(SQUARE),
    "DeiT": ImageProcessor({"height": 256, "width": 256}, crops=True),
    "DINOv3ViT": ImageProcessor(SQUARE, IMAGENET_MEAN, IMAGENET_STD, 2),
    **dict.fromkeys(("CLIP", "ChineseCLIP", "Bit"), OF_CLIP),
    **dict.fromkeys(("ConvNext", "Convnext"), OF_CONVNEXT),
    "Levit": ImageProcessor(
        SHORTEST, IMAGENET_MEAN, IMAGENET_STD, squares=False, crops=True, enlarges=256 / 224
    ),
}
OF_NETWORK = {  # the class that transformers takes where the file names none, by a kind of network
    "ViT": "ViT", "DeiT": "DeiT", "DINOv2": "Bit", "DINOv3": "DINOv3ViT", "CLIP": "CLIP", "SigLIP": "Siglip",
    "Swin": "ViT", "SwinV2": "ViT", "BEiT": "Beit", "ConvNeXt": "ConvNext",
}  # fmt: skip
WITHOUT_VIEW = {  # classes whose pictures have no common height and width
    "Siglip2": "keeps the proportions of each picture (NaFlex), which one input view cannot"
}
HARMLESS = (
    "processor_class", "crop_size*", "do_convert_rgb", "data_format", "input_data_format", "device",
    "disable_grouping", "return_*", "model_input_names", "*reduce_labels", "image_seq*",
    "default_to_square", "pad_size", "use_fast", "size_divisor", "text_config*", "feature_extractor_type",
    "image_processor_type", "backend", "num_channels",
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """The pixels that a network sees, and where this is stated; "" where it is nowhere."""

    transform: Transform
    source: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""  # why it is not known
    untaken: tuple[str, ...] = field(default=())

    @property
    def stated(self) -> bool:
        return bool(self.source) and not self.problem and not self.untaken


def read_view(path: Path, family: str, base: Transform) -> View:
    """Return the input view that the image processor's settings beside a checkpoint state.

    Args:
        family: the kind of network. base: the view where there are no such settings.
    Raises:
        CheckpointError: the file is damaged, or a value in it is of another type.
    """
    settings = _settings(path)
    if not settings:
        return View(base)
    try:
        return _stated(settings, family, base, stated_version(path))
    except (SettingsError, TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(
            f"{settings.source} cannot be followed ({error}): correct or remove it"
        ) from None


def _settings(path: Path) -> Taken:
    """Those of either file; transformers 5 writes them into the settings of a processor, and reads them "
    "first."""
    nested = read_settings(path, PROCESSOR).get(NESTED)
    if isinstance(nested, Mapping):
        return Taken(nested, PROCESSOR)
    return Taken(read_settings(path, PREPROCESSOR), PREPROCESSOR)


def _stated(settings: Taken, family: str, base: Transform, version: str) -> View:
    name = _class_name(settings) or OF_NETWORK.get(family, family)
    what = f"{settings.source} is of a {name} processor"
    kind = KINDS.get(name)
    if kind is None:
        why = WITHOUT_VIEW.get(name, f"which is none of those known here ({', '.join(KINDS)})")
        joined = f"{what}, which {why}" if name in WITHOUT_VIEW else f"{what}, {why}"
        return View(_pixels(settings, ImageProcessor(SQUARE), base), settings.source, problem=joined)
    transform = _pixels(settings, kind, base)
    problem, geometry = _geometry(settings, kind)
    if not problem:
        transform = replace(transform, **geometry)
        problem = _other_problem(settings, transform)
    left = settings.left(*HARMLESS)
    untaken = sorted(key for key, value in left.items() if value not in (None, False, [], {}, ""))
    notes = [assumed("settings_untaken", what=settings.source, names=tuple(untaken))] if untaken else []
    if kind.crops_since_5 and settings.get("do_center_crop") and (major(version) or 5) < 5:
        notes.append(assumed("cropped_since_5", what=name))
    full = f"{settings.source} ({name}): {problem}" if problem else ""
    return View(transform, settings.source, tuple(notes), full, tuple(untaken))


def _class_name(settings: Taken) -> str:
    """The class of a processor without its ending; "" where the file names none."""
    for key in ("image_processor_type", "feature_extractor_type"):
        name = settings.get(key)
        if isinstance(name, str) and name:
            return next((name.removesuffix(one) for one in ENDINGS if name.endswith(one)), name)
    return ""


def _pixels(settings: Taken, kind: ImageProcessor, base: Transform) -> Transform:
    """Mean and std of pixels in [0, 1], and the interpolation.

    (x f - m) / s of x in 0 .. 255 is (x / 255 - m') / s' with m' = m / (255 f), s' = s / (255 f).
    """
    factor = settings.get("rescale_factor", 1 / 255)
    factor = factor if _switch(settings, "do_rescale", True) else 1
    mean, std = (_three(settings.get(f"image_{key}"), getattr(kind, key)) for key in ("mean", "std"))
    if not _switch(settings, "do_normalize", True):
        mean, std = (0.0,) * 3, (1.0,) * 3
    scale = 255 * factor
    if abs(scale - 1) > 1e-9:
        mean, std = (tuple(value / scale for value in values) for values in (mean, std))
    resample = settings.get("resample", kind.resample)
    resample = kind.resample if resample is None else resample
    if resample not in RESAMPLE:
        raise CheckpointError(
            f"{settings.source} says resample {str(resample)[:60]!r}, which is none of Pillow's"
        )
    return replace(base, mean=mean, std=std, interpolation=RESAMPLE[resample])


def _switch(settings: Taken, name: str, usual: bool) -> bool:
    value = settings.get(name)
    return usual if value is None else bool(value)


def _three(value: Any, usual: tuple[float, ...]) -> tuple[float, ...]:
    if value is None:
        return usual
    return tuple(value) if isinstance(value, list | tuple) else (value,) * 3


def _geometry(settings: Taken, kind: ImageProcessor) -> tuple[str, dict[str, Any]]:
    """Why a processor shows pictures of different sizes, else "", and the fields of `Transform` where not."""
    size = _size(settings, "size", kind.size, squares=kind.squares)
    crops = _switch(settings, "do_center_crop", kind.crops)
    crop = _size(settings, "crop_size", kind.crop_size, squares=True) if crops else ()
    if not _switch(settings, "do_resize", True):
        size = ()
        if not crops:
            return "pictures keep their own sizes (do_resize is false)", {}
    if kind.by_share:
        return _view_of_convnext(settings, size, crops)
    if size == (0,):
        return f"a size of {settings.get('size')} gives pictures of several sizes", {}
    if kind.enlarges != 1 and len(size) == 1:
        size = (int(kind.enlarges * size[0]),)
    return _combined(size, crop)


def _combined(size: Size, crop: Size) -> tuple[str, dict[str, Any]]:
    """Resize to `size`, the shorter side or both, and cut `crop` out of the middle; () for neither."""
    if not size:
        return "", {"resize": None, "input_size": crop, "crop": "unscaled"}
    if len(size) == 1 and crop:
        return "", {"resize": size[0], "input_size": crop, "crop": "floor"}
    if len(size) == 1:
        return "pictures keep their proportions and are not cropped", {}
    if not crop or crop == size:
        return "", {"resize": None, "input_size": size, "crop": "squash"}
    if size[0] == size[1]:
        return "", {"resize": size[0], "input_size": crop, "crop": "squash floor"}
    return f"pictures are resized to {size[0]} x {size[1]} and then cropped", {}


def _view_of_convnext(settings: Taken, size: Size, crops: bool) -> tuple[str, dict[str, Any]]:
    """The view that its own processor gives: the middle `crop_pct` of a picture; from WHOLE_FROM on, all."""
    share = stated_number(settings, "crop_pct") or 224 / 256
    if crops:
        return "do_center_crop beside crop_pct, which transformers 4 and 5 do differently", {}
    if len(size) != 1 or not 0.1 <= share <= 10:
        return f"size {settings.get('size')} and crop_pct {share:g} give no square", {}
    side = size[0]
    if side >= WHOLE_FROM:
        return "", {"input_size": side, "resize": None, "crop": "squash"}
    return "", {"input_size": side, "resize": int(side / share), "crop": "floor"}


def _size(settings: Taken, name: str, usual: Any, *, squares: bool) -> Size:
    """The shorter side, or height and width; (0,) for a size of another kind."""
    value = settings.get(name)
    value = usual if value is None else value
    if isinstance(value, Mapping):
        given = settings.inner(name) if name in settings else value
        stated = {key for key, one in value.items() if one is not None}
        if stated == {"shortest_edge"}:
            return (_side(given, "shortest_edge", settings),)
        if {"height", "width"} <= stated:
            return _side(given, "height", settings), _side(given, "width", settings)
        return (0,)
    if isinstance(value, list | tuple) and len(value) == 2:
        pair = {"height": value[0], "width": value[1]}
        return _side(pair, "height", settings), _side(pair, "width", settings)
    side = _side({name: value}, name, settings)
    both = name != "size" or bool(settings.get("default_to_square", squares))
    return (side, side) if both else (side,)


def _side(values: Mapping[str, Any], name: str, settings: Taken) -> int:
    side = stated_whole(values, name, MOST_SIDE)
    if side is None:
        raise CheckpointError(f"{settings.source} states no {name}: correct or remove it")
    return side


def _other_problem(settings: Taken, transform: Transform) -> str:
    """What else a processor does with pixels that is not known here."""
    padded = settings.get("pad_size")
    if settings.get("do_pad") and padded:
        given = settings.inner("pad_size") if isinstance(padded, Mapping) else {}
        if (given.get("height"), given.get("width")) != transform.sides:
            return f"pictures are padded to {padded}"
    settings.get("crop_pct")
    others = []
    for key, value in settings.left(*HARMLESS).items():
        is_change = key.startswith("do_") or "offset" in key or key == "auto_map"
        if value not in (None, False) and is_change:
            others.append(key)
    return f"{', '.join(others)} {'is' if len(others) == 1 else 'are'} not known here" if others else ""
