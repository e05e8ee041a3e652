"""Exports of Label Studio, JSON and JSON-MIN: choices are labels, boxes give the class of the largest one."""

import os
import re
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from core.common.addresses import is_url
from core.common.formatting import counted
from core.data.annotation_rows import (
    LARGEST,
    NotThisForm,
    Rows,
    image_names,
    largest_class,
    say_of_rows,
    side,
    text_or_none,
)
from core.data.source import IMAGE_EXTENSIONS
from core.errors import ImageSourceError, did_you_mean

UPLOAD = re.compile(r"^[0-9a-f]{8}(-|__)")  # what Label Studio puts before the name of an uploaded file
SHAPES = ("rectanglelabels", "polygonlabels", "ellipselabels", "brushlabels")


MINIMAL = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement", "tag")
MARKS = ("annotations", "completions", "annotation_id", "annotator", "choice", "predictions", "data")


def is_label_studio(tree: Any) -> bool:
    """Return True for a file of images as tasks of Label Studio, JSON or JSON-MIN."""
    first: Any = tree[0] if isinstance(tree, list) and tree else None
    if not isinstance(first, dict):
        return isinstance(tree, list) and not tree
    is_marked = any(name in first for name in MARKS)
    return is_marked or any(isinstance(value, dict) and "choices" in value for value in first.values())


def read_label_studio(tree: list[dict[str, Any]], path: str, label: str | None = None) -> Rows:
    """Return the images of Label Studio's tasks; of several annotations the first not cancelled."""
    paths, labels, several, from_boxes, n_choices = [], [], 0, 0, 0
    folder = os.path.dirname(path)
    far = frozenset(image_names(folder)) if is_url(folder) else None  # one listing for all of them
    controls = _controls(tree)
    if label is not None and controls and label not in (*controls, *_shape_controls(tree)):
        raise ImageSourceError(f"'{path}' has no control '{label}'.{did_you_mean(label, controls)}")
    field = label or (controls[0] if len(controls) > 1 else None)
    for task in tree:
        reference = _reference(task)
        if reference is None:
            raise NotThisForm("a task names no image file")
        answers = [_answer(annotation, field) for annotation in _annotations(task)]
        labelled = [answer for answer in answers if answer[0] is not None]
        several += len({name for name, _ in labelled}) > 1
        name, is_box = labelled[0] if labelled else _minimal(task, field)
        from_boxes += is_box
        n_choices += any(len(choices) > 1 for choices in _choices(task, field))
        paths.append(_file(reference, folder, far))
        labels.append(name)
    notes: list[str] = [f"{LARGEST} ({counted(from_boxes, 'image')})"] if from_boxes else []
    if several:
        notes.append(f"{counted(several, 'image')} with answers that differ: the first is the label")
    if label is None and len(controls) > 1:
        others = tuple(controls[1:])
        notes.append(say_of_rows("several_controls", what=controls[0], names=others, why=others[0]))
    notes += [say_of_rows("several_choices", n=n_choices)] if n_choices else []
    return Rows(paths, labels, notes=notes)


def _results(task: dict[str, Any]) -> list[dict[str, Any]]:
    result_lists = [annotation.get("result") for annotation in _annotations(task)]
    lists = [results for results in result_lists if isinstance(results, list)]
    return [result for results in lists for result in results if isinstance(result, dict)]


def _controls(tree: list[dict[str, Any]]) -> list[str]:
    """List the controls of choices, in their order; in JSON-MIN the fields with choices, or with words that
    the tool itself does not write."""
    names: dict[str, None] = {}
    for task in tree:
        for result in _results(task):
            value, name = result.get("value"), result.get("from_name")
            if isinstance(value, dict) and "choices" in value and isinstance(name, str):
                names[name] = None
        if "annotations" not in task and "completions" not in task and "data" not in task:
            names |= dict.fromkeys(name for name in task if _is_answer(name, task[name]))
    return list(names)


def _is_answer(name: str, value: Any) -> bool:
    if isinstance(value, dict):
        return "choices" in value
    is_text = isinstance(value, str) and _path(value).rpartition(".")[2].lower() not in IMAGE_EXTENSIONS
    return is_text and name not in MINIMAL


def _shape_controls(tree: list[dict[str, Any]]) -> set[str]:
    names = {result.get("from_name") for task in tree for result in _results(task)}
    return {name for name in names if isinstance(name, str)}


def _choices(task: dict[str, Any], field: str | None) -> list[list[Any]]:
    """Return the lists of choices of a task, of the control that is read."""
    values = [result.get("value") for result in _results(task) if field in (None, result.get("from_name"))]
    values += [value for name, value in task.items() if name == field or (field is None and name == "choice")]
    lists = [value.get("choices") for value in values if isinstance(value, dict)]
    return [choices for choices in lists if isinstance(choices, list)]


def _reference(task: dict[str, Any]) -> str | None:
    """Return the text of a task that names an image."""
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    texts = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    return next((t for t in texts if _path(t).rpartition(".")[2].lower() in IMAGE_EXTENSIONS), None)


def _annotations(task: dict[str, Any]) -> list[dict[str, Any]]:
    given = task.get("annotations", task.get("completions"))
    entries = given if isinstance(given, list) else []
    return [entry for entry in entries if isinstance(entry, dict) and not entry.get("was_cancelled")]


def _answer(annotation: dict[str, Any], field: str | None) -> tuple[str | None, bool]:
    """Return the class of one annotation, and whether it comes from boxes."""
    given = annotation.get("result")
    results = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    of_field = [
        result.get("value") for result in results if field is None or result.get("from_name") == field
    ]
    values = [value for value in of_field if isinstance(value, dict)]
    for value in values:
        if (choice := _first(value.get("choices"))) is not None:
            return choice, False
    boxes = []
    for value in values:
        for shape in SHAPES:
            if shape in value:
                area = side(value.get("width")) * side(value.get("height"))
                boxes.append((_first(value.get(shape)), area))
    return largest_class(boxes), bool(boxes)


def _minimal(task: dict[str, Any], field: str | None) -> tuple[str | None, bool]:
    """Return the class of a task in JSON-MIN, where it stands beside the image."""
    named = (field,) if field else ("choice", "choices", "label", "class", *_controls([task]))
    for name in named:
        value = task.get(name)
        answer = value.get("choices") if isinstance(value, dict) else value
        if isinstance(answer, list) and answer and isinstance(answer[0], dict):
            return largest_class(_minimal_box(one) for one in answer if isinstance(one, dict)), True
        if (label := _first(answer)) is not None:
            return label, False
    return None, False


def _minimal_box(box: dict[str, Any]) -> tuple[str | None, float]:
    """Return the class of a box in JSON-MIN, and its area."""
    name = next((_first(box.get(shape)) for shape in SHAPES if shape in box), None)
    return name, side(box.get("width")) * side(box.get("height"))


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
