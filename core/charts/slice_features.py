"""Figures about the features of a slice: how often each fires there and elsewhere."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.marks import dots, points_kind
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure
from core.common.dataframes import as_text, numbers, words

MOST_NAMED, MOST_COVERED = 12, 1
NAME_HEIGHT, NAME_WIDTH = 0.045, 0.2  # of a point's name, in shares of the axes
NEVER = "None of these features fires on these images."


def rates_against(
    features: pd.DataFrame, *, here: str, elsewhere: str, q_below: float = 0.05, theme: Theme = LIGHT
) -> go.Figure:
    """Plot how often each feature fires on the images of a slice against how often on others.

    Points above the diagonal fire more often in the slice; those with a q below `q_below` are coloured.

    Args:
        features: feature, name, rate, rate_against, difference, q. here, elsewhere: names of the two sides.
    Returns:
        a figure whose points carry customdata[0] = feature.
    """
    drawn = np.isfinite(numbers(features, "difference"))
    drawn &= (numbers(features, "rate") > 0) | (numbers(features, "rate_against") > 0)
    rows = features.loc[drawn]
    if rows.empty:
        return note_figure(NEVER, theme)
    x, y = 100 * numbers(rows, "rate_against"), 100 * numbers(rows, "rate")
    difference, sure = numbers(rows, "difference"), numbers(rows, "q") < q_below
    unsure = ~sure
    more_often = sure & (difference > 0)
    less_often = sure & (difference < 0)
    kinds = {
        "could be chance": (unsure, theme.neutral),
        f"more often on {here}": (more_often, theme.discriminative),
        f"less often on {here}": (less_often, theme.misclassified),
    }
    fig = go.Figure()
    for name, (part, colour) in kinds.items():
        if part.any():
            points = _points(rows.loc[part], x[part], y[part], name, colour, (here, elsewhere), theme)
            fig.add_trace(points)
    reach = 1.15 * float(x.max()) or 1.0, 1.06 * float(y.max()) or 1.0
    marks = Marks(theme)
    line = {"color": theme.neutral, "dash": "dot", "width": 1}
    end = min(reach)
    marks.shapes.append(
        {"type": "line", "line": line, "layer": "below", "x0": 0, "y0": 0, "x1": end, "y1": end}
    )
    for at, left in _apart(x / reach[0], y / reach[1], np.flatnonzero(sure & (difference > 0))):
        number, name = f"#{int(rows['feature'].iat[at])}", as_text(words(rows, "name")[at])
        beside = {"xanchor": "right", "xshift": -8} if left else {"xanchor": "left", "xshift": 8}
        marks.note(f"{name} {number}".strip(), x=float(x[at]), y=float(y[at]), **beside)
    marks.put_on(fig)
    fig.update_xaxes(title_text=f"share of {as_text(elsewhere)}", range=[-0.02 * reach[0], reach[0]])
    fig.update_yaxes(title_text=f"share of {as_text(here)}", range=[-0.02 * reach[1], reach[1]])
    fig.update_xaxes(ticksuffix=" %").update_yaxes(ticksuffix=" %")
    fig.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    return finish(fig, theme, height=480)


def _apart(x: np.ndarray, y: np.ndarray, places: np.ndarray) -> list[tuple[int, bool]]:
    """Choose the points whose names can be written beside them, highest first.

    A name stands right of its point, or left where it covers fewer points there. It overlaps no other name,
    and covers at most `MOST_COVERED` points.

    Args:
        x, y: (n,) in [0, 1] of the axes. places: the points that may be named.
    Returns:
        the points, and whether the name stands left.
    """
    named, taken = [], []
    for at in places[np.argsort(-y[places], kind="stable")].tolist():
        near = np.abs(y - y[at]) < NAME_HEIGHT / 2
        beside = [span for height, span in taken if abs(y[at] - height) <= NAME_HEIGHT]
        sides = []
        for left, start in ((False, x[at]), (True, x[at] - NAME_WIDTH)):
            end = start + NAME_WIDTH
            if start >= 0 and all(end <= other[0] or start >= other[1] for other in beside):
                covers = near & (x > start) & (x < end) & (x != x[at])
                covered = int(np.count_nonzero(covers))
                sides.append((covered, left, (start, end)))
        if sides and len(named) < MOST_NAMED and min(sides)[0] <= MOST_COVERED:
            named.append((at, min(sides)[1]))
            taken.append((y[at], min(sides)[2]))
    return named


def _points(
    rows: pd.DataFrame,
    x: np.ndarray,
    y: np.ndarray,
    name: str,
    colour: str,
    sides: tuple[str, str],
    theme: Theme,
) -> go.Scatter | go.Scattergl:
    here, elsewhere = map(as_text, sides)
    data = np.empty((len(rows), 2), object)
    data[:, 0] = rows["feature"].to_numpy(np.int64)
    data[:, 1] = [as_text(words) for words in words(rows, "name")]
    marker = {"color": colour, "size": theme.stroke(8), "opacity": 0.85}
    unselected = {"marker": {"opacity": 0.85}}
    kind = points_kind(len(rows))
    return dots(
        x,
        y,
        kind=kind,
        name=as_text(name),
        marker=marker,
        unselected=unselected,
        customdata=data,
        hover="<b>#%{customdata[0]}</b> %{customdata[1]}<br>"
        f"{here}: %{{y:.1f}} %<br>{elsewhere}: %{{x:.1f}} %",
    )
