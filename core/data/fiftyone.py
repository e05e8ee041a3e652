"""Exports of FiftyOne: `samples.json` of a FiftyOneDataset, `labels.json` of a classification data set."""

import os
from typing import Any

from core.common.formatting import counted, first_of
from core.data import annotation_rows
from core.data.source import split_named
from core.errors import ImageSourceError, did_you_mean

USUAL = ("ground_truth", "label", "class", "classification", "detections")


KINDS_OF_LABELS = ("Classification", "Detections", "Polylines")


def read_samples(tree: dict[str, Any], path: str, label: str | None = None) -> annotation_rows.Rows:
    """Return FiftyOne's samples with the label of one field: a Classification, or the largest Detection."""
    samples = annotation_rows.entries(tree["samples"], "samples")
    if any(not isinstance(sample.get("filepath"), str) for sample in samples):
        raise annotation_rows.NotThisForm("a sample has no filepath")
    fields: dict[str, str] = {}
    for sample in samples:
        for name, value in sample.items():
            if isinstance(value, dict) and value.get("_cls") in KINDS_OF_LABELS:
                fields[name] = value["_cls"]
    if label is not None and label not in fields:
        raise ImageSourceError(f"'{path}' has no field '{label}' of labels.{did_you_mean(label, fields)}")
    by_kind = sorted(fields, key=lambda name: (fields[name] != "Classification", name not in USUAL))
    field = label or next(iter(by_kind), None)
    labels = [_label(sample.get(field)) if field else None for sample in samples]
    notes = []
    if field and fields[field] != "Classification":
        notes.append(f"{annotation_rows.LARGEST} in the field '{field}'")
    others = [name for name in fields if name != field]
    if others:
        notes.append(f"labels are '{field}'; for {first_of(others)} write ?label={others[0]}")
    further = annotation_rows.scalars(samples, ("filepath", "id"))
    paths = [sample["filepath"] for sample in samples]
    return annotation_rows.Rows(paths, labels, _splits(samples), further, notes, [".", "data"])


def _label(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None
    if value.get("_cls") == "Classification":
        return annotation_rows.text_or_none(value.get("label"))
    parts = value.get("detections", value.get("polylines"))
    parts = parts if isinstance(parts, list) else []
    boxes = [part for part in parts if isinstance(part, dict)]
    return annotation_rows.largest_class(
        (annotation_rows.text_or_none(box.get("label")), _area(box)) for box in boxes
    )


def _area(part: dict[str, Any]) -> float:
    box = part.get("bounding_box")
    if not isinstance(box, list) or len(box) != 4:
        return 0.0
    return annotation_rows.side(box[2]) * annotation_rows.side(box[3])


def _splits(samples: list[dict[str, Any]]) -> list[str] | None:
    """Return the split that the tags say, if they say one of every sample."""
    splits = []
    for sample in samples:
        tags = sample.get("tags")
        texts = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
        named = [split for tag in texts if (split := split_named(tag))]
        if not named:
            return None
        splits.append(named[0])
    return splits


def read_labels(tree: dict[str, Any], path: str, label: str | None = None) -> annotation_rows.Rows:
    """Return the images of FiftyOne's data/ with their labels: numbers or names of classes, or boxes."""
    classes, labels = tree["classes"], tree["labels"]
    if not isinstance(labels, dict) or not isinstance(classes, (list, type(None))):
        raise annotation_rows.NotThisForm("'labels' is no object, or 'classes' no list")
    folder = os.path.join(os.path.dirname(path), "data")
    names = annotation_rows.image_names(folder)
    by_key: dict[str, str] = {}
    for name in names:
        by_key |= {os.path.splitext(name)[0]: name, name: name}
    paths = [by_key.get(key, key) for key in map(str, labels)]
    unlisted = len(set(names) - set(paths))
    notes = [annotation_rows.LARGEST] if any(isinstance(value, list) for value in labels.values()) else []
    if unlisted:
        notes.append(f"{counted(unlisted, 'image')} of data/ that labels.json does not name ignored")
    return annotation_rows.Rows(
        paths, [_named(value, classes or []) for value in labels.values()], notes=notes, folders=["data"]
    )


def _named(value: Any, classes: list[Any]) -> str | None:
    if isinstance(value, list):
        return annotation_rows.largest_class(
            (_named(one, classes), _area(one)) for one in value if isinstance(one, dict)
        )
    value = value.get("label") if isinstance(value, dict) else value
    if isinstance(value, int) and not isinstance(value, bool) and classes:
        return annotation_rows.text_or_none(classes[value]) if 0 <= value < len(classes) else None
    return annotation_rows.text_or_none(value)
