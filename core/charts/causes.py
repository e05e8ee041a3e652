"""Charts of causes: the share of errors by cause, and for which cause a score works."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.marks import cells, dots, interval, name_rows
from core.charts.options import FigureOptions
from core.charts.shared_rows import ROW
from core.charts.shown_names import as_text
from core.charts.theme import LIGHT, PERCENT_AXIS, Theme, finish, note_figure
from core.common.dataframes import numbers, words
from core.common.records import Templates
from core.common.score_names import score_label
from core.errors import StudyError
from core.measures.image_columns import NO_CAUSE, cause_name, tells_causes
from core.pictures.cause_words import shares_sentence
from core.store import Study

# The share of errors by cause, beside how often the same trial would explain a right image.


_say = Templates.beside(__file__)
NONE = "No error of these images was tried."


def error_causes(rates: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot the share of errors for which each cause holds, with Wilson's interval, and its false rate.

    Args:
        rates: table `cause_rates`.
    """
    if not len(rates) or not numbers(rates, "n_errors").max():
        return note_figure(NONE, theme)
    rates = _in_order(rates)
    n_judged = numbers(rates, "n_errors") - numbers(rates, "n_too_few")
    share, low, high = (100 * numbers(rates, name) for name in ("share", "low", "high"))
    places = np.arange(len(rates))
    customdata = np.stack([numbers(rates, "n"), n_judged], axis=1)
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
        hover="%{customdata[0]:,} of %{customdata[1]:,} judged errors: %{x:.1f} %",
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
    fig.update_xaxes(title_text="Judged errors for which the cause holds", showgrid=True, **PERCENT_AXIS)
    reach = max(10.0, 1.08 * float(np.nanmax(high)))
    fig.update_xaxes(range=[-reach / 60, reach])  # a point at 0 covers no name
    names = [
        f"{cause_name(cause)} ({n:,.0f} of {of:,.0f})"
        for cause, (n, of) in zip(words(rates, "cause"), customdata, strict=True)
    ]
    name_rows(fig, names, theme)
    return finish(fig, theme, height=130 + ROW * len(rates))


def _in_order(rates: pd.DataFrame) -> pd.DataFrame:
    """The causes that were judged of any error, the most common first, then the errors that none explains."""
    is_none = rates["cause"].isin(NO_CAUSE).to_numpy()
    is_tried = (numbers(rates, "n_tried") > 0) & np.isfinite(numbers(rates, "share"))
    is_tried |= is_none & (numbers(rates, "n") > 0)
    order = np.lexsort((-numbers(rates, "n"), is_none))
    return rates.iloc[order[is_tried[order]]].reset_index(drop=True)


def _causes_table(study: Study, options: FigureOptions) -> pd.DataFrame:
    if not tells_causes(study):
        raise StudyError(f"the causes of the errors of '{study.path}' are those of another answer")
    return study.table("cause_rates")


ERROR_CAUSES = Chart(
    name="error_causes",
    title="share of errors by cause, beside the false rate",
    needs=("cause_rates",),
    table=_causes_table,
    draw=lambda rates, _, theme: error_causes(rates, theme=theme),
    finding=shares_sentence,
    alt=lambda _: "Share of errors by cause with 95 % intervals, beside the false rate of each trial",
)


# For which cause of failure a score works: a row a score, a column a cause, the best score first.


NARROW_GRID = 500  # CSS px of a figure; in a narrower one the causes stand upright, and texts are smaller


def by_cause(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot AUROC of each score for failures of one cause against correct images; blue works, orange misleads.

    Args:
        table: table `quality_by_cause` (cause, score, n_errors, auroc, low, high).
    """
    if not np.isfinite(numbers(table, "auroc")).any():
        return note_figure("No cause of failure has enough misclassified images.", theme)
    means = table.groupby("score", as_index=False).agg({"auroc": "mean"})
    scores = words(means.sort_values(["auroc", "score"], ascending=[False, True]), "score")
    counts = dict(zip(words(table, "cause"), numbers(table, "n_errors"), strict=True))
    causes = sorted(counts, key=lambda cause: -counts[cause])
    grid = {name: _scores_by_cause(table, name, causes, scores) for name in ("auroc", "low", "high")}
    narrow = theme.width is not None and theme.width < NARROW_GRID
    small = theme.font_size - (3 if narrow else 1)
    text = [["" if np.isnan(value) else f"{value:.2f}" for value in row] for row in grid["auroc"]]
    apart = "  " if narrow else "<br>"
    colour_bar = {
        "title": {"text": "AUROC", "font": {"size": theme.font_size}},
        "tickfont": {"size": theme.font_size - 1},
        "tickvals": [0, 0.5, 1],
    }
    titles = [f"{as_text(cause)}{apart}n = {counts[cause]:,.0f}" for cause in causes]
    labels = [score_label(score) for score in scores]
    scale = _diverging(theme)
    customdata = np.dstack([grid["low"], grid["high"]])
    textfont = {"color": theme.ink, "size": small}
    auroc = grid["auroc"]
    auroc_cells = cells(
        auroc,
        titles,
        labels,
        scale=scale,
        bar=colour_bar,
        hover="<b>%{y}</b><br>failures by %{x}<br>AUROC %{z:.3f} "
        "(%{customdata[0]:.3f} to %{customdata[1]:.3f})",
        text=text,
        textfont=textfont,
        customdata=customdata,
        zmin=0,
        zmax=1,
    )
    fig = go.Figure(auroc_cells)
    names = {"ticks": "", "tickfont": {"color": theme.ink, "size": small if narrow else theme.font_size}}
    fig.update_xaxes(side="top", tickangle=-90 if narrow else 0, showline=False, **names)
    fig.update_yaxes(autorange="reversed", showgrid=False, dtick=1, **names)
    return finish(fig, theme, height=100 + 24 * len(scores))


def _scores_by_cause(table: pd.DataFrame, column: str, causes: list[str], scores: list[str]) -> np.ndarray:
    wide = table.pivot(index="score", columns="cause", values=column)
    return wide.reindex(index=scores, columns=causes).to_numpy(np.float64)


def _diverging(theme: Theme) -> list[list]:
    """Orange to blue, never so strong that text on it becomes illegible."""
    on_dark, on_light = ("#9A4D1B", "#2A3542", "#1C6BA0"), ("#F0A468", "#F4F5F7", "#7CBDE8")
    return [list(stop) for stop in zip((0, 0.5, 1), on_dark if theme.is_dark else on_light, strict=True)]


def _score_finding(table: pd.DataFrame) -> str:
    """Name the score and the cause with the highest AUROC."""
    if not np.isfinite(numbers(table, "auroc")).any():
        return ""
    best = table.loc[table["auroc"].idxmax()]
    return _say(
        "best", what=score_label(str(best["score"])), why=str(best["cause"]), value=float(best["auroc"])
    )


def _draw_by_cause(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
    return by_cause(table, theme=theme)


BY_CAUSE = Chart(
    name="by_cause",
    title="for which cause of failure a score works",
    needs=("quality_by_cause",),
    table=lambda study, _: study.table("quality_by_cause"),
    draw=_draw_by_cause,
    finding=_score_finding,
    alt=lambda _: "AUROC of each score by cause of failure",
    column="double",
)
