"""A chart of the dashboard drawn again for print: white ground, one or two columns wide, vectors."""

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go

from core.charts.theme import USUAL_HEIGHT, Theme, layout_of, paper
from core.figures.fit_text import fit_text, legend_room

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
        height = layout_of(figure).height * max(screen_height / USUAL_HEIGHT, 1.0)
        layout_of(figure).height = round(height + legend_room(figure, theme))
    fit_text(figure, theme)
    figure = go.Figure(data=[_as_vectors(trace) for trace in figure.data], layout=figure.layout)
    return figure.update_layout(width=theme.width)


def _as_vectors(trace: Any) -> Any:
    """WebGL points become vectors, which a PDF can hold, unless there are too many."""
    if trace.type != "scattergl" or (trace.x is not None and len(trace.x) > SCATTER_POINTS):
        return trace
    return go.Scatter(trace.to_plotly_json() | {"type": "scatter"})
