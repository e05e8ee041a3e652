"""What each remedy of the head gains, with its interval: overall, on the worst slice and the worst class."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.analysis.remedies import (
    GAINS,
    LOSES,
    TABLE,
    TEMPERATURE,
    TOO_FEW,
    compared_name,
    points_text,
    remedies_finding,
    tried,
)
from core.charts.chart import Chart
from core.charts.marks import dots, interval, name_rows
from core.charts.options import FigureOptions
from core.charts.shown_names import as_text
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.dataframes import numbers, words
from core.store import Study

NONE = "No remedy was tried."
FEW = " (too few to tell)"
OF_PARTS = (("worst_slice", "worst slice", "diamond-open"), ("worst_class", "worst class", "square-open"))
LINES, ABOVE_ROWS = 3, 130  # of the name of a pair with its gain; pixels of legend and axis
ABOVE = 0.22  # rows between the marks of one remedy


def remedy_gains(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot the change of accuracy by remedy, in points, with the paired 95 % intervals.

    Args:
        table: table `remedies`; temperature, which changes no answer, has no row.
    """
    rows = tried(table)
    rows = rows.loc[rows["remedy"].to_numpy(object) != TEMPERATURE].reset_index(drop=True)
    if rows.empty:
        return note_figure(NONE, theme)
    places, outcomes = np.arange(len(rows)), words(rows, "outcome")
    colours = [
        {GAINS: theme.correct, LOSES: theme.misclassified}.get(outcome, theme.muted) for outcome in outcomes
    ]
    gain, low, high = (100 * numbers(rows, name) for name in ("gain", "low", "high"))
    customdata = np.stack([numbers(rows, "mended"), numbers(rows, "broken")], axis=1)
    error_bars = interval(gain, low, high, colour=theme.muted, thickness=theme.stroke(2))
    marker = {"size": theme.stroke(10), "color": colours}
    overall = dots(
        gain,
        places,
        name="all images, with the paired 95 % interval",
        marker=marker,
        cliponaxis=False,
        error_x=error_bars,
        customdata=customdata,
        hover="%{x:+.1f} points: %{customdata[0]:,} mended, %{customdata[1]:,} broken",
    )
    fig = go.Figure([overall])
    for number, (column, name, symbol) in enumerate(OF_PARTS):
        part, begin, end = (100 * numbers(rows, f"{column}_{bound}") for bound in ("gain", "low", "high"))
        marker = {"symbol": symbol, "size": theme.stroke(7), "color": theme.neutral}
        error_bars = interval(part, begin, end, colour=theme.neutral, thickness=theme.stroke(1))
        heights = places + ABOVE * (1 + number)
        hover = f"{name}: %{{x:+.1f}} points"
        fig.add_trace(dots(part, heights, name=name, marker=marker, error_x=error_bars, hover=hover))
    fig.add_vline(x=0, line={"color": theme.muted, "width": theme.stroke(1), "dash": "dot"})
    fig.update_xaxes(title_text="Change of accuracy, in points", showgrid=True, nticks=7)
    name_rows(fig, [_row_name(row, theme) for row in rows.to_dict("records")], theme)
    height = ABOVE_ROWS + round(LINES * 1.3 * theme.font_size) * len(rows)
    return finish(fig, theme).update_layout(height=height)  # on paper, too: names have their lines


def _row_name(row: dict[str, Any], theme: Theme) -> str:
    """The remedy as markup, a part a line, and below it its gain with the interval, in points."""
    name = as_text(compared_name(row)).replace(" + ", " +<br>").replace(", ", ",<br>")
    few = FEW if row["outcome"] == TOO_FEW else ""
    return f'{name}<br><span style="color:{theme.muted}">{points_text(row)}{few}</span>'


def _table(study: Study, options: FigureOptions) -> pd.DataFrame:
    return study.table(TABLE)


REMEDIES = Chart(
    name="remedies",
    title="change of accuracy by remedy, with paired intervals",
    needs=(TABLE,),
    table=_table,
    draw=lambda table, _, theme: remedy_gains(table, theme=theme),
    finding=remedies_finding,
    alt=lambda _: "Change of accuracy by remedy with paired 95 % intervals, overall and where it was worst",
)
