"""The figure sheet as it will be printed, drawn in the browser: the old one stays until the next is there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from core.charts.fonts import font_faces
from core.charts.theme import PRINTED
from core.figures.files import DRAWN_TEXT
from core.figures.sheet_layout import CAPTION_LINE, CAPTION_SIZE, CAPTION_SPACE, LETTER, Slot
from dashboard.components.browser_half import browser_half
from dashboard.components.plot import LOAD_PLOTLY, library


@dataclass(frozen=True)
class Content:
    """The content of a cell: a figure as plotly's text and the size in which it is drawn, the address of a
    picture, or why there is neither.
    """

    alt: str
    height: float
    figure: str = ""
    src: str = ""
    why: str = ""
    drawn: tuple[float, float] = (0, 0)


_PREVIEW = browser_half(
    "sheet_preview",
    '<div class="peregrine-sheet" role="figure"><div class="page"></div></div>',
    *(LOAD_PLOTLY, DRAWN_TEXT, "sheet_preview.js"),
    style=font_faces(),
    isolate_styles=False,  # plotly's own style sheet is the page's
)


def sheet_preview(
    contents: Sequence[Content],
    slots: Sequence[Slot],
    size: tuple[int, int],
    *,
    font: str,
    key: str,
    margin: int = 16,
) -> None:
    """Draw a sheet of `size` CSS px, with its cells in their places, as wide as there is room.

    margin: px of paper around it.
    """
    cells = [asdict(one) | asdict(slot) for one, slot in zip(contents, slots, strict=True)]
    for cell, content in zip(cells, contents, strict=True):
        cell["content_height"] = content.height
    _PREVIEW(
        key=key,
        data={
            "cells": cells,
            "width": size[0],
            "height": size[1],
            "margin": margin,
            "font": PRINTED[font],
            "head": LETTER,
            "caption_size": CAPTION_SIZE,
            "caption_line": CAPTION_LINE,
            "caption_space": CAPTION_SPACE,
            "library": library(),
        },
    )
