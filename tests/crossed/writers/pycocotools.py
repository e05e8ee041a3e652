"""Masks that pycocotools encodes, as it decodes them: run lengths, polygons, crowds."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from pycocotools import mask as coder
from pycocotools.coco import COCO

from tests.crossed.data_kit import Picture, WrittenData, drawn, outlined, rgb

NAMES = {17: "cat", 18: "dog", 58: "hot dog"}
Outline = Callable[[int], Any]


def rle_text(number: int) -> dict[str, Any]:
    held = coder.encode(np.asfortranarray(outlined(number)))
    return {"size": held["size"], "counts": held["counts"].decode()}


def rle_numbers(number: int) -> dict[str, Any]:
    """Runs as numbers, as COCO's own crowds have them."""
    flat = outlined(number).ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat, [1 - flat[-1]]])))
    return {"size": [40, 48], "counts": np.diff(np.concatenate([[0], edges])).tolist()}


def corners(number: int) -> list[float]:
    left, top = 2 + number % 9, 3 + number % 7
    return [left, top, left + 21, top, left + 21, top + 18, left, top + 18]


def polygon(number: int) -> list[list[float]]:
    return [corners(number)]


def fractions(number: int) -> list[list[float]]:
    return [[one + 0.37 for one in corners(number)]]


def circle(number: int) -> list[list[float]]:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    x, y = 24 + 13.3 * np.cos(angles), 19 + (8 + number) * np.sin(angles)
    return [np.stack([x, y], 1).ravel().round(2).tolist()]


def two_parts(number: int) -> list[list[float]]:
    return [corners(number), [34, 30, 46, 30, 46, 38, 34, 38]]


def flat(number: int) -> list[float]:
    """One list of numbers, which COCO's form does not allow."""
    return corners(number)


def small(number: int) -> list[list[float]]:
    left = 4 + number
    return [[left, 6, left + 3, 6, left + 3, 9, left, 9]]


def annotated(
    folder: Path,
    outline: Outline,
    *,
    crowd: int = 0,
    boxes: bool = True,
    sizes: Callable[[int], Any] = int,
    ids: Callable[[int], Any] = int,
    names: dict[int, str] = NAMES,
    folders: bool = False,
    turned: int = 0,
    **written: Any,
) -> WrittenData:
    """A picture an annotation. The truth is `COCO.annToMask`; class folders, if any, give labels.

    Args:
        turned: the EXIF turn of the pictures, whose size in the file is as stored.
    """
    images, annotations, pictures = [], [], []
    kinds = list(names)
    for number in range(6):
        kind = kinds[number % 3]
        label = NAMES[list(NAMES)[number % 3]]
        place = (
            folder
            / "data"
            / (label.replace(" ", "_") if folders else "")
            / f"{number:06d}.{'jpg' if turned else 'png'}"
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        _save(number, place, turned)
        images.append(
            {
                "id": ids(number),
                "file_name": place.relative_to(folder / "data").as_posix(),
                "width": sizes(48),
                "height": sizes(40),
            }
        )
        shape = outline(number)
        runs = _runs(shape)
        about = {
            "id": number + 1,
            "image_id": ids(number),
            "category_id": kind,
            "iscrowd": crowd,
            "area": float(coder.area(runs)),
        }
        about |= {"bbox": [float(one) for one in coder.toBbox(runs)]} if boxes else {}
        annotations.append(about | {"segmentation": shape})
    tree = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": kind, "name": name} for kind, name in names.items()],
    }
    file = folder / "data" / "coco.json"
    file.write_text(json.dumps(tree))
    coco = _coco(tree)
    for number in range(6):
        label = names[annotations[number]["category_id"]]
        place = folder / "data" / images[number]["file_name"]
        label = place.parent.name if folders else label
        mask = coco(number)
        mask = np.rot90(mask, -1) if turned == 6 else mask
        pictures.append(Picture(_upright(place), label, mask=mask))
    spec = "{folder}/data" if folders else "{folder}/data/coco.json"
    return WrittenData(spec=spec, pictures=pictures, masks="{folder}/data/coco.json", **written)


def _runs(shape: Any) -> Any:
    """Pycocotools' own runs of an outline in any form."""
    if isinstance(shape, dict):
        return shape if isinstance(shape["counts"], str) else coder.frPyObjects(shape, 40, 48)
    parts = shape if isinstance(shape[0], list) else [shape]
    return coder.merge(coder.frPyObjects(parts, 40, 48))


def _coco(tree: dict[str, Any]) -> Callable[[int], np.ndarray]:
    """Its own reading, of sizes and ids as numbers and of outlines as COCO's form has them."""
    plain = json.loads(json.dumps(tree))
    for number, (image, one) in enumerate(zip(plain["images"], plain["annotations"], strict=True)):
        image |= {"width": 48, "height": 40, "id": number}
        one["image_id"] = number
        if isinstance(one["segmentation"], list) and not isinstance(one["segmentation"][0], list):
            one["segmentation"] = [one["segmentation"]]
    coco = COCO()
    coco.dataset = plain
    coco.createIndex()
    return lambda number: coco.annToMask(coco.anns[number + 1])


def _save(number: int, place: Path, turned: int) -> None:
    picture = drawn(number)
    if not turned:
        picture.save(place)
        return
    exif = picture.getexif()
    exif[0x0112] = turned
    picture.save(place, quality=95, exif=exif)


def _upright(place: Path) -> np.ndarray:
    with Image.open(place) as opened:
        return rgb(ImageOps.exif_transpose(opened))


CASES = {
    ("encode", "runs as text"): partial(annotated, outline=rle_text),
    ("encode", "runs as numbers"): partial(annotated, outline=rle_numbers),
    ("encode", "runs as numbers, crowds"): partial(annotated, outline=rle_numbers, crowd=1),
    ("frPyObjects", "polygons"): partial(annotated, outline=polygon),
    ("frPyObjects", "polygons between pixels"): partial(annotated, outline=fractions),
    ("frPyObjects", "circles"): partial(annotated, outline=circle),
    ("frPyObjects", "two parts"): partial(annotated, outline=two_parts),
    ("frPyObjects", "3 x 3 pixels"): partial(annotated, outline=small),
    ("frPyObjects", "one flat list"): partial(annotated, outline=flat),
    ("frPyObjects", "no boxes"): partial(annotated, outline=polygon, boxes=False),
    ("frPyObjects", "sizes as 48.0"): partial(annotated, outline=polygon, sizes=float),
    ("frPyObjects", "sizes as text"): partial(annotated, outline=polygon, sizes=str),
    ("frPyObjects", "ids as text"): partial(annotated, outline=polygon, ids=lambda number: f"im{number}"),
    ("frPyObjects", "class folders hot_dog, categories Hot Dog"): partial(
        annotated, outline=polygon, folders=True, names={17: "Cat", 18: "Dog", 58: "Hot Dog"}
    ),
    ("frPyObjects", "class folders of the same names"): partial(
        annotated, outline=polygon, folders=True, names={17: "cat", 18: "dog", 58: "hot_dog"}
    ),
    ("frPyObjects", "EXIF turn, size as stored"): partial(annotated, outline=polygon, turned=6),
    ("encode", "runs, EXIF turn, size as stored"): partial(annotated, outline=rle_text, turned=6),
}
