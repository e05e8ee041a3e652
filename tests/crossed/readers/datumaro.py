"""Datumaro reads CVAT's form: labels with attributes, and masks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from datumaro.components.annotation import AnnotationType
from datumaro.components.dataset import Dataset

from tests.crossed.reading_back import ReadImage, ours, tags_of

REGIONS = {
    "peregrine_hot_region": "heatmap",
    "peregrine_mask_core": "core",
    "peregrine_mask_spurious": "spurious",
}
TEXTS = ("causes", "slices")


def folder(out: Path, images: Path) -> list[ReadImage]:
    """It looks for pictures in `images` beside the file, and names an item without its ending."""
    both = out.with_name("both")
    shutil.rmtree(both, ignore_errors=True)
    both.mkdir()
    shutil.copy(out / "annotations.xml", both)
    (both / "images").symlink_to(images)
    data = Dataset.import_from(str(both), "cvat")
    names = [one.name for one in data.categories()[AnnotationType.label]]
    return [image_of(item, names) for item in data]


def image_of(item: Any, names: list[str]) -> ReadImage:
    read = ReadImage(f"{item.id}.png")
    for annotation in item.annotations:
        name = names[annotation.label]
        if annotation.type == AnnotationType.mask:
            read.arrays[REGIONS[name]] = annotation.image * 255
        elif name == "peregrine":
            values = ours(annotation.attributes)
            read.fields = {one: value.split(", ") if one in TEXTS else value for one, value in values.items()}
        else:
            read.tags += tags_of([name])
    return read


READERS = {"annotations.xml": folder}
