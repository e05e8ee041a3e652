"""The network that a training checkpoint says it is of: its `arch`, or the `args` that it was trained with.

timm's and torchvision's training scripts store their options, of which those on pixels are what it says.
"""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

import timm

from core.encoders.architectures import Stem, libraries_with, named_resnet, output_stride_of
from core.encoders.spec import Sidecar
from core.encoders.transform import IMAGENET_MEAN, IMAGENET_STD, INTERPOLATIONS
from core.errors import EncoderError

NAMES = ("arch", "model", "model_name", "backbone", "encoder_name", "architecture")
OPTIONS = ("args", "hyper_parameters", "hparams", "config")  # where they may stand in a file
UNIVERSAL = "tu-"  # before timm's names in segmentation_models_pytorch
OF_TIMM = {"crop_pct", "interpolation"}  # options of training scripts in the words of timm
OF_TORCHVISION = {"val_crop_size", "val_resize_size", "interpolation"}  # of torchvision's reference training


def stated_networks(file: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> list[Sidecar]:
    """What a checkpoint says of its network, as sidecars: one for each library with that network.

    Args:
        beside: the config.json beside it.
    """
    sidecars: list[Sidecar] = []
    for name, options, source in _names(file, beside or {}):
        libraries = libraries_with(name, file)
        if options.keys() >= OF_TORCHVISION:
            libraries.sort(reverse=True)
        if "timm" in libraries and str(options.get("encoder_name")).startswith(UNIVERSAL):
            stride = output_stride_of(options)
            arguments = {"output_stride": stride} if stride else {}
            sidecars.append(Sidecar(arch=f"timm:{name}", arguments=arguments, source=source))
            continue
        if libraries and not options.keys() >= OF_TIMM and _is_plain_resnet(name):
            stride = output_stride_of(options)
            pixels = _pixels_of_torchvision(options)
            sidecars.append(Sidecar(arch=name, source=source, output_stride=stride, **pixels))
            continue
        sidecars += [_sidecar(library, name, options, source) for library in libraries]
    return sidecars


def _names(
    file: Mapping[str, Any], beside: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Each name that may be that of a network, with the options beside it, and where it stands."""
    parts = {where: _as_mapping(file.get(where)) for where in OPTIONS}
    if isinstance(name := file.get("arch"), str):
        yield name, parts["args"], "'arch' in the file"
    for where, options in parts.items():
        for key in NAMES:
            if isinstance(name := options.get(key), str) and name != file.get("arch"):
                yield name, options, f"'{where}.{key}' in the file"
    for key in NAMES:
        if isinstance(name := beside.get(key), str):
            yield name.removeprefix(UNIVERSAL), beside, f"'{key}' of config.json"


def _as_mapping(value: Any) -> Mapping[str, Any]:
    values = vars(value) if isinstance(value, argparse.Namespace) else value
    return values if isinstance(values, Mapping) else {}


def _is_plain_resnet(name: str) -> bool:
    try:
        named_resnet(name, stem=Stem())
    except EncoderError:
        return False
    return True


def _sidecar(library: str, name: str, options: Mapping[str, Any], source: str) -> Sidecar:
    arch = f"{library}:{name}"
    if library == "timm" and options.keys() >= OF_TIMM:
        pixels = _pixels_of_timm(options)
        return Sidecar(
            arch=arch,
            arguments=_size_of_grid(name, pixels) | _arguments_of_timm(options),
            timm_geometry=pixels,
            states_pixels=True,
            source=source,
        )
    return Sidecar(arch=arch, source=source, **_pixels_of_torchvision(options))


def _arguments_of_timm(options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with which timm's training script makes the network, but for its number of classes."""
    arguments = {ours: options.get(theirs) for ours, theirs in (("global_pool", "gp"), ("bn_eps", "bn_eps"))}
    further = options.get("model_kwargs")
    arguments |= further if isinstance(further, Mapping) else {}
    return {key: value for key, value in arguments.items() if value is not None and key != "num_classes"}


def _size_of_grid(name: str, pixels: Mapping[str, Any]) -> dict[str, Any]:
    """The size that a network is built for, where that is fixed and the options say another."""
    config = timm.get_pretrained_cfg(name.partition(".")[0])
    if config is None or not config.fixed_input_size or "input_size" not in pixels:
        return {}
    _, height, width = pixels["input_size"]
    return {"img_size": height if height == width else (height, width)}


def _pixels_of_timm(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options on pixels, in timm's words; one number of a mean is that of all channels."""
    stated = {key: options.get(key) for key in ("crop_pct", "crop_mode", "interpolation")}
    for key in ("mean", "std"):
        values = options.get(key)
        if isinstance(values, list | tuple) and len(values) in (1, 3):
            stated[key] = tuple(values) * (3 // len(values))
    size = options.get("input_size")
    if isinstance(size, list | tuple) and len(size) == 3:
        stated["input_size"] = tuple(size)
    elif isinstance(options.get("img_size"), int):
        stated["input_size"] = (3, options["img_size"], options["img_size"])
    return {key: value for key, value in stated.items() if value}


def _pixels_of_torchvision(options: Mapping[str, Any]) -> dict[str, Any]:
    """The transform of torchvision's own evaluation, as arguments of a sidecar; nothing for other options."""
    if not options.keys() >= OF_TORCHVISION or options["interpolation"] not in INTERPOLATIONS:
        return {}
    transform = {
        "resize": options["val_resize_size"],
        "input_size": options["val_crop_size"],
        "interpolation": options["interpolation"],
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
    }
    return {"transform": transform}
