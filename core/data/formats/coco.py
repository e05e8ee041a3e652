"""COCO annotations: the label of an image is the class of its largest box."""

import os
from collections import defaultdict
from typing import Any

from core.common.formatting import counted
from core.common.labels.distinct import distinct_names
from core.common.records import Record
from core.data.formats.rows import LARGEST, NotThisForm, Rows, entries, largest_class, side, text_or_none


def read_coco(tree: dict[str, Any], path: str, label: str | None = None) -> Rows:
    """Return the images of a COCO file with the class of their largest box; crowds do not count.

    The area of a box is width times height; an annotation without a box has the `area` it states.
    """
    names, of_names = category_names(tree)
    images = entries(tree["images"], "images")
    boxes: dict[Any, list[tuple[str | None, float]]] = defaultdict(list)
    for one in entries(tree["annotations"], "annotations"):
        image, category = one.get("image_id"), one.get("category_id")
        if isinstance(image, (int, str)) and not one.get("iscrowd"):
            name = names.get(category) if isinstance(category, (int, str)) else None
            boxes[image].append((name, box_area(one)))
    for image in images:
        if not isinstance(image.get("file_name"), str) or not isinstance(image.get("id"), (int, str)):
            raise NotThisForm("an image has no file_name or no id")
    of_image = [boxes.get(image["id"], []) for image in images]
    several = sum(len({name for name, _ in each}) > 1 for each in of_image)
    more = f"; {counted(several, 'image')} with boxes of several classes" if several else ""
    notes = [f"{LARGEST}{more}", *of_names]
    further = {"n_boxes": [len(each) for each in of_image]}
    paths = [image["file_name"] for image in images]
    labels = [largest_class(each) for each in of_image]
    return Rows(paths, labels, further=further, notes=notes, folders=_folders(path))


def category_names(tree: dict[str, Any]) -> tuple[dict[int | str, str | None], list[Record]]:
    """Return the names of the categories by their number, all different, and what is said of them."""
    categories = entries(tree.get("categories", []), "categories")
    names = {
        number: text_or_none(one.get("name"))
        for one in categories
        if isinstance(number := one.get("id"), (int, str))
    }
    labels, notes = distinct_names(list(names), list(names.values()))
    return dict(zip(names, labels, strict=True)), notes


def box_area(annotation: dict[str, Any]) -> float:
    """Return width times height of the box, pixels; without one the area that the annotation states."""
    box = annotation.get("bbox")
    if isinstance(box, list) and len(box) == 4:
        return side(box[2]) * side(box[3])
    return side(annotation.get("area"))


def _folders(path: str) -> list[str]:
    """Return where the images of `annotations/instances_train2017.json` may lie: `train2017/` beside it …"""
    split = os.path.basename(path).rsplit(".", 1)[0].rpartition("_")[2]
    return [".", "images", "data", f"../{split}", f"../images/{split}", "../images", ".."]
