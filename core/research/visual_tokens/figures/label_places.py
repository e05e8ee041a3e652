"""Places for labels on a picture, so that none covers another."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

RINGS = 12  # how many of its own heights a label may be moved away
Area = tuple[float, float, float, float]  # left, top, right, bottom; y grows downwards


@dataclass(frozen=True)
class Label:
    """A label of a known size, and the places of its upper left corner in order of preference."""

    width: float
    height: float
    places: tuple[tuple[float, float], ...]

    def box(self, corner: tuple[float, float]) -> Area:
        """Return the area that it covers."""
        left, top = corner
        return left, top, left + self.width, top + self.height


def free_places(labels: Sequence[Label], size: tuple[float, float]) -> list[tuple[float, float]]:
    """Return the upper left corner of each label, one after another, the first ones first.

    Each takes its first place that covers no label before it; without such a place the nearest one around
    its first; and where the picture is full, the place that covers least.

    Args:
        size: width and height of the picture, which no label leaves unless it is larger.
    """
    positions: list[tuple[float, float]] = []
    taken: list[Area] = []
    for label in labels:
        best, least = label.places[0], math.inf
        for position in _tried(label):
            corner = _inside(label, position, size)
            covered = sum(shared_area(label.box(corner), other) for other in taken)
            if covered < least:
                best, least = corner, covered
            if not covered:
                break
        positions.append(best)
        taken.append(label.box(best))
    return positions


def _tried(label: Label) -> Iterator[tuple[float, float]]:
    yield from label.places
    left, top = label.places[0]
    for ring in range(1, RINGS + 1):
        for angle in range(16):
            turn = 2 * math.pi * angle / 16
            away = ring * label.height
            yield left + math.cos(turn) * away * 1.5, top + math.sin(turn) * away


def _inside(label: Label, corner: tuple[float, float], size: tuple[float, float]) -> tuple[float, float]:
    left = max(min(corner[0], size[0] - label.width), 0.0)
    return left, max(min(corner[1], size[1] - label.height), 0.0)


def shared_area(one: Area, other: Area) -> float:
    """Return the area that two boxes share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(tall, 0.0)


def nearest_in(box: Area, point: tuple[float, float]) -> tuple[float, float]:
    """Return the point of a box that is nearest to another point."""
    return max(box[0], min(point[0], box[2])), max(box[1], min(point[1], box[3]))
