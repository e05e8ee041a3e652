"""Let a tool read what we wrote, in its environment: `python -m tests.crossed.reading_back READER FOLDER`.

FOLDER holds `out`, the export, and `images`, the pictures. What the tool says goes to `read.json` and
`read.npz`. It imports only numpy and the reader.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

JSON, ARRAYS = "read.json", "read.npz"
PREFIX = "peregrine_"


@dataclass
class ReadImage:
    """What a tool says of an image.

    Attributes:
        file: its path in the folder of images. fields: by names without the prefix; undefined ones are left
            out. tags: without the prefix. arrays: embedding, heatmap, core, spurious. label: where the form
            is one of labels. split: "" where the tool knows none.
    """

    file: str
    fields: dict[str, Any] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    arrays: dict[str, Any] = field(default_factory=dict)
    label: str | None = None
    split: str = ""


def ours(values: dict[str, Any]) -> dict[str, Any]:
    """The fields with the prefix, without it; no undefined ones."""
    return {
        name.removeprefix(PREFIX): value
        for name, value in values.items()
        if name.startswith(PREFIX) and value is not None and value != [] and value != ""
    }


def tags_of(names: list[str]) -> list[str]:
    return [name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX)]


def store(images: list[ReadImage], folder: Path) -> None:
    arrays = {
        f"{at}/{name}": np.asarray(one) for at, read in enumerate(images) for name, one in read.arrays.items()
    }
    np.savez_compressed(folder / ARRAYS, **arrays)  # pyright: ignore[reportArgumentType]
    about = [{name: value for name, value in vars(one).items() if name != "arrays"} for one in images]
    (folder / JSON).write_text(json.dumps(about), encoding="utf-8")


def stored(folder: Path) -> list[ReadImage]:
    images = [ReadImage(**one) for one in json.loads((folder / JSON).read_text(encoding="utf-8"))]
    with np.load(folder / ARRAYS) as arrays:
        for name in arrays.files:
            at, _, kind = name.partition("/")
            images[int(at)].arrays[kind] = arrays[name]
    return images


def main(reader: str, folder: Path) -> None:
    warnings.simplefilter("ignore")
    option = (folder / "option").read_text(encoding="utf-8")
    read = importlib.import_module(f"tests.crossed.readers.{reader}").READERS[option]
    store(read(folder / "out", folder / "images"), folder)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
