"""Which files a checkpoint in a folder is made of: one file of weights, or the shards that an index names."""

import os
import re
import time
from pathlib import Path

from core.common.inside import read_json_file
from core.errors import CheckpointError

DISTRIBUTED = ".metadata"  # of a folder of torch.distributed.checkpoint
INDEX = ".index.json"
AN_INDEX = re.compile(r"\.index(\.\w+)?\.json")  # of a variant: model.safetensors.index.fp16.json
WHOLE = (
    "model.safetensors",
    "pytorch_model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
NAME = re.compile(  # of a file of weights or its index: pytorch_model.fp16.bin, model.safetensors.index.json
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
    """Which file of a folder is read as its checkpoint, and which others hold weights, each with its date.

    The same weights in another form (of PyTorch, TensorFlow, open_clip, another precision) are no others.

    Returns:
        the file, and the others; no others for the path of a file.
    """
    if not path.is_dir():
        return path.name, []
    taken = _in_folder(path)
    parts = {file.name for file in weight_files(taken)} | {taken.name}
    shards = [file for file in path.iterdir() if NAME.fullmatch(file.name) and file.is_file()]
    shards = [file for file in shards if not PART.search(file.name) and not OF_TRAINING.fullmatch(file.name)]
    others = [file for file in shards if file.name not in parts and not _is_twin(file.name, taken.name)]
    return _dated(taken), [_dated(file) for file in sorted(others)]


def _is_twin(name: str, taken: str) -> bool:
    """Whether two files are one network in two forms; one beside shards of the same form is another."""
    one, other = NAME.fullmatch(name), NAME.fullmatch(taken)
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
