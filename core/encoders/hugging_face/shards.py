"""Which files a checkpoint in a folder is made of: one file of weights, or the shards that an index names."""

import os
import re
from pathlib import Path

from core.common.inside import read_json_file
from core.errors import CheckpointError

INDEX = ".index.json"
WHOLE = (
    "model.safetensors",
    "pytorch_model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
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
    if not path.name.endswith(INDEX):
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


def _in_folder(folder: Path) -> Path:
    indices = sorted(folder.glob(f"*{INDEX}"))
    whole = [folder / name for name in WHOLE if (folder / name).is_file()]
    alone = sorted(file for file in folder.glob("*.safetensors") if file.is_file())
    safe = [index for index in indices if ".safetensors." in index.name]
    for candidates in (whole[:1], safe or indices, alone):
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
