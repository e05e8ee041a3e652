"""Core masks from COCO annotations: the outlines, or else the boxes, of an image's own class."""

from __future__ import annotations

import hashlib
import math
import os
from array import array
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from core.common.formatting import counted
from core.common.inside import read_json_file
from core.common.labels.match import match_labels
from core.common.records import Templates
from core.data.formats.annotated import COCO, MOST_BYTES
from core.data.formats.coco import box_area, category_names
from core.data.formats.rows import NotThisForm, entries, largest_class
from core.data.masks.mask_match import match_names
from core.data.masks.mask_source import EXAMPLES, MaskListing, MaskSource, coverage, no_mask
from core.data.sources.pixel_limit import check_pixels, max_pixels
from core.data.sources.source import ImageSource, file_stamp, some
from core.errors import MaskError, UnreadableImage, first_line

FARTHEST = 1e6  # pixels; outlines are drawn no farther out
OUTLINES = ("segmentation", "bbox")
say_of_coco_masks = Templates.beside(__file__)


class CocoMasks(MaskSource):
    """The core mask of an image covers all annotations of its class, the study's label; where none is of that
    class, of the class of the largest box. Crowds count. There are no spurious masks."""

    kind = "coco"

    def __init__(self, path: str | Path, source: ImageSource):
        self.path, self.source = os.path.abspath(os.path.expanduser(path)), source

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "path": self.path}

    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.kind}\0{file_stamp(self.path)}\n".encode())
        for image_id, _ in self.table.itertuples(index=False):
            digest.update(f"{image_id}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def read(self, image_id: str, mask: str) -> np.ndarray:
        entry = self.listing.places[mask].get(image_id)
        if entry is None:
            raise no_mask(mask)
        (width, height), shapes = entry
        check_pixels(width, height, max_pixels())
        full = np.zeros((height, width), np.uint8)
        for shape in shapes:
            full |= _drawn(shape, width, height)
        return full.astype(np.float32)

    def _list(self) -> MaskListing:
        try:
            tree = read_json_file(self.path, MOST_BYTES, _packed)
            if not COCO.fits(tree):
                raise NotThisForm("it has no 'images' and 'annotations'")
            images, shapes = _annotated(tree)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or first_line(error)[:120]
            raise MaskError(f"cannot read masks from '{self.path}': {reason}. Give a .json of COCO") from None
        ids, table = self._image_ids(), self.source.table
        names = [str(image["file_name"]) for image in images]
        matches = match_names(ids, names, list(table["path"]))
        core, n_others = {}, 0
        category_of = _own_categories(table["label"], shapes)
        for row, at in matches.mask_of.items():
            label, of_image = table["label"].iat[row], shapes[images[at]["id"]]
            named = {name for name, _, _ in of_image}
            category = category_of.get(label)
            has_own = category is not None and category in named
            if not has_own:
                category = largest_class((name, area) for name, area, _ in of_image)
            outlines = [shape for name, _, shape in of_image if name == category and shape is not None]
            if outlines:
                core[ids[row]] = (_size(images[at]), outlines)
                n_others += isinstance(label, str) and not has_own
        if not core:
            raise MaskError(
                f"none of the {counted(len(names), 'image')} of '{self.path}' with outlines or boxes is one "
                f"of the {counted(len(ids), 'image')} of the study. Give the .json file of these images"
            )
        left = [names[at] for at in sorted(set(range(len(names))) - set(matches.mask_of.values()))]
        places: dict[str, dict[str, Any]] = {"core": core, "spurious": {}}
        report = {"kind": self.kind, "n_masks": len(names)} | coverage(len(ids), places)
        report |= {"n_unmatched_masks": len(left), "unmatched_masks": left[:EXAMPLES]}
        report["notes"].append("core masks: the outlines, or boxes, of the image's own class in COCO's file")
        if n_others:
            report["notes"].append(say_of_coco_masks("other_class", n=n_others, of=len(core)))
        if left:
            report["notes"].append(f"{counted(len(left), 'annotated image')} not here: {some(left, 3)}")
        return MaskListing(places, report)


Shapes = dict[Any, list[tuple[str | None, float, Any]]]


def _own_categories(labels: pd.Series, shapes: Shapes) -> dict[str, str]:
    """The category of the annotations that each label of images means."""
    known = [label for label in labels.unique() if isinstance(label, str)]
    annotated = (name for of_image in shapes.values() for name, _, _ in of_image if name is not None)
    categories = list(dict.fromkeys(annotated))
    match = match_labels([[name] for name in categories], known)
    pairs = zip(categories, match.code.tolist(), strict=True)
    return {known[code]: category for category, code in pairs if code >= 0}


def _annotated(tree: dict[str, Any]) -> tuple[list[dict[str, Any]], Shapes]:
    """Return the images that have a size, and by their number the class, area and outline of annotations."""
    names, _ = category_names(tree)
    images = [
        image
        for image in entries(tree["images"], "images")
        if isinstance(image.get("file_name"), str)
        and isinstance(image.get("id"), (int, str))
        and _size(image)
    ]
    shapes: Shapes = defaultdict(list)
    for one in entries(tree["annotations"], "annotations"):
        if isinstance(one.get("image_id"), (int, str)) and isinstance(one.get("category_id"), (int, str)):
            held = (one.get(name) for name in OUTLINES)
            shape = next((shape for shape in held if shape and isinstance(shape, list | dict)), None)
            shapes[one["image_id"]].append((names.get(one["category_id"]), box_area(one), shape))
    return images, shapes


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    width, height = image.get("width"), image.get("height")
    both = isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0
    return (width, height) if both else None  # pyright: ignore[reportReturnType]


def _packed(item: dict[str, Any]) -> dict[str, Any]:
    """Keep outlines as arrays, eight times smaller than lists of numbers."""
    shape = item.get("segmentation")
    if isinstance(shape, list):
        packed = [_numbers(part) for part in shape]
        item["segmentation"] = [part for part in packed if part is not None and len(part) >= 6] or None
    elif isinstance(shape, dict) and isinstance(shape.get("counts"), list):
        counts = _numbers(shape["counts"], farthest=math.inf)  # a run may be longer than an outline is far
        item["segmentation"] = {"counts": counts, "size": shape.get("size")} if counts is not None else None
    return item


def _numbers(values: Any, farthest: float = FARTHEST) -> array[float] | None:
    """Return finite numbers, kept within `farthest`; None for anything else."""
    try:
        numbers = array("d", values)
    except (TypeError, OverflowError, ValueError):
        return None
    if not all(math.isfinite(value) for value in numbers):
        return None
    return array("d", (max(-farthest, min(value, farthest)) for value in numbers))


def _drawn(shape: Any, width: int, height: int) -> np.ndarray:
    """Return (height, width) uint8, 1 inside: of polygons, of a run-length code, or of a box.

    Raises:
        UnreadableImage: a code whose runs do not fill the image.
    """
    if isinstance(shape, dict):
        return _from_runs(shape, width, height)
    canvas = Image.new("1", (width, height))
    draw = ImageDraw.Draw(canvas)
    if shape and not isinstance(shape[0], array):
        x, y, w, h = (_numbers(shape) or array("d", [0, 0, 0, 0]))[:4] if len(shape) == 4 else (0, 0, 0, 0)
        if w > 0 and h > 0:
            draw.rectangle((x, y, max(x, x + w - 1), max(y, y + h - 1)), fill=1)
    else:
        for part in shape:
            draw.polygon(list(zip(part[::2], part[1::2], strict=False)), fill=1)
    return np.asarray(canvas, np.uint8)


def _from_runs(code: dict[str, Any], width: int, height: int) -> np.ndarray:
    """Unpack runs of 0 and 1 in turn, column after column, given as numbers or as COCO's own text."""
    counts = code.get("counts")
    runs = (
        _text_runs(counts)
        if isinstance(counts, str)
        else [*map(int, counts if isinstance(counts, array) else ())]
    )
    if min(runs, default=-1) < 0 or sum(runs) != width * height:
        raise UnreadableImage("its run-length code does not fill the image")
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.repeat(values, runs).reshape(width, height).T


def _text_runs(text: str) -> list[int]:
    """Decode COCO's text: five bits a character, from the lowest; each run from the fourth on is written as
    its difference to the run two before.

    >>> _text_runs("0241")
    [0, 2, 4, 3]
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise UnreadableImage("its run-length code is damaged")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs
