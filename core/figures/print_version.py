"""A chart of the dashboard drawn again for print: white ground, one or two columns wide, vectors."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go

from core.figures.theme import USUAL_HEIGHT, Theme, layout_of, paper

LETTER_WIDTH = 0.5  # of a usual letter, in font sizes
SCATTER_POINTS = 20_000  # up to which WebGL points become vectors


def print_version(
    draw: Callable[[Theme], go.Figure],
    *,
    column: str = "single",
    font: str = "serif",
    screen_height: int = USUAL_HEIGHT,
) -> go.Figure:
    """Draw a figure with the theme of paper, with room for its rows and for its notes.

    Args:
        draw: makes the figure in a theme.
        column, font: see `theme.paper`.
        screen_height: pixels on the page; panels that grew with their rows keep their proportions to the
            usual height.
    """
    theme = paper(column=column, font=font)
    figure = go.Figure(draw(theme))
    if layout_of(figure).height == theme.height:  # the theme's own; some figures know theirs on paper
        layout_of(figure).height = round(layout_of(figure).height * max(screen_height / USUAL_HEIGHT, 1.0))
    _wrap_notes(figure, theme)
    figure = go.Figure(data=[_as_vectors(trace) for trace in figure.data], layout=figure.layout)
    return figure.update_layout(width=theme.width)


def _wrap_notes(figure: go.Figure, theme: Theme) -> None:
    """Break notes that are longer than the figure is wide; what stands above the axes makes room."""
    for note in layout_of(figure).annotations:
        size = note.font.size or theme.font_size
        lines = (note.text or "").split("<br>")
        most = int((theme.width or 0) / (LETTER_WIDTH * size))
        wrapped = [part for line in lines for part in textwrap.wrap(line, most) or [""]]
        if len(wrapped) == len(lines) or note.textangle:
            continue
        note.text = "<br>".join(wrapped)
        if note.yref == "paper" and (note.y or 0) >= 1:
            _make_room(figure, 1.3 * size * (len(wrapped) - len(lines)))


def _make_room(figure: go.Figure, pixels: float) -> None:
    """Push the axes down, and a legend above them up."""
    margin, legend = layout_of(figure).margin, layout_of(figure).legend
    margin.t = (36 if margin.t is None else margin.t) + pixels
    if (legend.y or 0) > 1:
        legend.y += pixels / ((layout_of(figure).height or USUAL_HEIGHT) - margin.t - 40)


def _as_vectors(trace: Any) -> Any:
    """WebGL points become vectors, which a PDF can hold, unless there are too many."""
    if trace.type != "scattergl" or (trace.x is not None and len(trace.x) > SCATTER_POINTS):
        return trace
    return go.Scatter(trace.to_plotly_json() | {"type": "scatter"})
