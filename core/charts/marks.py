"""The marks that charts are drawn with: bars, dots with intervals, lines, bands, cells, and rows of names.

A mark takes numbers and a colour, and returns a trace. `hover` is plotly's template without its extra box.
Lines, bands and notes that lie behind the data are `theme.Marks`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.charts.shown_names import as_text
from core.charts.theme import Theme, finish, tint

WEBGL_FROM = 1000  # SVG is sharper and exports cleanly; above this many points it becomes slow


def interval(
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    *,
    colour: str | None = None,
    thickness: float | None = None,
    width: float | None = 0,
) -> dict[str, Any]:
    """Ends of intervals in a chart, as error bars from `value`; an unknown end has no bar. width: of caps."""
    look = {"color": colour, "thickness": thickness, "width": width}
    ends = {"array": np.nan_to_num(high - value), "arrayminus": np.nan_to_num(value - low)}
    given = {key: one for key, one in look.items() if one is not None}
    return {"type": "data", "symmetric": False} | ends | given


def dots(
    x: Any, y: Any, *, hover: str = "", kind: type[go.Scatter | go.Scattergl] = go.Scatter, **more: Any
) -> Any:
    """Points of a chart; with `error_x` or `error_y` of `interval`, points with intervals."""
    return kind(x=x, y=y, **({"mode": "markers"} | _hover(hover) | more))


def points_kind(n_points: int) -> type[go.Scatter | go.Scattergl]:
    """Return how a chart draws its points: SVG for few, WebGL for many."""
    return go.Scattergl if n_points > WEBGL_FROM else go.Scatter


def line(
    x: Any, y: Any, *, colour: str, width: float, dash: str | None = None, hover: str = "", **more: Any
) -> go.Scatter:
    """A line of a chart; without `hover` it says nothing under the pointer."""
    look = {"color": colour, "width": width} | ({"dash": dash} if dash else {})
    return go.Scatter(x=x, y=y, line=look, **({"mode": "lines"} | _hover(hover) | more))


def diagonal(name: str, theme: Theme) -> go.Scatter:
    """The line of a score that knows nothing, on a chart with two percent axes."""
    return line([0, 100], [0, 100], colour=theme.neutral, width=1.5, dash="dot", name=name)


def band(
    x: np.ndarray, low: np.ndarray, high: np.ndarray, *, colour: str, alpha: float, **more: Any
) -> go.Scatter:
    """The area of a chart between two ends of intervals along a line."""
    around_x = np.concatenate([x, x[::-1]])
    around_y = np.concatenate([high, low[::-1]])
    return go.Scatter(
        x=around_x,
        y=around_y,
        fill="toself",
        fillcolor=tint(colour, alpha),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        **more,
    )


def bars(
    values: np.ndarray,
    names: Sequence[str],
    *,
    colours: Sequence[str] | str,
    texts: Sequence[str],
    hovers: Sequence[str],
    reach: tuple[float, float],
    theme: Theme,
    row: int = 24,
    standoff: int = 4,
) -> go.Figure:
    """A chart of horizontal bars, the first on top, with a name beside and a text at the end of each.

    Args:
        texts: at the ends. hovers: lines under the pointer, as markup. reach: ends of the axis.
        row: pixels of a bar with its gap. standoff: pixels between a name and its bar.
    """
    rows = np.arange(len(values))
    fig = go.Figure(
        go.Bar(
            x=values,
            y=rows,
            orientation="h",
            marker={"color": colours},
            text=texts,
            textposition="outside",
            cliponaxis=False,
            hovertext=hovers,
            hoverinfo="text",
        )
    )
    fig.update_xaxes(range=list(reach))
    span = {"autorange": "reversed"}
    name_rows(fig, [as_text(name) for name in names], theme, span=span, standoff=standoff)
    finish(fig, theme, height=80 + row * len(values))
    return fig.update_layout(bargap=0.28, margin_t=4)


def name_rows(
    fig: go.Figure,
    names: Sequence[str],
    theme: Theme,
    *,
    span: dict[str, Any] | None = None,
    standoff: int | None = None,
) -> None:
    """Write names, as markup, down the left side of a chart, the first on top.

    span: of the axis, if not half a row beyond both ends.
    """
    settings: dict[str, Any] = span or {"range": [len(names) - 0.4, -0.6]}
    if standoff is not None:
        settings = settings | {"ticklabelstandoff": standoff}
    fig.update_yaxes(named_axis(names, theme), **settings)


def named_axis(names: Sequence[str], theme: Theme) -> dict[str, Any]:
    """Return settings of a chart's axis with a name, as markup, at each whole number from 0."""
    ticks = {"tickvals": np.arange(len(names)), "ticktext": list(names), "ticks": ""}
    return {**ticks, "showgrid": False, "tickfont_color": theme.ink}


def cells(
    grid: np.ndarray, x: Any, y: Any, *, scale: Any, bar: Any = None, hover: str = "", **more: Any
) -> go.Heatmap:
    """Cells of a chart with a gap, coloured by `grid`; with `text`, a text in each.

    Args:
        bar: settings of the colour bar; None: none is drawn.
    """
    if "text" in more:
        more = {"texttemplate": "%{text}"} | more
    if bar is None:
        look = {"xgap": 2, "ygap": 2, "showscale": False}
    else:
        look = {"xgap": 2, "ygap": 2, "colorbar": {"thickness": 12, "outlinewidth": 0} | bar}
    if hover:
        look |= _hover(hover)
    return go.Heatmap(z=grid, x=x, y=y, colorscale=scale, **(look | more))


def click_cells(x: Any, y: Any, data: Any, *, size: float, **more: Any) -> go.Scatter:
    """Transparent points over a chart's cells, because plotly's heatmaps do not report clicks."""
    clear = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        marker={"size": size, "opacity": 0, "symbol": "square"},
        unselected=clear,
        customdata=data,
        showlegend=False,
        **more,
    )


def _hover(template: str) -> dict[str, str]:
    return {"hovertemplate": f"{template}<extra></extra>"} if template else {"hoverinfo": "skip"}
