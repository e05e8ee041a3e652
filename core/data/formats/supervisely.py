"""Projects of Supervisely: DATASET/img/NAME beside DATASET/ann/NAME.json, below the folder of meta.json."""

import base64
import binascii
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.common.inside import parse_json
from core.common.remote.addresses import is_url
from core.common.remote.objects import read_small
from core.data.formats.regions import box_of_points
from core.data.formats.rows import LARGEST, NotThisForm, Rows, entries, largest_class, text_or_none
from core.data.sources.folder_words import split_of_folder
from core.data.sources.source import IMAGE_EXTENSIONS

META, IMAGES, ANNOTATIONS = "meta.json", "img", "ann"
SIZE_OF_PNG = slice(16, 24)  # of its bytes: width and height
HEAD = 400  # letters of a packed picture in which they lie
MOST_BYTES = 200_000_000  # of one annotation


def is_project(folder: Path) -> bool:
    """Return True for the folder of a project."""
    return (folder / META).is_file() and next(_data_sets(str(folder)), None) is not None


def _data_sets(root: str) -> Iterator[str]:
    """Yield the folders that hold img/ and ann/, by paths below the root; data sets may lie in others."""
    for here, folders, _ in os.walk(root):
        folders.sort()
        if {IMAGES, ANNOTATIONS} <= set(folders):
            folders[:] = [name for name in folders if name not in (IMAGES, ANNOTATIONS)]
            yield os.path.relpath(here, root)


def read_supervisely(tree: dict[str, Any], path: str, label: str | None = None) -> Rows:
    """Return the images of a project with the class of their largest object, else with their only tag.

    Args:
        label: a tag, whose value is the label.
    """
    root = os.path.dirname(path)
    if is_url(root):
        raise NotThisForm("its annotations, a file an image, are not read by address")
    paths, labels, names = [], [], []
    for data_set in _data_sets(root):
        for name in sorted(os.listdir(os.path.join(root, data_set, IMAGES))):
            if name.rpartition(".")[2].lower() in IMAGE_EXTENSIONS:
                annotation = _annotation(os.path.join(root, data_set, ANNOTATIONS, f"{name}.json"))
                paths.append(os.path.normpath(os.path.join(data_set, IMAGES, name)))
                labels.append(_label(annotation, label))
                names.append(data_set.split(os.sep)[0])
    words = {name: split_of_folder(name) for name in set(names)}
    splits = [str(words[name]) for name in names] if len(words) > 1 and all(words.values()) else None
    further = {"data_set": names} if splits is None and len(words) > 1 else {}
    return Rows(paths, labels, splits, further, notes=[LARGEST])


def _annotation(path: str) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        tree = parse_json(read_small(path, MOST_BYTES))
        return tree if isinstance(tree, dict) else {}
    return {}


def _label(annotation: dict[str, Any], tag: str | None) -> str | None:
    tags = entries(annotation.get("tags") or [], "tags")
    if tag is not None:
        named = [one for one in tags if one.get("name") == tag]
        return text_or_none(named[0].get("value")) if named else None
    objects = entries(annotation.get("objects") or [], "objects")
    if objects:
        return largest_class((text_or_none(one.get("classTitle")), _area(one)) for one in objects)
    return text_or_none(tags[0].get("name")) if len(tags) == 1 else None


def _area(item: dict[str, Any]) -> float:
    """Return the area of the box of an object."""
    bitmap, points = item.get("bitmap"), item.get("points")
    if isinstance(bitmap, dict):
        return _area_of_bitmap(bitmap.get("data"))
    exterior = points.get("exterior") if isinstance(points, dict) else None
    return box_of_points(exterior)


def _area_of_bitmap(data: Any) -> float:
    """Return width times height of a PNG that is packed with zlib and written in base64; 0 for others."""
    try:
        head = zlib.decompressobj().decompress(base64.b64decode(data[:HEAD]), SIZE_OF_PNG.stop)
        width, height = struct.unpack(">II", head[SIZE_OF_PNG])
    except (TypeError, ValueError, binascii.Error, zlib.error, struct.error):
        return 0.0
    return float(width * height)
