"""Curves of scores that predict errors: ROC, precision-recall, and risk-coverage."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.marks import diagonal, line
from core.charts.options import FigureOptions
from core.charts.reading import known_score
from core.charts.theme import LIGHT, PERCENT_AXIS, Marks, Theme, finish, note_figure
from core.common.dataframes import numbers
from core.common.formatting import with_interval
from core.common.score_names import score_label
from core.common.statistics.chance import CHANCE, Standing, against_chance, outcomes, untold
from core.store import Study

CURVES = ("roc", "pr", "pr_error", "risk")
MEASURES = {  # kind of curve: measure, its base rate (None: 0.5), what it says
    "roc": ("auroc", None, "AUROC"),
    "pr": ("auprc_correct", "base_rate_correct", "AUPRC of correct images"),
    "pr_error": ("auprc_error", "base_rate_error", "AUPRC of errors"),
}
STANDINGS: dict[Standing, str] = {
    "above": "better than chance",
    "below": "worse than chance",
    "level": "as good as chance",
    "untold": "beside chance",  # more images than are resampled: no interval of AUPRC
}


def roc(curves: pd.DataFrame, metrics: pd.DataFrame, scores: list[str], *, theme: Theme = LIGHT) -> go.Figure:
    """Plot the ROC of scores as predictors of a correct classification, with the chance diagonal.

    Args:
        curves: table `quality_curves` (score, curve, x, y).
        metrics: table `quality_metrics`.
        scores: the first is drawn prominently, the others as thin lines.
    """
    fig, reason = _curve_figure(curves, metrics, scores, "roc", "auroc", "AUROC", theme)
    if reason:
        return note_figure(reason, theme)
    fig.add_trace(diagonal("chance: 0.500", theme))
    fig.update_xaxes(title_text="misclassified images scored above the threshold", **PERCENT_AXIS)
    fig.update_yaxes(title_text="correct images scored above it", **PERCENT_AXIS)
    return _legend_below(fig, theme)


def precision_recall(
    curves: pd.DataFrame,
    metrics: pd.DataFrame,
    scores: list[str],
    *,
    positive: str = "correct",
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot precision against recall, with the base rate of a random score as a line.

    Args:
        positive: `correct` (high scores first; the paper's numbers) or `error` (low scores first).
    """
    kind = {"correct": "pr", "error": "pr_error"}[positive]
    fig, reason = _curve_figure(curves, metrics, scores, kind, f"auprc_{positive}", "AUPRC", theme)
    if reason:
        return note_figure(reason, theme)
    base = metric_row(metrics, scores[0]).get(f"base_rate_{positive}", np.nan)
    word = {"correct": "correctly classified", "error": "misclassified"}[positive]
    if np.isfinite(base):
        text = f"base rate: {100 * base:.1f} % of the images are {word}"
        Marks(theme).horizontal(100 * base, text, below=base > 0.1).put_on(fig)  # the curve runs above it
    fig.update_xaxes(title_text=f"recall: {word} images found", **PERCENT_AXIS)
    fig.update_yaxes(title_text=f"precision: {word} among the found", **PERCENT_AXIS)
    return _legend_below(fig, theme)


def risk_coverage(
    curves: pd.DataFrame, metrics: pd.DataFrame, scores: list[str], *, theme: Theme = LIGHT
) -> go.Figure:
    """Plot the error rate of the kept images against their share, best scores first."""
    fig, reason = _curve_figure(curves, metrics, scores, "risk", "aurc", "AURC", theme)
    if reason:
        return note_figure(reason, theme)
    base = metric_row(metrics, scores[0]).get("base_rate_error", np.nan)
    if np.isfinite(base):
        text = f"keeping all, or keeping at random: {100 * base:.1f} % errors"
        Marks(theme).horizontal(100 * base, text).put_on(fig)
    fig.update_xaxes(title_text="coverage: images kept, best score first", **PERCENT_AXIS)
    fig.update_yaxes(title_text="risk: errors among the kept", ticksuffix=" %", rangemode="tozero")
    return _legend_below(fig, theme)


def _curve_figure(
    curves: pd.DataFrame,
    metrics: pd.DataFrame,
    scores: list[str],
    kind: str,
    metric: str,
    metric_name: str,
    theme: Theme,
) -> tuple[go.Figure, str]:
    fig = go.Figure()
    of_kind = curves.loc[curves["curve"] == kind]
    others = iter([theme.upper, theme.accent, theme.discriminative])
    for position, score in enumerate(scores):
        points, row = of_kind.loc[of_kind["score"] == score], metric_row(metrics, score)
        if row and len(points):
            strong = position == 0
            colour = theme.correct if strong else next(others, theme.neutral)
            legend = f"{score_label(score)}: {metric_name} {metric_with_interval(row, metric)}"
            fig.add_trace(
                _curve_trace(points, legend, score_label(score), colour, theme.stroke(3 if strong else 1.5))
            )
    return fig, "" if len(list(fig.data)) else _why_none(metrics, scores[0])


