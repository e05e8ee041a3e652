"""`datasets` reads Parquet with pictures, and lists of labels."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

os.environ |= {"HF_HOME": tempfile.mkdtemp(prefix="datasets"), "HF_HUB_OFFLINE": "1"}

import datasets
import numpy as np
from PIL import Image

from tests.crossed.reading_back import ReadImage, ours, tags_of

MAPS = {"heatmap": "heatmap", "mask_core": "core", "mask_spurious": "spurious"}
SPLITS = {"train": "train", "validation": "val"}


def folder(out: Path, images: Path) -> list[ReadImage]:
    data = datasets.load_dataset(str(out))
    assert set(data) == set(SPLITS)
    return [row_of(row, split, images) for split, rows in data.items() for row in rows]


def row_of(row: dict[str, Any], split: str, images: Path) -> ReadImage:
    with Image.open(images / row["file_name"]) as picture:
        assert np.array_equal(np.asarray(picture.convert("RGB")), np.asarray(row["image"].convert("RGB")))
    values = ours(row)
    read = ReadImage(row["file_name"], tags=tags_of(values.pop("tags", [])))
    read.label, read.split = row["label"], SPLITS[split]
    read.arrays["embedding"] = np.array(values.pop("embedding"), np.float32)
    for column, name in MAPS.items():
        if column in values:
            read.arrays[name] = np.asarray(values.pop(column))
    read.fields = values
    return read


def csv(out: Path, images: Path) -> list[ReadImage]:
    (rows,) = datasets.load_dataset("csv", data_files=str(out / "labels.csv")).values()
    return [ReadImage(row["path"], label=row["label"] or None, split=row["split"]) for row in rows]


def parquet(out: Path, images: Path) -> list[ReadImage]:
    (rows,) = datasets.load_dataset("parquet", data_files=str(out / "labels.parquet")).values()
    return [ReadImage(row["path"], label=row["label"], split=row["split"]) for row in rows]


def imagefolder(out: Path, images: Path) -> list[ReadImage]:
    """The list lies in the folder of the images, as it must; pictures say which row is whose."""
    (images / "metadata.csv").write_bytes((out / "metadata.csv").read_bytes())
    try:
        data = datasets.load_dataset("imagefolder", data_files=f"{images}/**")
    finally:
        (images / "metadata.csv").unlink()
    files = {picture_of(path): path for path in images.rglob("*.png")}
    rows = [row for split in data.values() for row in split]
    return [
        ReadImage(
            str(files[np.asarray(row["image"].convert("RGB")).tobytes()].relative_to(images)),
            label=row["label"] or None,
            split=row["split"],
        )
        for row in rows
    ]


def picture_of(path: Path) -> bytes:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).tobytes()


READERS = {
    "load_dataset(FOLDER)": folder,
    "--as csv, load_dataset csv": csv,
    "--as csv, .parquet": parquet,
    "--as metadata, load_dataset imagefolder": imagefolder,
}
