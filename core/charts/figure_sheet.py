"""Figures of one page as one PDF: a title, sentences, and each figure with its caption, on one sheet."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from core.charts.figure_files import render, render_all
from core.charts.fonts import wrapped_lines
from core.charts.kept_figures import KeptFigure
from core.charts.shown_names import as_text
from core.charts.theme import COLUMN_WIDTH, PRINTED, Theme, paper, printed_font

MARGIN, GAP = 36, 24  # px around everything, and between two figures
WIDTH = COLUMN_WIDTH["double"] + 2 * MARGIN
TITLE, TEXT, CAPTION = 16, 10, 9  # px of type
LINE = 1.35  # height of a line, in font sizes


@dataclass(frozen=True)
class Rectangle:
    """Where something stands on a sheet of figures: px from its left and upper edge."""

    left: float
    top: float
    width: float
    height: float


def figures_sheet(figures: Sequence[KeptFigure], *, title: str, text: str, font: str = "serif") -> bytes:
    """Return one PDF with charts of a page, vectors where they were.

    Args:
        title, text: above the figures; each line of the text begins a new one. font: serif or sans.
    Raises:
        SettingsError: no browser that draws them.
    """
    drawings = render_all([figure.figure for figure in figures], "svg")
    return render(sheet_figure(figures, drawings, title=title, text=text, font=font), "pdf")


def sheet_figure(
    figures: Sequence[KeptFigure], drawings: Sequence[bytes], *, title: str, text: str, font: str = "serif"
) -> go.Figure:
    """Place drawings of charts on a sheet as wide as two columns, and as long as they need.

    Figures of one column stand two beside each other, in their order; below each stands its caption.

    Args:
        drawings: SVG files of the figures.
    """
    theme = paper(column="double", font=font)
    words = [_words(title, TITLE, Rectangle(MARGIN, MARGIN, WIDTH - 2 * MARGIN, 0), theme, bold=True)]
    words.append(_words(text, TEXT, _below(words[0][1], 6), theme))
    end = words[-1][1].top + words[-1][1].height + GAP
    images = []
    for row in _rows(figures):
        bottoms = []
        for column, number in enumerate(row):
            figure = figures[number]
            left = MARGIN + column * (WIDTH - 2 * MARGIN + GAP) / 2
            box = Rectangle(left, end, figure.width, figure.height)
            images.append((box, drawings[number]))
            words.append(_words(figure.caption, CAPTION, _below(box, 4), theme))
            bottoms.append(words[-1][1].top + words[-1][1].height)
        end = max(bottoms) + GAP
    height = end - GAP + MARGIN
    layout = {
        "images": [_placed(box, height) | {"source": _address(svg)} for box, svg in images],
        "annotations": [note | _at(box, height) for note, box in words],
        "xaxis": {"visible": False},
        "yaxis": {"visible": False},
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": theme.background,
        "plot_bgcolor": theme.background,
        "font": {"family": PRINTED[font], "color": theme.ink},
    }
    return go.Figure(layout=layout).update_layout(width=WIDTH, height=height)


def _rows(figures: Sequence[KeptFigure]) -> Iterator[list[int]]:
    """Yield the numbers of the figures of each row: two that are one column wide, or one."""
    row: list[int] = []
    for number, figure in enumerate(figures):
        narrow = figure.width <= COLUMN_WIDTH["single"]
        if row and not (narrow and len(row) == 1 and figures[row[0]].width <= COLUMN_WIDTH["single"]):
            yield row
            row = []
        row.append(number)
    if row:
        yield row


def _below(box: Rectangle, distance: float) -> Rectangle:
    return Rectangle(box.left, box.top + box.height + distance, box.width, 0)


def _words(
    text: str, size: int, box: Rectangle, theme: Theme, *, bold: bool = False
) -> tuple[dict[str, Any], Rectangle]:
    """A note with a text broken to the width of a box, and the box that it takes."""
    font = printed_font(theme)
    lines = [
        line
        for part in text.splitlines()
        for line in wrapped_lines(as_text(part), box.width, size, font=font)
    ]
    joined = "<br>".join(lines)
    note = {"text": f"<b>{joined}</b>" if bold else joined, "font": {"size": size}, "align": "left"}
    return note, Rectangle(box.left, box.top, box.width, LINE * size * len(lines))


def _at(box: Rectangle, height: float) -> dict[str, Any]:
    at = {"x": box.left / WIDTH, "y": 1 - box.top / height, "xanchor": "left", "yanchor": "top"}
    return at | {"xref": "paper", "yref": "paper", "showarrow": False, "borderpad": 0}


def _placed(box: Rectangle, height: float) -> dict[str, Any]:
    """Where an image of the figure stands, in shares of the sheet."""
    at = {"x": box.left / WIDTH, "y": 1 - box.top / height, "xanchor": "left", "yanchor": "top"}
    size = {"sizex": box.width / WIDTH, "sizey": box.height / height, "sizing": "stretch"}
    return at | size | {"xref": "paper", "yref": "paper", "layer": "above"}


def _address(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
