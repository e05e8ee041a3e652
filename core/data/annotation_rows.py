"""Images with their labels as an annotation file lists them, and what the readers of such files share."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from core.common.addresses import is_url, listed_place
from core.common.arrow_tables import EXACT
from core.common.records import Templates
from core.common.remote_objects import is_file, objects_below
from core.data.folder_walk import Walk, images_below
from core.data.source import IMAGE_EXTENSIONS

say_of_rows = Templates.beside(__file__)
LARGEST = "the label is the class of the largest box"
TRIED = 50  # file names that are looked for to find the folder of the images


@dataclass
class Rows:
    """One image per entry of `paths`; `folders` are where relative paths may start, most likely first."""

    paths: list[str]
    labels: list[str | None]
    splits: list[str] | None = None
    further: dict[str, list[Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    folders: Sequence[str] = (".",)


class NotThisForm(ValueError):
    """What a file holds is not of the form that it looked like; the message says what is wrong."""


def entries(value: Any, what: str) -> list[dict[str, Any]]:
    """Return a list of objects of an annotation file. Raises NotThisForm for anything else."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise NotThisForm(f"'{what}' is no list of objects")
    return value


def largest_class(boxes: Iterable[tuple[str | None, float]]) -> str | None:
    """Return the class of an image's largest box, the first of equal ones; None without one."""
    best, label = -1.0, None
    for name, area in boxes:
        if name is not None and area > best:
            best, label = area, name
    return label


def side(value: Any) -> float:
    """Return a side of an annotated box, finite and not negative; 0 for anything else."""
    if isinstance(value, str):
        with suppress(ValueError):
            value = float(value)
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return 0.0
    return float(value) if 0 <= value < 1e300 else 0.0


def text_or_none(value: Any) -> str | None:
    """Return a name in an annotation file as text for a table of images; None for what is no name."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        return None
    return storable(str(value))


def storable(value: Any) -> Any:
    """Return a text of an annotation file without lone surrogates, which no table can hold."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def scalars(items: Sequence[Mapping[str, Any]], but: Iterable[str]) -> dict[str, list[Any]]:
    """Return the fields of an annotated image whose values are single texts, numbers or truth values."""
    left_out = set(but)
    names = dict.fromkeys(key for item in items for key in item if key not in left_out and key[:1] != "_")
    columns = {name: [item.get(name) for item in items] for name in names}
    plain = (str, int, float, bool, type(None))
    scalar_columns = {}
    for name, values in columns.items():
        if all(isinstance(value, plain) for value in values) and values.count(None) < len(values):
            scalar_columns[name] = _alike(values)
    return scalar_columns


def _alike(values: list[Any]) -> list[Any]:
    """Return values that one column can hold: as texts where they are of several kinds, or too long.

    Whole numbers beside missing ones, or beside fractions, become floats: then those are too long that a
    float would round.
    """
    kinds = {type(value) for value in values if value is not None}
    exact = 1 << 63 if kinds == {int} and None not in values else EXACT
    too_long = any(isinstance(value, int) and abs(value) >= exact for value in values)
    if not too_long and (len(kinds) == 1 or kinds == {int, float}):
        return values
    return [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]


def image_root(rows: Rows, beside: str) -> str:
    """Return the first of the folders that holds one of the first annotated images; else the first."""
    folders = [listed_place(beside, folder) for folder in rows.folders]
    folders = [folder if is_url(folder) else os.path.normpath(folder) for folder in folders]
    for folder in folders:
        if any(is_file(listed_place(folder, path)) for path in rows.paths[:TRIED] if "\0" not in path):
            return folder
    return folders[0]


def image_names(folder: str) -> list[str]:
    """List the images below a folder, also by URL, by their names from there; none without a folder."""
    if is_url(folder):
        with suppress(FileNotFoundError):
            names = objects_below(folder)
            return [name for name in names if name.rpartition(".")[2].lower() in IMAGE_EXTENSIONS]
        return []
    return images_below(folder, Walk(), root=folder) if os.path.isdir(folder) else []
