"""The share of errors by cause, beside how often the same trial would explain a right image."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.marks import dots, interval, name_rows
from core.charts.options import FigureOptions
from core.charts.slice_rows import ROW
from core.charts.theme import LIGHT, PERCENT_AXIS, Theme, finish, note_figure
from core.common.dataframes import numbers, words
from core.errors import StudyError
from core.measures.cause_sentences import shares_sentence
from core.slices.why_wrong import NO_CAUSE, cause_name, tells_causes
from core.store import Study

NONE = "No error of these images was tried."


def error_causes(rates: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot the share of errors for which each cause holds, with Wilson's interval, and its false rate.

    Args:
        rates: table `cause_rates`.
    """
    if not len(rates) or not rates["n_errors"].max():
        return note_figure(NONE, theme)
    rates = _in_order(rates)
    share, low, high = (100 * numbers(rates, name) for name in ("share", "low", "high"))
    places = np.arange(len(rates))
    customdata = np.stack([numbers(rates, "n"), numbers(rates, "n_errors")], axis=1)
    error_bars = interval(share, low, high, colour=theme.muted, thickness=theme.stroke(2))
    marker = {"size": theme.stroke(10), "color": theme.misclassified}
    shares = dots(
        share,
        places,
        name="errors, with the 95 % interval",
        marker=marker,
        cliponaxis=False,
        error_x=error_bars,
        customdata=customdata,
        hover="%{customdata[0]:,} of %{customdata[1]:,} errors: %{x:.1f} %",
    )
    tick = {
        "symbol": "line-ns-open",
        "size": theme.stroke(12),
        "color": theme.correct,
        "line": {"width": theme.stroke(2)},
    }
    wrongly = dots(
        100 * numbers(rates, "false_rate_alike"),
        places,
        name="false rate: correct images with a similar margin of which the rule says the same",
        marker=tick,
        hover="%{x:.1f} % of correct images with a similar margin",
    )
    fig = go.Figure([shares, wrongly])
    fig.update_xaxes(title_text="Errors for which the cause holds", showgrid=True, **PERCENT_AXIS)
    reach = max(10.0, 1.08 * float(np.nanmax(high)))
    fig.update_xaxes(range=[-reach / 60, reach])  # a point at 0 covers no name
    name_rows(fig, [cause_name(cause) for cause in words(rates, "cause")], theme)
    return finish(fig, theme, height=130 + ROW * len(rates))


def _in_order(rates: pd.DataFrame) -> pd.DataFrame:
    """The causes that were tried, the most common first, then the errors that none explains."""
    is_none = rates["cause"].isin(NO_CAUSE).to_numpy()
    is_tried = (numbers(rates, "n_tried") > 0) | (is_none & (numbers(rates, "n") > 0))
    order = np.lexsort((-numbers(rates, "n"), is_none))
    return rates.iloc[order[is_tried[order]]].reset_index(drop=True)


def _table(study: Study, options: FigureOptions) -> pd.DataFrame:
    if not tells_causes(study):
        raise StudyError(f"the causes of the errors of '{study.path}' are those of another answer")
    return study.table("cause_rates")


ERROR_CAUSES = Chart(
    name="error_causes",
    title="share of errors by cause, beside the false rate",
    needs=("cause_rates",),
    table=_table,
    draw=lambda rates, _, theme: error_causes(rates, theme=theme),
    finding=shares_sentence,
    alt=lambda _: "Share of errors by cause with 95 % intervals, beside the false rate of each trial",
)
