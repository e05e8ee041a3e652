"""For which cause of failure a score works: a row a score, a column a cause, the best score first."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.marks import cells
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.dataframes import as_text, numbers, words
from core.common.score_names import score_label

NARROW = 500  # CSS px of a figure; in a narrower one the causes stand upright, and texts are smaller


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
    grid = {name: _grid(table, name, causes, scores) for name in ("auroc", "low", "high")}
    narrow = theme.width is not None and theme.width < NARROW
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


def _grid(table: pd.DataFrame, column: str, causes: list[str], scores: list[str]) -> np.ndarray:
    wide = table.pivot(index="score", columns="cause", values=column)
    return wide.reindex(index=scores, columns=causes).to_numpy(np.float64)


def _diverging(theme: Theme) -> list[list]:
    """Orange to blue, never so strong that text on it becomes illegible."""
    on_dark, on_light = ("#9A4D1B", "#2A3542", "#1C6BA0"), ("#F0A468", "#F4F5F7", "#7CBDE8")
    return [list(stop) for stop in zip((0, 0.5, 1), on_dark if theme.is_dark else on_light, strict=True)]


def _finding(table: pd.DataFrame) -> str:
    """Name the score and the cause with the highest AUROC."""
    if not np.isfinite(numbers(table, "auroc")).any():
        return ""
    best = table.loc[table["auroc"].idxmax()]
    return (
        "AUROC between the errors of one cause and the correct images. Highest: "
        f"{score_label(str(best['score']))} on {best['cause']} ({best['auroc']:.2f})."
    )


def _draw(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
    return by_cause(table, theme=theme)


BY_CAUSE = Chart(
    name="by_cause",
    title="for which cause of failure a score works",
    needs=("quality_by_cause",),
    table=lambda study, _: study.table("quality_by_cause"),
    draw=_draw,
    finding=_finding,
    alt=lambda _: "AUROC of each score by cause of failure",
    column="double",
)
