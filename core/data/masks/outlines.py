"""Outlines of COCO's annotations as masks: polygons, run-length codes and boxes."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from core.errors import UnreadableImage

FARTHEST = 1e6  # pixels; outlines are kept no farther out
BEYOND = 4  # widths and heights of the image that a drawn outline reaches out at most
LONGEST = 20_000_000  # pixels along an outline: each is gone through
POINTS = 6  # numbers of the shortest outline


def packed(item: dict[str, Any]) -> dict[str, Any]:
    """Keep outlines as arrays, eight times smaller than lists of numbers.

    A list of outlines, one outline as a flat list of numbers, and points as pairs are all read. What is none
    of these becomes the text "unknown".
    """
    shape = item.get("segmentation")
    if isinstance(shape, list):
        item["segmentation"] = _outlines(shape)
    elif isinstance(shape, dict) and isinstance(shape.get("counts"), list):
        counts = _numbers(shape["counts"], farthest=math.inf)  # a run may be longer than an outline is far
        item["segmentation"] = {"counts": counts, "size": shape.get("size")} if counts is not None else None
    elif shape is not None and not isinstance(shape, dict):
        item["segmentation"] = UNKNOWN
    return item


UNKNOWN = "unknown"


def _outlines(shape: list[Any]) -> list[array[float]] | str | None:
    if not shape:
        return None
    parts = [shape] if not any(isinstance(one, list) for one in shape) else shape
    if _are_points(parts):
        parts = [parts]
    coordinates = [_numbers(_flat(part)) for part in parts]
    usable = [one for one in coordinates if one is not None and len(one) >= POINTS]
    return usable or UNKNOWN


def _are_points(parts: list[Any]) -> bool:
    if len(parts) < POINTS // 2:
        return False
    return all(isinstance(point, list) and len(point) == 2 for point in parts)


def _flat(part: Any) -> Any:
    if isinstance(part, list) and _are_points(part):
        return [number for point in part for number in point]
    return part


def _numbers(values: Any, farthest: float = FARTHEST) -> array[float] | None:
    """Return finite numbers, kept within `farthest`; None for anything else."""
    try:
        numbers = array("d", values)
    except (TypeError, OverflowError, ValueError):
        return None
    if not all(math.isfinite(value) for value in numbers):
        return None
    return array("d", (max(-farthest, min(value, farthest)) for value in numbers))


def coordinates(shape: Any) -> Iterator[float]:
    """Yield the highest number of each outline, or of a box; nothing for a run-length code."""
    if isinstance(shape, list):
        parts = shape if shape and isinstance(shape[0], array) else [_numbers(shape) or ()]
        yield from (max(part) for part in parts if part)


def fill_outline(shape: Any, width: int, height: int, *, scaled: bool = False) -> np.ndarray:
    """Return (height, width) uint8, 1 inside: of polygons by COCO's own rule, of a run-length code, or a box.

    Args:
        scaled: numbers from 0 to 1 are parts of the width and the height.
    Raises:
        UnreadableImage: a code that is of another size or does not fill the image, or an outline without end.
    """
    if isinstance(shape, dict):
        return _from_runs(shape, width, height)
    if shape and not isinstance(shape[0], array):
        return _box(shape, width, height, scaled=scaled)
    outlines = [_within(part, width, height, scaled=scaled) for part in shape]
    if sum(map(_length, outlines)) > LONGEST:
        raise UnreadableImage("its outline is too long to be drawn")
    codes = coco_mask.frPyObjects([one.tolist() for one in outlines], height, width)
    return np.asarray(coco_mask.decode(coco_mask.merge(codes)), np.uint8)


def _within(part: array[float], width: int, height: int, *, scaled: bool) -> np.ndarray:
    points = np.array(part[: len(part) // 2 * 2]).reshape(-1, 2)
    sides = np.array([width, height], float)
    points = points * sides if scaled else points
    return np.clip(points, -BEYOND * sides, (BEYOND + 1) * sides).ravel()


def _length(outline: np.ndarray) -> float:
    points = outline.reshape(-1, 2)
    return float(np.abs(points - np.roll(points, 1, axis=0)).sum())


def _box(shape: Any, width: int, height: int, *, scaled: bool) -> np.ndarray:
    sides = _numbers(shape) if len(shape) == 4 else None
    if sides is None or sides[2] <= 0 or sides[3] <= 0:
        return np.zeros((height, width), np.uint8)
    x, y, w, h = sides
    right, bottom = x + w, y + h
    corners = array("d", (x, y, x, bottom, right, bottom, right, y))
    return fill_outline([corners], width, height, scaled=scaled)


def _from_runs(code: dict[str, Any], width: int, height: int) -> np.ndarray:
    """Unpack runs of 0 and 1 in turn, column after column, given as numbers or as COCO's own text."""
    counts, size = code.get("counts"), code.get("size")
    if size is not None and size != [height, width]:
        raise UnreadableImage(f"its run-length code is of {size} pixels, its image of {[height, width]}")
    runs = (
        _text_runs(counts)
        if isinstance(counts, str)
        else [*map(int, counts if isinstance(counts, array) else ())]
    )
    if min(runs, default=-1) < 0 or sum(runs) != width * height:
        raise UnreadableImage("its run-length code does not fill the image")
    values = np.arange(len(runs), dtype=np.uint8) % 2
    return np.repeat(values, runs).reshape(width, height).T


def _text_runs(text: str) -> list[int]:
    """Decode COCO's text: five bits a character, from the lowest; each run from the fourth on is written as
    its difference to the run two before.

    >>> _text_runs("0241")
    [0, 2, 4, 3]
    """
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise UnreadableImage("its run-length code is damaged")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs
