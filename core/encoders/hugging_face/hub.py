"""Repositories of the Hugging Face hub as encoders, `hf:ORG/NAME`: their folder on this machine."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.encoders.hugging_face.settings import read_beside
from core.encoders.hugging_face.shards import WHOLE
from core.encoders.readout.class_names import names_in
from core.encoders.spec import Sidecar, Spec
from core.encoders.transform import INTERPOLATIONS
from core.encoders.trusted_code import is_named_by_owner, studies_are_trusted
from core.errors import EncoderError, first_line

OF_TIMM = {"input_size", "crop_pct", "pool_size", "interpolation"}  # settings of weights of timm
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
WEIGHTS = (["*.json", "*.safetensors"], ["*.json", "*.bin"])  # looked for in this order; nothing is run


def repository(spec: Spec) -> Path:
    """Return the folder of a repository, downloaded if the owner of this machine has named it.

    Raises:
        EncoderError: no such name, no huggingface_hub, or it can neither be found here nor downloaded.
    """
    unknown = sorted(spec.arguments.keys() - {"revision"})
    if not NAME.fullmatch(spec.name) or unknown:
        what = f"no setting '{unknown[0]}'" if unknown else f"'{spec.name[:80]}' is no repository"
        raise EncoderError(f"{what}: write hf:ORG/NAME or hf:ORG/NAME?revision=TAG")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise EncoderError(
            f"hf:{spec.name} needs the package huggingface_hub: pip install huggingface_hub, or download the "
            "repository and give its folder"
        ) from None
    may_download = is_named_by_owner(spec.arch) or studies_are_trusted()
    revision = spec.arguments.get("revision")
    options: dict[str, Any] = {"revision": None if revision is None else str(revision)}
    try:
        for patterns in WEIGHTS:
            folder = Path(
                snapshot_download(
                    spec.name, allow_patterns=patterns, local_files_only=not may_download, **options
                )
            )
            if any(any(folder.glob(pattern)) for pattern in patterns[1:]):
                return folder
    except Exception as error:  # of the network, of the hub, of the disk
        raise EncoderError(
            f"cannot get hf:{spec.name}: {first_line(error)[:160]}. Download the repository where you can, "
            "and give its folder as the encoder"
        ) from None
    raise EncoderError(f"hf:{spec.name} has no .safetensors and no .bin file of weights in its top folder")


def timm_sidecar(path: Path) -> Sidecar | None:
    """Return what timm's config.json beside the weights says of them; None for other files."""
    if not (path.is_dir() or path.name in WHOLE):
        return None
    config = read_beside(path)
    is_timms = isinstance(config.get("pretrained_cfg"), dict) or bool(OF_TIMM & config.keys())
    if "model_type" in config or not is_timms or not isinstance(config.get("architecture"), str):
        return None  # an `architecture` alone is anybody's setting
    return sidecar_of_timm(config, "config.json beside the weights")


def sidecar_of_timm(config: Mapping[str, Any], source: str) -> Sidecar:
    """Return what a config.json of timm says: the network that `timm.create_model` makes, and pixels."""
    stated, arguments = config.get("pretrained_cfg", config), config.get("model_args")
    facts: Mapping[str, Any] = stated if isinstance(stated, Mapping) else {}
    given: Mapping[str, Any] = arguments if isinstance(arguments, Mapping) else {}
    arguments = {}
    for key, value in given.items():
        if value is not None and key != "num_classes":
            arguments[key] = tuple(value) if isinstance(value, list) else value
    transform = {key: tuple(facts[key]) for key in ("mean", "std") if isinstance(facts.get(key), list)}
    geometry = {key: facts[key] for key, fits in GEOMETRY.items() if fits(facts.get(key))}
    return Sidecar(
        arch=f"timm:{config['architecture']}",
        arguments=arguments,
        transform=transform,
        timm_geometry=geometry,
        source=source,
    )


def names_of_timm(path: Path) -> list[list[str]]:
    """The names of classes in timm's config.json beside the weights, each with its description, where it has
    one; none for other files."""
    if timm_sidecar(path) is None:
        return []
    config = read_beside(path)
    stated = {**config.get("pretrained_cfg", {}), **config}
    names = names_in({"classes": stated.get("label_names", stated.get("labels"))})
    descriptions = stated.get("label_descriptions")
    if not isinstance(descriptions, dict):
        return names
    return [[name, *filter(None, [descriptions.get(name)])] for (name,) in names]


def _is_shape(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    return all(type(side) is int and side > 0 for side in value)


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and 0.1 <= value <= 10


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_interpolation(value: Any) -> bool:
    return value in (*INTERPOLATIONS, "random")


GEOMETRY: dict[str, Callable[[Any], bool]] = {  # what timm's config.json says of the view, and its values
    "input_size": _is_shape,
    "crop_pct": _is_share,
    "crop_mode": _is_text,
    "interpolation": _is_interpolation,
}
