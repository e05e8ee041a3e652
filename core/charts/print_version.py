"""A chart drawn again for print, with titles and notes broken so that they fit."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.charts.fonts import text_width, wrapped_lines
from core.charts.theme import USUAL_HEIGHT, Theme, layout_of, paper, printed_font, traces_of

# Break the titles and notes of a figure for print, so that they fit on it.


LINE = 1.3  # height of a line, in font sizes
LEGEND_ROW, LEGEND_MARK, USUAL_ROWS = 19, 45, 2  # px of a row, px beside a name; rows that every panel has
TICK_MARGIN, TICK = 30, 24  # px beside an axis, and of a tick with its number
PLOTLY_TICKS, MOST_TICKS = 5, 8  # that plotly aims at on a short axis, and at most here
BESIDE = 60  # px of a usual figure that the labels of an axis and its title take


def fit_text(figure: go.Figure, theme: Theme) -> go.Figure:
    """Break a chart's text that is longer than its axis, or the chart is wide, into lines."""
    if theme.width is None:
        return figure
    font = printed_font(theme)
    for axis in figure.select_xaxes():
        _wrap_title(axis, theme, (theme.width - BESIDE) * _share(axis), font)
    height = layout_of(figure).height or theme.height or USUAL_HEIGHT
    margin = layout_of(figure).margin.t or layout_of(figure).template.layout.margin.t or 0
    for axis in figure.select_yaxes():
        _wrap_title(axis, theme, (height - margin - BESIDE) * _share(axis), font)
    _wrap_notes(figure, theme, font)
    _more_ticks(figure, theme, font)
    return figure


def _more_ticks(figure: go.Figure, theme: Theme, font: str) -> None:
    """Let short axes of numbers have as many ticks as have room: plotly reckons with a screen's type."""
    for axis in figure.select_xaxes():
        if axis.nticks is None and axis.tickvals is None and axis.type in (None, "linear"):
            room = (theme.width or 0) - TICK_MARGIN - _labels_width(figure, theme, font)
            n_ticks = min(int(room * _share(axis) / TICK), MOST_TICKS)
            if n_ticks > PLOTLY_TICKS and _of_numbers(figure, axis):
                axis.nticks = n_ticks


def _labels_width(figure: go.Figure, theme: Theme, font: str) -> float:
    """Return the px that named ticks of vertical axes take, beside a chart for print."""
    labels = (text for axis in figure.select_yaxes() for text in axis.ticktext or ())
    lines = (line for label in labels for line in str(label).split("<br>"))
    return max((text_width(line, theme.font_size - 1, font=font) for line in lines), default=0.0)


def _of_numbers(figure: go.Figure, axis: Any) -> bool:
    """Whether all traces along an axis of a chart have numbers, and not names, there."""
    name = axis.plotly_name.replace("axis", "")
    values = [one.x for one in traces_of(figure) if (getattr(one, "xaxis", None) or "x") == name]
    return all(np.asarray(part).dtype.kind in "fiub" for part in values if part is not None)


def legend_room(figure: go.Figure, theme: Theme) -> int:
    """Return the height in px of a chart's legend beyond USUAL_ROWS, which its panel would lose."""
    traces = traces_of(figure)
    names = [trace.name for trace in traces if trace.name and trace.showlegend is not False]
    if not names or theme.width is None:
        return 0
    size, font = theme.font_size - 1, printed_font(theme)
    widest = max(text_width(name, size, font=font) for name in names) + LEGEND_MARK
    n_rows = math.ceil(len(names) / max(1, int(theme.width / widest)))
    return LEGEND_ROW * max(n_rows - USUAL_ROWS, 0)


def _share(axis: Any) -> float:
    """Return the share of the figure that an axis takes."""
    first, last = axis.domain or (0, 1)
    return last - first


def _wrap_title(axis: Any, theme: Theme, room: float, font: str) -> None:
    text = axis.title.text
    size = axis.title.font.size or theme.font_size
    if text and "<br>" not in text and text_width(text, size, font=font) > room:
        axis.title.text = "<br>".join(wrapped_lines(text, room, size, font=font))


def _wrap_notes(figure: go.Figure, theme: Theme, font: str) -> None:
    """Break notes that are longer than the figure is wide; what stands above the axes makes room."""
    for note in layout_of(figure).annotations:
        size = note.font.size or theme.font_size
        lines = (note.text or "").split("<br>")
        room = theme.width or 0
        wrapped = [part for line in lines for part in wrapped_lines(line, room, size, font=font)]
        if len(wrapped) == len(lines) or note.textangle:
            continue
        note.text = "<br>".join(wrapped)
        if note.yref == "paper" and (note.y or 0) >= 1:
            _make_room(figure, LINE * size * (len(wrapped) - len(lines)))


def _make_room(figure: go.Figure, pixels: float) -> None:
    """Push the axes down, and a legend above them up."""
    margin, legend = layout_of(figure).margin, layout_of(figure).legend
    margin.t = (36 if margin.t is None else margin.t) + pixels
    if (legend.y or 0) > 1:
        legend.y += pixels / ((layout_of(figure).height or USUAL_HEIGHT) - margin.t - 40)


# A chart of the dashboard drawn again for print: white ground, one or two columns wide, vectors.


SCATTER_POINTS = 20_000  # up to which WebGL points become vectors


def print_version(
    draw: Callable[[Theme], go.Figure],
    *,
    column: str = "single",
    font: str = "serif",
    screen_height: int = USUAL_HEIGHT,
) -> go.Figure:
    """Draw a chart with the theme of paper, with room for its rows and for its notes.

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
    figure = go.Figure(data=[_as_vectors(trace) for trace in traces_of(figure)], layout=figure.layout)
    return figure.update_layout(width=theme.width)


def _as_vectors(trace: Any) -> Any:
    """WebGL points become vectors, which a PDF can hold, unless there are too many."""
    if trace.type != "scattergl" or (trace.x is not None and len(trace.x) > SCATTER_POINTS):
        return trace
    return go.Scatter(trace.to_plotly_json() | {"type": "scatter"})
