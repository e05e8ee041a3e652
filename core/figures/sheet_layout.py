"""Where the cells of a figure sheet stand: rows on a grid, filled to their end, with letters and captions.

The unit of the grid is half a column: a single-column figure takes two units, a double-column one four (or
all there are), an image or a heatmap one. A row that is not full is spread out: no half row stays blank.
"""

from __future__ import annotations

import string
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from core.figures.theme import COLUMN_WIDTH

GAP = 24  # CSS px between cells; two columns plus a gap make a double column
UNIT = (COLUMN_WIDTH["single"] - GAP) // 2
LETTER = 16  # px; height of the line with (a), (b) … above a cell
CAPTION_SIZE, CAPTION_LINE, CAPTION_SPACE = 10, 13, 4  # px; of the text below a cell
CAPTION_LETTER = 0.52  # width of a usual letter, in font sizes; a little more than it is
MOST_COLUMNS = 4


@dataclass(frozen=True)
class Slot:
    """The place of a cell on the page, in CSS px: its corner, its size, and the lines of its caption."""

    left: float
    top: float
    width: float
    height: float
    letter: str
    caption: tuple[str, ...]


def width_of(units: int) -> int:
    """Return the width in CSS px of this many units, including the gaps between them.

    >>> width_of(2), width_of(4)
    (336, 696)
    """
    return units * UNIT + (units - 1) * GAP


def rows_of(units: Sequence[int], columns: int) -> list[list[int]]:
    """Return the cells of each row, in their order; a row holds at most 2 `columns` units.

    >>> rows_of([2, 2, 1, 1, 4], 2)
    [[0, 1], [2, 3], [4]]
    """
    rows: list[list[int]] = []
    used = 0
    for number, size in enumerate(units):
        if not rows or used + size > 2 * columns:
            rows.append([])
            used = 0
        rows[-1].append(number)
        used += size
    return rows


def widths_of(units: Sequence[int], columns: int) -> list[float]:
    """Return the width of each cell in CSS px.

    The cells of a row that is not full grow in proportion until it is, to twice their units at most.

    >>> widths_of([2, 2, 2], 2)
    [336.0, 336.0, 696.0]
    """
    whole, widths = width_of(2 * columns), [0.0] * len(units)
    for row in rows_of(units, columns):
        own = [width_of(units[number]) for number in row]
        free = whole - sum(own) - GAP * (len(row) - 1)
        total = sum(units[number] for number in row)
        for number, width in zip(row, own, strict=True):
            widths[number] = float(min(width + free * units[number] / total, width_of(2 * units[number])))
    return widths


def slots_of(
    units: Sequence[int],
    widths: Sequence[float],
    heights: Sequence[float],
    *,
    columns: int,
    letters: bool,
    captions: Sequence[str] = (),
) -> tuple[list[Slot], int, int]:
    """Return the place of every cell, and the width and height of the page; each row is as high as its
    highest cell.

    Args:
        heights: of the contents, without letter and caption.
    """
    head, top = LETTER if letters else 0, 0.0
    said = [wrapped(text, width) for text, width in zip(captions or [""] * len(units), widths, strict=True)]
    slots: list[Slot] = []
    for row in rows_of(units, columns):
        left, tallest = 0.0, 0.0
        for number in row:
            below = CAPTION_SPACE + CAPTION_LINE * len(said[number]) if said[number] else 0
            height = heights[number] + head + below
            letter = f"({letter_of(number)})" if letters else ""
            slots.append(Slot(left, top, widths[number], height, letter, said[number]))
            left, tallest = left + widths[number] + GAP, max(tallest, height)
        top += tallest + GAP
    return slots, width_of(2 * columns), round(top - GAP + 0.5)


def wrapped(text: str, width: float) -> tuple[str, ...]:
    """Return the lines of a caption."""
    return tuple(textwrap.wrap(text, max(int(width / (CAPTION_LETTER * CAPTION_SIZE)), 8)))


def letter_of(number: int) -> str:
    """
    >>> letter_of(0), letter_of(27)
    ('a', 'ab')
    """
    letters = string.ascii_lowercase
    return letters[number] if number < 26 else letter_of(number // 26 - 1) + letters[number % 26]
