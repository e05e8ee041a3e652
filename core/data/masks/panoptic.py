"""Segments of panoptic annotations (COCO, Cityscapes): pictures whose colours are the ids of segments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from core.data.sources.decode import decode
from core.data.sources.source import file_stamp
from core.data.sources.tables import is_below
from core.errors import UnreadableImage

STUFF_AREA = 0.0  # so that an object comes before ground of any size


class Segment(NamedTuple):
    """A segment: the picture of ids that it lies in, below the folder of these, and its id."""

    file: str
    number: int

    def stamp(self, folder: str) -> str:
        """Return the size and time of its picture."""
        return file_stamp(os.path.join(folder, self.file))


def things_of(tree: dict[str, Any]) -> set[Any]:
    """Return the ids of the categories that are objects and no stuff; none where nothing says so."""
    categories = tree.get("categories")
    kinds = [one for one in categories if isinstance(one, dict)] if isinstance(categories, list) else []
    return {one.get("id") for one in kinds if one.get("isthing") == 1}


def segments_of(annotation: dict[str, Any], things: set[Any]) -> list[tuple[Any, float, Segment]]:
    """Return category, area and place of each segment of an image; stuff has no area.

    Args:
        things: the categories of objects; without any, all are.
    """
    file, segments = annotation.get("file_name"), annotation.get("segments_info")
    if not isinstance(file, str) or not isinstance(segments, list):
        return []
    triples = []
    for one in segments:
        if isinstance(one, dict) and isinstance(one.get("id"), int):
            category, area = one.get("category_id"), one.get("area")
            is_thing = not things or category in things
            size = float(area) if isinstance(area, int | float) and is_thing else STUFF_AREA
            triples.append((category, size, Segment(file, one["id"])))
    return triples


def segment_folder(path: str) -> str:
    """Return the folder of the pictures of ids: called as the .json file beside it, else that of the file."""
    beside = os.path.splitext(path)[0]
    return beside if os.path.isdir(beside) else os.path.dirname(path)


def segments_mask(folder: str, segments: Sequence[Segment]) -> np.ndarray:
    """Return (H, W) bool of the pixels of some segments of one image: id = R + 256 G + 65536 B.

    (Kirillov et al. 2019, panopticapi)

    Raises:
        UnreadableImage: the picture is not there, or lies outside the folder.
    """
    file = segments[0].file
    if not is_below(folder, file):
        raise UnreadableImage(f"its path leaves '{folder}', the folder of the segments")
    colours = np.asarray(decode(os.path.join(folder, file))).astype(np.int32)
    ids = colours @ np.array([1, 256, 65536], np.int32)
    return np.isin(ids, [one.number for one in segments])
