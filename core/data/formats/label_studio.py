"""Exports of Label Studio, JSON and JSON-MIN: choices are labels, boxes give the class of the largest one."""

import os
import re
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from core.common.formatting import counted
from core.common.remote.addresses import is_url
from core.data.formats.rows import LARGEST, NotThisForm, Rows, image_names, largest_class, side, text_or_none
from core.data.sources.source import IMAGE_EXTENSIONS

UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # what Label Studio puts before the name of an uploaded file
SHAPES = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")


def read_label_studio(tree: list[dict[str, Any]], path: str, label: str | None = None) -> Rows:
    """Return the images of the tasks; of several annotations of a task, the first that was not cancelled."""
    paths, labels, several, from_boxes = [], [], 0, 0
    folder = os.path.dirname(path)
    far = frozenset(image_names(folder)) if is_url(folder) else None  # one listing for all of them
    for task in tree:
        reference = _reference(task)
        if reference is None:
            raise NotThisForm("a task names no image file")
        answers = [_answer(one, label) for one in _annotations(task)]
        labelled = [answer for answer in answers if answer[0] is not None]
        several += len({name for name, _ in labelled}) > 1
        name, is_box = labelled[0] if labelled else _minimal(task, label)
        from_boxes += is_box
        paths.append(_file(reference, folder, far))
        labels.append(name)
    notes = [f"{LARGEST} ({counted(from_boxes, 'image')})"] if from_boxes else []
    if several:
        notes.append(f"{counted(several, 'image')} with answers that differ: the first is the label")
    return Rows(paths, labels, notes=notes)


def _reference(task: dict[str, Any]) -> str | None:
    """Return the text of a task that names an image."""
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    texts = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    return next((t for t in texts if _path(t).rpartition(".")[2].lower() in IMAGE_EXTENSIONS), None)


def _annotations(task: dict[str, Any]) -> list[dict[str, Any]]:
    given = task.get("annotations", task.get("completions"))
    return [one for one in given if isinstance(one, dict) and not one.get("was_cancelled")] if isinstance(
        given, list
    ) else []  # fmt: skip


def _answer(annotation: dict[str, Any], field: str | None) -> tuple[str | None, bool]:
    """Return the class of one annotation, and whether it comes from boxes."""
    results = annotation.get("result")
    values = [
        one["value"]
        for one in (results if isinstance(results, list) else [])
        if isinstance(one, dict) and isinstance(one.get("value"), dict)
        and (field is None or one.get("from_name") == field)
    ]  # fmt: skip
    for value in values:
        if (choice := _first(value.get("choices"))) is not None:
            return choice, False
    boxes = [
        (_first(value.get(shape)), side(value.get("width")) * side(value.get("height")))
        for value in values
        for shape in SHAPES
        if shape in value
    ]
    return largest_class(boxes), bool(boxes)


def _minimal(task: dict[str, Any], field: str | None) -> tuple[str | None, bool]:
    """Return the class of a task in JSON-MIN, where it stands beside the image."""
    for name in (field,) if field else ("choice", "choices", "label", "class"):
        value = task.get(name)
        answer = value.get("choices") if isinstance(value, dict) else value
        if isinstance(answer, list) and answer and isinstance(answer[0], dict):
            boxes = [(next((_first(one.get(s)) for s in SHAPES if s in one), None),
                      side(one.get("width")) * side(one.get("height"))) for one in answer
                     if isinstance(one, dict)]  # fmt: skip
            return largest_class(boxes), True
        if (label := _first(answer)) is not None:
            return label, False
    return None, False


def _first(value: Any) -> str | None:
    return text_or_none(value[0] if isinstance(value, list) and value else value)


def _path(reference: str) -> str:
    """Return the path in a reference: `/data/local-files/?d=photos/a.jpg` names photos/a.jpg.

    >>> _path("/data/local-files/?d=pets/a%20b.jpg"), _path("s3://bucket/x/c.png")
    ('pets/a b.jpg', 'x/c.png')
    """
    try:
        parts = urlsplit(reference)
    except ValueError:
        return reference
    local = parse_qs(parts.query).get("d")
    if local:
        return local[0]
    served = parts.path.removeprefix("/data/upload/").removeprefix("/data/local-files/")
    return unquote(served).lstrip("/") if parts.scheme or served != parts.path else reference


def _file(reference: str, folder: str, far: Collection[str] | None) -> str:
    """Return the path below the images' folder: as it stands, else its name, with or without the upload's
    prefix; a file at an address counts if it was downloaded beside the export."""
    path = _path(reference)
    name = path.rpartition("/")[2]
    names = [path, name, UPLOAD.sub("", name), f"images/{name}", f"images/{UPLOAD.sub('', name)}"]
    safe = [one for one in names if "\0" not in one and ".." not in one.split("/") and not os.path.isabs(one)]
    is_there = far.__contains__ if far is not None else lambda one: os.path.isfile(os.path.join(folder, one))
    return next(filter(is_there, safe), path)
