"""Shards that webdataset writes, as it reads them again."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import webdataset as wds
from PIL import Image

from tests.crossed.data_kit import Picture, WrittenData, drawn, outlined, rgb

NAMES = ("cat", "dog", "hot dog")
Sample = Callable[[int], dict[str, Any]]


def by_class(number: int, ending: str = "png") -> dict[str, Any]:
    return {"__key__": f"{number:06d}", ending: drawn(number), "cls": number % 3}


def by_text(number: int, ending: str = "cls") -> dict[str, Any]:
    return {"__key__": f"{number:06d}", "png": drawn(number), f"{ending}": NAMES[number % 3].encode()}


def by_json(number: int, key: str = "label") -> dict[str, Any]:
    about = {key: NAMES[number % 3], "width": 48, "id": number}
    return {"__key__": f"{number:06d}", "png": drawn(number), "json": about}


def by_folder(number: int) -> dict[str, Any]:
    return {"__key__": f"{NAMES[number % 3]}/{number:04d}", "png": drawn(number)}


def by_caption(number: int) -> dict[str, Any]:
    return {
        "__key__": f"{number:06d}",
        "png": drawn(number),
        "txt": f"A picture with the number {number}, in colours",
    }


def with_mask(number: int) -> dict[str, Any]:
    mask = np.repeat(outlined(number)[..., None] * 255, 3, axis=2)
    return {
        "__key__": f"{number:06d}",
        "png": drawn(number),
        "mask.png": mask.astype(np.float32) / 255,
        "cls": number % 3,
    }


def two_words(number: int) -> dict[str, Any]:
    return {"__key__": f"{number:06d}", "input.png": drawn(number), "target.cls": number % 3}


def dotted(number: int) -> dict[str, Any]:
    return {"__key__": f"v1.5/{number:06d}", "png": drawn(number), "cls": number % 3}


def read(files: list[str], split: str, label: str, text: bool, image: str) -> list[Picture]:
    """What the library returns, without its decoder, which takes each cls as a number."""
    pictures = []
    for sample in wds.WebDataset(files, shardshuffle=False):
        name = _label(sample, label)
        said = sample["txt"].decode() if text else ""
        pictures.append(Picture(rgb(Image.open(io.BytesIO(sample[image]))), name, split, text=said))
    return pictures


def _label(sample: dict[str, Any], label: str) -> str | None:
    if not label:
        return None
    if label == "folder":
        return sample["__key__"].split("/")[0]
    value = sample[label].decode()
    if label != "json":
        return value
    about = json.loads(value)
    return about.get("label", about.get("class"))


def shards(
    folder: Path,
    sample: Sample,
    *,
    n: int = 9,
    maxcount: int = 100,
    splits: tuple[str, ...] = ("",),
    pattern: str = "shard-%06d.tar",
    spec: str = "{folder}/data",
    label: str = "cls",
    text: bool = False,
    image: str = "png",
    tar: bool = False,
    options: dict[str, Any] | None = None,
    refused: bool = False,
) -> WrittenData:
    root = folder / "data"
    root.mkdir()
    pictures: list[Picture] = []
    for at, split in enumerate(splits):
        place = str(root / (f"{split}-{pattern}" if split else pattern))
        if tar:
            with wds.TarWriter(place) as writer:
                for number in range(10 * at, 10 * at + n):
                    writer.write(sample(number))
        else:
            with wds.ShardWriter(place, maxcount=maxcount, verbose=0) as writer:
                for number in range(10 * at, 10 * at + n):
                    writer.write(sample(number))
        files = sorted(str(one) for one in root.iterdir() if not split or one.name.startswith(split))
        pictures += read(files, split, label, text, image)
    return WrittenData(spec=spec, options=options or {}, pictures=pictures, refused=refused)


CASES = {
    ("ShardWriter", "png and cls"): partial(shards, sample=by_class),
    ("ShardWriter", "jpg and cls"): partial(shards, sample=partial(by_class, ending="jpg"), image="jpg"),
    ("ShardWriter", "several shards, the folder"): partial(shards, sample=by_class, maxcount=4),
    ("ShardWriter", "several shards, braces"): partial(
        shards, sample=by_class, maxcount=4, spec="{folder}/data/shard-{000000..000002}.tar"
    ),
    ("ShardWriter", "several shards, a star"): partial(
        shards, sample=by_class, maxcount=4, spec="{folder}/data/shard-*.tar"
    ),
    ("ShardWriter", "train- and val-, the folder"): partial(shards, sample=by_class, splits=("train", "val")),
    ("ShardWriter", "train- and val-, --val"): partial(
        shards,
        sample=by_class,
        splits=("train", "val"),
        spec="{folder}/data/train-*.tar",
        options={"val": "{folder}/data/val-*.tar"},
    ),
    ("ShardWriter", "cls as text"): partial(shards, sample=by_text),
    ("ShardWriter", "json with label"): partial(shards, sample=by_json, label="json"),
    ("ShardWriter", "json with class"): partial(shards, sample=partial(by_json, key="class"), label="json"),
    ("ShardWriter", "class folders in keys"): partial(shards, sample=by_folder, label="folder"),
    ("ShardWriter", "txt as captions"): partial(shards, sample=by_caption, label="", text=True),
    ("ShardWriter", "a mask beside"): partial(shards, sample=with_mask),
    ("ShardWriter", "input.png and target.cls"): partial(
        shards, sample=two_words, image="input.png", label="target.cls"
    ),
    ("ShardWriter", "a dot in the folder of keys"): partial(shards, sample=dotted),
    ("TarWriter", "one tar"): partial(
        shards, sample=by_class, tar=True, pattern="all.tar", spec="{folder}/data/all.tar"
    ),
    ("TarWriter", "one tar.gz"): partial(
        shards, sample=by_class, tar=True, pattern="all.tar.gz", spec="{folder}/data/all.tar.gz", refused=True
    ),
    ("TarWriter", "one tgz in a folder"): partial(
        shards, sample=by_class, tar=True, pattern="all.tgz", refused=True
    ),
}
