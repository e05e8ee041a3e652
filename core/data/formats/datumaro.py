"""Datumaro's own annotation files: labels of images, else the class of the largest box or outline."""

import os
from typing import Any

from core.data.formats.regions import box_of_points
from core.data.formats.rows import LARGEST, NotThisForm, Rows, entries, largest_class, side, text_or_none


def read_datumaro(tree: dict[str, Any], path: str, label: str | None = None) -> Rows:
    """Return the images of a file of Datumaro, which has one file a split.

    Raises:
        NotThisForm: an item has no image.
    """
    items = entries(tree["items"], "items")
    names = _class_names(tree)
    images = [item.get("image") for item in items]
    paths = [image.get("path") if isinstance(image, dict) else None for image in images]
    if not all(isinstance(one, str) and one for one in paths):
        raise NotThisForm("an item has no image with a path")
    labels, from_boxes = [], 0
    for item in items:
        annotations = entries(item.get("annotations") or [], "annotations")
        image_labels = [_named(one, names) for one in annotations if one.get("type") == "label"]
        boxes = [(_named(one, names), _area(one)) for one in annotations if one.get("type") != "label"]
        from_boxes += not image_labels and bool(boxes)
        labels.append(next((name for name in image_labels if name), None) or largest_class(boxes))
    split = os.path.splitext(os.path.basename(path))[0]
    folders = (".", f"../images/{split}", "../images", "images", "..")
    return Rows(list(map(str, paths)), labels, notes=[LARGEST] * bool(from_boxes), folders=folders)


def _class_names(tree: dict[str, Any]) -> list[str | None]:
    held: Any = tree["categories"]
    labels = held.get("label", {}).get("labels") if isinstance(held, dict) else None
    return [text_or_none(one.get("name")) for one in entries(labels or [], "labels")]


def _named(annotation: dict[str, Any], names: list[str | None]) -> str | None:
    number = annotation.get("label_id")
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(names):
        return None
    return names[number]


def _area(annotation: dict[str, Any]) -> float:
    """Return the area of the box of an annotation: of x, y, width and height, or of corners in turn."""
    box, points = annotation.get("bbox"), annotation.get("points")
    if isinstance(box, list) and len(box) == 4:
        return side(box[2]) * side(box[3])
    if isinstance(points, list) and len(points) >= 4:
        return box_of_points(list(zip(points[::2], points[1::2], strict=False)))
    return side(annotation.get("area"))
