"""COCO annotations: the label of an image is the class of its largest box."""

import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from core.common.formatting import counted
from core.common.label_text import distinct_names
from core.common.records import Record
from core.data.annotation_rows import (
    LARGEST,
    NotThisForm,
    Rows,
    entries,
    largest_class,
    say_of_rows,
    side,
    text_or_none,
)

CROWDS = 0.5  # of all annotations: COCO has 1 %


def read_coco(tree: dict[str, Any], path: str, label: str | None = None, *, old: bool = False) -> Rows:
    """Return the images of a COCO file with the class of their largest box.

    The area of a box is width times height; an annotation without a box has the `area` it states. Crowds do
    not count, unless an image has no other box, or most annotations are crowds, as datumaro and
    CVAT mark every mask. Captions of images become the column `caption`.

    Args:
        old: as versions before 0.4 did: crowds never count.
    """
    named, of_names = category_names(tree)
    names = {_key(number): name for number, name in named.items()}
    images, annotations = entries(tree["images"], "images"), entries(tree["annotations"], "annotations")
    ids, paths = [_key(image.get("id")) for image in images], [_file_name(image) for image in images]
    if None in ids or None in paths:
        raise NotThisForm("an image has no file_name or no id")
    boxes: dict[str, list[tuple[str | None, float]]] = defaultdict(list)
    crowds: dict[str, list[tuple[str | None, float]]] = defaultdict(list)
    n_crowds = sum(bool(annotation.get("iscrowd")) for annotation in annotations)
    all_count = not old and n_crowds > CROWDS * len(annotations)
    for one in annotations:
        image = _key(one.get("image_id"))
        if image is not None and ("caption" not in one or "bbox" in one):
            is_crowd = one.get("iscrowd") and not all_count
            category = _key(one.get("category_id"))
            name = names.get(category) if category is not None else None
            (crowds if is_crowd else boxes)[image].append((name, box_area(one)))
    of_image = [boxes.get(image or "", []) for image in ids]
    of_crowds = [[] if old else crowds.get(image or "", []) for image in ids]
    notes = [say_of_rows("crowds_counted", n=n_crowds, of=len(annotations))] if all_count else []
    labels = [largest_class(each or more) for each, more in zip(of_image, of_crowds, strict=True)]
    captions, of_captions = _captions(annotations, ids)
    all_notes = [*_box_notes(of_image, of_crowds), *notes, *of_captions, *of_names]
    further: dict[str, list[Any]] = {"n_boxes": [len(each) for each in of_image], **captions}
    return Rows(list(map(str, paths)), labels, further=further, notes=all_notes, folders=_folders(path))


def _box_notes(
    boxes: list[list[tuple[str | None, float]]], crowds: list[list[tuple[str | None, float]]]
) -> list[str]:
    if not any(boxes) and not any(crowds):
        return []
    several = sum(len({name for name, _ in each}) > 1 for each in boxes)
    more = f"; {counted(several, 'image')} with boxes of several classes" if several else ""
    notes: list[str] = [f"{LARGEST}{more}"]
    pairs = list(zip(boxes, crowds, strict=True))
    alone = sum(bool(more) and not each for each, more in pairs)
    larger = sum(bool(each) and _largest(more) > _largest(each) for each, more in pairs)
    notes += [say_of_rows("crowds_alone", n=alone)] if alone else []
    return notes + ([say_of_rows("crowds_larger", n=larger)] if larger else [])


def _largest(boxes: list[tuple[str | None, float]]) -> float:
    return max((area for _, area in boxes), default=0.0)


def _captions(
    annotations: list[dict[str, Any]], ids: Sequence[str | None]
) -> tuple[dict[str, list[Any]], list[Record]]:
    """Return the first caption of each image as a column, where the file has captions."""
    texts = [
        (_key(annotation.get("image_id")), annotation.get("caption"))
        for annotation in annotations
        if "caption" in annotation
    ]
    texts = [(image, text) for image, text in texts if isinstance(text, str)]
    if not texts:
        return {}, []
    first = dict(reversed(texts))
    column = [first.get(image) for image in ids]
    n_images = sum(text is not None for text in column)
    return {"caption": column}, [say_of_rows("captions", n=len(texts), of=n_images)]


def _key(value: Any) -> str | None:
    """Return an id as text: 1, 1.0 and "1" are one.

    >>> _key(1), _key("1"), _key(1.0), _key("a"), _key([1])
    ('1', '1', '1', 'a', None)
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else None


def _file_name(image: dict[str, Any]) -> str | None:
    """Return the path of an image; LVIS states addresses, of which the last two parts are the path."""
    name, address = image.get("file_name"), image.get("coco_url")
    if isinstance(name, str):
        return name
    return "/".join(address.split("/")[-2:]) if isinstance(address, str) else None


def category_names(tree: dict[str, Any]) -> tuple[dict[int | str, str | None], list[Record]]:
    """Return the names of a COCO file's categories by number, all different, and notes on them."""
    categories = entries(tree.get("categories", []), "categories")
    names = {
        number: text_or_none(category.get("name"))
        for category in categories
        if isinstance(number := category.get("id"), (int, str))
    }
    labels, notes = distinct_names(list(names), list(names.values()))
    return dict(zip(names, labels, strict=True)), notes


def box_area(annotation: dict[str, Any]) -> float:
    """Return width times height of a COCO box, pixels; without one the area that the annotation states."""
    box = annotation.get("bbox")
    if isinstance(box, list) and len(box) == 4:
        return side(box[2]) * side(box[3])
    return side(annotation.get("area"))


def _folders(path: str) -> list[str]:
    """Return where the images of `annotations/instances_train2017.json` may lie: `train2017/` beside it …"""
    split = os.path.basename(path).rsplit(".", 1)[0].rpartition("_")[2]
    return [".", "images", "data", f"../{split}", f"../images/{split}", "../images", ".."]