def _curve_trace(points: pd.DataFrame, legend: str, name: str, colour: str, stroke: float) -> go.Scatter:
    x, y = (100 * numbers(points, axis) for axis in "xy")
    hover = f"<b>{name}</b><br>%{{xaxis.title.text}}: %{{x:.1f}} %<br>%{{yaxis.title.text}}: %{{y:.1f}} %"
    return line(x, y, colour=colour, width=stroke, hover=hover, name=legend)


def metric_row(metrics: pd.DataFrame, score: str) -> dict[str, Any]:
    """Return the row of a score in `quality_metrics` as a dict; empty if it has none."""
    rows = metrics.loc[metrics["score"] == score]
    return dict(rows.iloc[0]) if len(rows) else {}


def _why_none(metrics: pd.DataFrame, score: str) -> str:
    note = metric_row(metrics, score).get("note")
    return (
        note if isinstance(note, str) and note else f"{score_label(score)} has no such curve in this study."
    )


def metric_with_interval(row: dict[str, Any], metric: str) -> str:
    """`0.612 (0.590 to 0.634)`; the number alone without an interval."""
    value, low, high = (float(row.get(f"{metric}{end}", np.nan)) for end in ("", "_low", "_high"))
    return with_interval(value, low, high)


def _legend_below(fig: go.Figure, theme: Theme) -> go.Figure:
    finish(fig, theme, height=430)
    fig.update_layout(legend={"y": 1.02, "yanchor": "bottom"}, margin_t=52, showlegend=True)
    return fig


def curve_finding(metrics: pd.DataFrame, score: str, kind: str) -> str:
    """State what the curve of a score says: its measure, and whether that is better than chance.

    Args:
        metrics: rows of `quality_metrics`. kind: roc, pr, pr_error or risk.
    """
    row = metrics.loc[metrics["score"] == score]
    label = score_label(score)
    if row.empty or not np.isfinite(numbers(row, "auroc")).any():
        return f"{label}: not defined on these images"
    n_wrong, n_right = outcomes(row.iloc[0].to_dict())
    if few := untold(n_wrong, n_right):
        return f"{label}: what it is worth {few}"
    if kind == "risk":
        error = numbers(row, "base_rate_error")[0]
        value, low, high = (numbers(row, name)[0] for name in ("aurc", "aurc_low", "aurc_high"))
        better = "better" if high < error else "worse" if low > error else "no better"
        return f"{label}: mean risk {value:.2f}, {better} than leaving images out at random ({error:.2f})"
    column, base, name = MEASURES[kind]
    chance = CHANCE if base is None else numbers(row, base)[0]
    value, low, high = (numbers(row, f"{column}{end}")[0] for end in ("", "_low", "_high"))
    standing = STANDINGS[against_chance(low, high, n_wrong, n_right, chance=chance)]
    return f"{label}: {name} {value:.2f}, {standing} ({chance:.2f})"


class Curves(NamedTuple):
    """Curves of one kind: `frame` are rows of `quality_curves`; the first score is drawn prominently."""

    frame: pd.DataFrame
    metrics: pd.DataFrame
    scores: list[str]
    kind: str


def _curves(name: str, title: str, kind: str, draw: Callable[..., go.Figure], **more: str) -> Chart:
    """Make the chart of a kind of curve."""

    def table(study: Study, options: FigureOptions) -> Curves:
        held = study.table("quality")
        scores = [known_score(held, score) for score in (options.score, *options.against)]
        points = study.table("quality_curves")
        points = points.loc[(points["curve"] == kind) & points["score"].isin(scores).to_numpy()]
        return Curves(points, study.table("quality_metrics"), scores, kind)

    return Chart(
        name=name,
        title=title,
        needs=("probe", "quality", "quality_metrics", "quality_curves"),
        table=table,
        draw=lambda data, _, theme: draw(*data[:3], **more, theme=theme),
        finding=lambda data: curve_finding(data.metrics, data.scores[0], kind),
        alt=lambda data: f"{PLOTS[kind]} of {', '.join(map(score_label, data.scores))}",
    )


PLOTS = {"roc": "ROC", "pr": "Precision-recall", "pr_error": "Finding errors", "risk": "Risk-coverage"}
ROC = _curves("roc", "ROC of Q (--score)", "roc", roc)
PRECISION_RECALL = _curves(
    "precision_recall", "precision and recall of correct images", "pr", precision_recall
)
FINDING_ERRORS = _curves(
    "finding_errors", "precision and recall of errors", "pr_error", precision_recall, positive="error"
)
RISK_COVERAGE = _curves("risk_coverage", "errors among the images kept", "risk", risk_coverage)
