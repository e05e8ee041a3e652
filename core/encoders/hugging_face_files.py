"""Repositories of the Hugging Face hub and folders of checkpoints: which files they are made of."""

import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from core.common.inside import read_json_file
from core.encoders.head_file import names_in
from core.encoders.hugging_face_settings import read_beside
from core.encoders.spec import Sidecar, Spec
from core.encoders.transform import INTERPOLATIONS
from core.encoders.trusted_code import is_named_by_owner, studies_are_trusted
from core.errors import CheckpointError, EncoderError, first_line

# Which files a checkpoint in a folder is made of: one file of weights, or the shards that an index names.


DISTRIBUTED = ".metadata"  # of a folder of torch.distributed.checkpoint
INDEX = ".index.json"
AN_INDEX = re.compile(r"\.index(\.\w+)?\.json")  # of a variant: model.safetensors.index.fp16.json
WHOLE = (
    "model.safetensors",
    "pytorch_model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
# of a file of weights or its index: pytorch_model.fp16.bin, model.safetensors.index.json
WEIGHT_NAME = re.compile(
    r"(?P<library>(?:open_clip_|pytorch_)*)(?P<stem>[^.]+)(?:\.(?P<variant>\w+))?\.(?P<kind>safetensors|bin)"
    r"(?P<index>\.index(?:\.(?P<of_index>\w+))?\.json)?"
)
PART = re.compile(r"-\d{5}-of-\d{5}\.")
OF_TRAINING = re.compile(r"(optimizer|scheduler|training_args|scaler|random_states|rng_state)\w*\.bin")
MOST_BYTES = 64 << 20  # of an index; one of 1,000 shards has 5 MB


def weight_files(path: Path) -> dict[Path, list[str] | None]:
    """Return the files of a checkpoint, each with the keys that are taken from it; None: all.

    Args:
        path: a file, an index (`model.safetensors.index.json`), or a folder with either.
    Raises:
        CheckpointError: a folder without weights or with several, a damaged index, or missing shards.
    """
    if path.is_dir():
        path = _in_folder(path)
    if re.search(r"-\d{5}-of-(?!00001)\d{5}\.", path.name):
        raise CheckpointError(
            f"'{path}' is one part of a checkpoint in several files; name its folder, or its {INDEX[1:]}"
        )
    if not AN_INDEX.search(path.name):
        return {path: None}
    try:
        places = read_json_file(path, MOST_BYTES)["weight_map"]
        shards: dict[str, list[str]] = {}
        for key, name in places.items():
            shards.setdefault(_plain(name), []).append(key)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"'{path}' is no index of a checkpoint ({error}); download it again") from None
    missing = sorted(name for name in shards if not (path.parent / name).is_file())
    if missing or not shards:
        names = ", ".join(missing[:3]) + " …" * (len(missing) > 3)
        raise CheckpointError(
            f"{len(missing)} of {len(shards)} files that '{path}' names are missing ({names}); download them "
            "into its folder"
        )
    return {path.parent / name: keys for name, keys in shards.items()}


def other_weights(path: Path) -> tuple[str, list[str]]:
    """Which file of a folder is read as the checkpoint, and which others hold weights, with dates.

    The same weights in another form (of PyTorch, TensorFlow, open_clip, another precision) are no others.

    Returns:
        the file, and the others; no others for the path of a file.
    """
    if not path.is_dir():
        return path.name, []
    taken = _in_folder(path)
    parts = {file.name for file in weight_files(taken)} | {taken.name}
    shards = [file for file in path.iterdir() if WEIGHT_NAME.fullmatch(file.name) and file.is_file()]
    shards = [file for file in shards if not PART.search(file.name) and not OF_TRAINING.fullmatch(file.name)]
    others = [file for file in shards if file.name not in parts and not _is_twin(file.name, taken.name)]
    return _dated(taken), [_dated(file) for file in sorted(others)]


def _is_twin(name: str, taken: str) -> bool:
    """Whether two files are one network in two forms; one beside shards of the same form is another."""
    one, other = WEIGHT_NAME.fullmatch(name), WEIGHT_NAME.fullmatch(taken)
    if one is None or other is None or one["stem"] != other["stem"]:
        return False
    forms = [(m["library"], m["variant"] or m["of_index"], m["kind"]) for m in (one, other)]
    return forms[0] != forms[1]


def _dated(file: Path) -> str:
    """The name of a file with the time when it was written."""
    return f"{file.name} ({time.strftime('%Y-%m-%d %H:%M', time.localtime(file.stat().st_mtime))})"


def _in_folder(folder: Path) -> Path:
    if (folder / DISTRIBUTED).is_file():
        raise CheckpointError(
            f"'{folder}' is a checkpoint of torch.distributed in parts; make one file of it: python -m "
            "torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE.pt"
        )
    indices = sorted(file for file in folder.glob("*.json") if AN_INDEX.search(file.name))
    indices = [file for file in indices if file.name.endswith(INDEX)] or indices
    whole = [folder / name for name in WHOLE if (folder / name).is_file()]
    alone = sorted(file for file in folder.glob("*.safetensors") if file.is_file())
    safe = [index for index in indices if ".safetensors." in index.name]
    pickled = [file for file in sorted(folder.glob("pytorch_model.*.bin")) if not PART.search(file.name)]
    for candidates in (whole[:1], safe or indices, alone, pickled):
        if len(candidates) == 1:
            return candidates[0]
    raise CheckpointError(f"'{folder}' is a folder; name the checkpoint file in it")


def _plain(name: object) -> str:
    """Return the name of a file beside the index. Raises ValueError for a path that leads elsewhere."""
    if not isinstance(name, str) or not name or os.path.basename(name) != name or name in (".", ".."):
        raise ValueError(f"'{name}' is not the name of a file beside it")
    if name.endswith(INDEX):
        raise ValueError(f"'{name}' is an index itself")
    return name


# Repositories of the Hugging Face hub as encoders, `hf:ORG/NAME`: their folder on this machine.


OF_TIMM = {"input_size", "crop_pct", "pool_size", "interpolation"}  # settings of weights of timm
REPOSITORY_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
WEIGHTS = (["*.json", "*.safetensors"], ["*.json", "*.bin"])  # looked for in this order; nothing is run


def repository(spec: Spec) -> Path:
    """Return the folder of a Hugging Face repository of weights, downloaded if the owner has named it.

    Raises:
        EncoderError: no such name, no huggingface_hub, or it can neither be found here nor downloaded.
    """
    unknown = sorted(spec.arguments.keys() - {"revision"})
    if not REPOSITORY_NAME.fullmatch(spec.name) or unknown:
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
    """The names of classes in timm's config.json beside a checkpoint's weights; none for other files.

    Each with its description, where it has one.
    """
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
