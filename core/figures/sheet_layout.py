"""Where the cells of a figure sheet stand: a grid of equal columns on a page of a paper's width.

A cell takes one column, or as many as it spans; the page has a margin, and cells letters and captions.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass

from core.charts.fonts import wrapped_lines
from core.charts.theme import COLUMN_WIDTH

PAGE_WIDTH = COLUMN_WIDTH | {  # CSS px, 96 an inch
    **{"wide": 1056, "neurips": 528, "icml-column": 312, "icml": 648, "cvpr-column": 315, "cvpr": 660},
    **{"eccv": 461, "a4": 605},
}
PAGE_TITLES = {
    **{"single": "3.5 in", "double": "7.25 in", "wide": "11 in", "neurips": "NeurIPS, ICLR: 5.5 in"},
    **{"icml-column": "ICML column: 3.25 in", "icml": "ICML page: 6.75 in"},
    **{"cvpr-column": "CVPR column: 3.28 in", "cvpr": "CVPR page: 6.88 in"},
    **{"eccv": "ECCV, LNCS: 4.8 in", "a4": "A4, 16 cm of text"},
}
BOTH_COLUMNS = ("double", "icml", "cvpr")  # pages that take both columns of a paper
PAGE_HEIGHT = 864  # CSS px; a sheet that is higher fits no page of text of a paper
MARGIN, GAP = 12, 20  # CSS px around the page, and between cells
LETTER = 16  # px; height of the line with (a), (b) … above a cell
CAPTION_SIZE, CAPTION_LINE, CAPTION_SPACE = 10, 13, 4  # px; of the text below a cell
NARROWEST = 256  # px in which a figure is drawn; in a narrower column it is made smaller
MOST_COLUMNS = 4
JUTS = (0, 0.25, 0.5)  # of a cell's height, which it may jut out of a row


@dataclass(frozen=True)
class Slot:
    """The place of a cell on the page, in CSS px: its corner, its size, and the lines of its caption."""

    left: float
    top: float
    width: float
    height: float
    letter: str
    caption: tuple[str, ...]


@dataclass(frozen=True)
class SheetGrid:
    """The look of a sheet: width of the page, columns, font, letters and captions or none."""

    page: str = "double"
    columns: int = 2
    font: str = "serif"
    letters: bool = True
    captions: bool = True  # below the panels; LaTeX has them in any case

    @property
    def page_width(self) -> int:
        return PAGE_WIDTH[self.page]

    def width_of(self, span: int = 1) -> float:
        """Return the width in CSS px of a cell that spans so many columns, at most all.

        >>> SheetGrid(columns=2).width_of(), SheetGrid(columns=3).width_of(), SheetGrid(columns=3).width_of(9)
        (326.0, 210.66666666666666, 672.0)
        """
        column = (self.page_width - 2 * MARGIN - GAP * (self.columns - 1)) / self.columns
        span = min(span, self.columns)
        return column * span + GAP * (span - 1)

    def drawn_width(self, span: int = 1) -> int:
        """Return the width in CSS px in which the figure of such a cell is drawn."""
        return round(max(self.width_of(span), NARROWEST))

    def slots_of(
        self, spans: Sequence[int], heights: Sequence[float], captions: Sequence[str]
    ) -> tuple[list[Slot], int]:
        """Return the place of every cell, and the height of the page.

        Cells fill rows, each as high as its highest cell. Where a row is full, the next cell stands below a
        lower one of its width, if it juts out of the row by so much of its height at most as makes the page
        lowest (JUTS).

        Args:
            heights: of the contents, without letter and caption.
        """
        tried = [self._slots(spans, heights, captions, juts) for juts in JUTS]
        return min(tried, key=lambda one: one[1])

    def _slots(
        self, spans: Sequence[int], heights: Sequence[float], captions: Sequence[str], juts: float
    ) -> tuple[list[Slot], int]:
        head, used = LETTER if self.letters else 0, 0
        columns: list[_Column] = []  # of the last row
        slots: list[Slot] = []
        for number, span in enumerate(min(one, self.columns) for one in spans):
            width = self.width_of(span)
            caption = wrapped(captions[number], width, self.font) if self.captions else ()
            below = CAPTION_SPACE + CAPTION_LINE * len(caption) if caption else 0
            height = heights[number] + head + below
            lowest = max((one.bottom for one in columns), default=MARGIN - GAP)
            alike = [one for one in columns if one.span == span]
            column = min(alike, key=lambda one: one.bottom, default=None)
            if columns and used + span <= self.columns:
                left = columns[-1].left + self.width_of(columns[-1].span) + GAP
                column = _Column(left, columns[0].top, span)
                columns.append(column)
                used += span
            elif column is None or column.bottom + GAP + (1 - juts) * height > lowest:
                column = _Column(MARGIN, lowest + GAP, span)
                columns, used = [column], span
            top = column.bottom + GAP * (column.bottom > column.top)
            letter = f"({letter_of(number)})" if self.letters else ""
            slots.append(Slot(column.left, top, width, height, letter, caption))
            column.bottom = top + height
        lowest = max((slot.top + slot.height for slot in slots), default=MARGIN - GAP)
        return slots, round(lowest + MARGIN + 0.5)


class _Column:
    """A part of a row: its corner and span, and where its lowest cell ends."""

    def __init__(self, left: float, top: float, span: int) -> None:
        self.left, self.top, self.span, self.bottom = left, top, span, top


def wrapped(text: str, width: float, font: str) -> tuple[str, ...]:
    """Return the lines of a caption."""
    return tuple(wrapped_lines(text, width, CAPTION_SIZE, font=font)) if text else ()


def letter_of(number: int) -> str:
    """
    >>> letter_of(0), letter_of(27)
    ('a', 'ab')
    """
    letters = string.ascii_lowercase
    return letters[number] if number < 26 else letter_of(number // 26 - 1) + letters[number % 26]
