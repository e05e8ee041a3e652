"""Curves of scores that predict errors: ROC, precision-recall, and risk-coverage."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, known_score
from core.charts.marks import diagonal, line
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, PERCENT_AXIS, Marks, Theme, finish, note_figure, traces_of
from core.common.dataframes import numbers
from core.common.formatting import with_interval
from core.common.records import Templates
from core.common.score_names import score_label
from core.measures.chance import CHANCE, Standing, against_chance, outcomes, too_few_outcomes
from core.store import Study

_say = Templates.beside(__file__)


@dataclass(frozen=True)
class CurveKind:
    """A kind of curve: its measure (a column of `quality_metrics`) as the legend and the finding call it.

    Attributes:
        base: column of the base rate, what guessing gives; "": the diagonal. guess: that line in words.
    """

    plot: str
    measure: str
    short: str
    says: str
    x: str
    y: str
    base: str = ""
    guess: str = ""


KINDS = {
    "roc": CurveKind(
        *("ROC", "auroc", "AUROC", "AUROC"),
        *("misclassified images scored above the threshold", "correct images scored above it"),
    ),
    "pr": CurveKind(
        *("Precision-recall", "auprc_correct", "AUPRC", "AUPRC of correct images"),
        *("recall: correctly classified images found", "precision: correctly classified among the found"),
        *("base_rate_correct", "base rate: {:.1f} % of the images are correctly classified"),
    ),
    "pr_error": CurveKind(
        *("Finding errors", "auprc_error", "AUPRC", "AUPRC of errors"),
        *("recall: misclassified images found", "precision: misclassified among the found"),
        *("base_rate_error", "base rate: {:.1f} % of the images are misclassified"),
    ),
    "risk": CurveKind(
        *("Risk-coverage", "aurc", "AURC", "mean risk"),
        *("coverage: images kept, best score first", "risk: errors among the kept"),
        *("base_rate_error", "keeping all, or keeping at random: {:.1f} % errors"),
    ),
}
STANDINGS: dict[Standing, str] = {
    "above": "better than chance",
    "below": "worse than chance",
    "level": "as good as chance",
    "too_few": "beside chance",
}
RISKS: dict[Standing, str] = {
    "above": "better than leaving images out at random",
    "below": "worse than leaving images out at random",
    "level": "no better than leaving images out at random",
    "too_few": "beside leaving images out at random",
}


def score_curve(
    curves: pd.DataFrame, metrics: pd.DataFrame, scores: list[str], kind: str, *, theme: Theme = LIGHT
) -> go.Figure:
    """Plot a curve of scores as predictors of errors, with what guessing gives.

    Args:
        curves: table `quality_curves` (score, curve, x, y). metrics: table `quality_metrics`.
        scores: the first is drawn prominently, the others as thin lines.
        kind: roc; pr, of correct images, high scores first (the paper's numbers); pr_error, of errors, low
            scores first; risk: the error rate of the images kept, best scores first.
    """
    about, fig = KINDS[kind], go.Figure()
    of_kind = curves.loc[curves["curve"] == kind]
    others = iter([theme.upper, theme.accent, theme.discriminative])
    for position, score in enumerate(scores):
        points, row = of_kind.loc[of_kind["score"] == score], _metric_row(metrics, score)
        if row and len(points):
            strong = position == 0
            colour = theme.correct if strong else next(others, theme.neutral)
            legend = f"{score_label(score)}: {about.short} {metric_with_interval(row, about.measure)}"
            hover = (
                f"<b>{score_label(score)}</b><br>%{{xaxis.title.text}}: %{{x:.1f}} %<br>"
                "%{yaxis.title.text}: %{y:.1f} %"
            )
            x, y = (100 * numbers(points, axis) for axis in "xy")
            stroke = theme.stroke(3 if strong else 1.5)
            fig.add_trace(line(x, y, colour=colour, width=stroke, hover=hover, name=legend))
    if not traces_of(fig):
        return note_figure(_why_none(metrics, scores[0]), theme)
    base = _metric_row(metrics, scores[0]).get(about.base, np.nan)
    if not about.base:
        fig.add_trace(diagonal("chance: 0.500", theme))
    elif np.isfinite(base):
        below = kind != "risk" and base > 0.1  # the curve runs above it
        Marks(theme).horizontal(100 * base, about.guess.format(100 * base), below=below).put_on(fig)
    fig.update_xaxes(title_text=about.x, **PERCENT_AXIS)
    reach: dict[str, Any] = {"ticksuffix": " %", "rangemode": "tozero"} if kind == "risk" else PERCENT_AXIS
    fig.update_yaxes(title_text=about.y, **reach)
    finish(fig, theme, height=430)
    return fig.update_layout(legend={"y": 1.02, "yanchor": "bottom"}, margin_t=52, showlegend=True)


def _metric_row(metrics: pd.DataFrame, score: str) -> dict[str, Any]:
    """Return the row of a chart's score in `quality_metrics` as a dict; empty if it has none."""
    rows = metrics.loc[metrics["score"] == score]
    return dict(rows.iloc[0]) if len(rows) else {}


def _why_none(metrics: pd.DataFrame, score: str) -> str:
    note = _metric_row(metrics, score).get("note")
    return note if isinstance(note, str) and note else _say("no_curve", what=score_label(score))


def metric_with_interval(row: dict[str, Any], metric: str) -> str:
    """Write a chart's measure of a score: `0.612 (0.590 to 0.634)`; without an interval the number."""
    value, low, high = (float(row.get(f"{metric}{end}", np.nan)) for end in ("", "_low", "_high"))
    return with_interval(value, low, high)


def curve_finding(metrics: pd.DataFrame, score: str, kind: str) -> str:
    """State below a chart what a score's curve says: its measure, and whether it is better than chance.

    The interval of the AUROC tells that of every measure: a score without skill is at chance by each, and the
    base rates of the others vary with the images.

    Args:
        metrics: rows of `quality_metrics`. kind: roc, pr, pr_error or risk.
    """
    row = metrics.loc[metrics["score"] == score]
    label = score_label(score)
    if row.empty or not np.isfinite(numbers(row, "auroc")).any():
        return _say("undefined", what=label)
    n_wrong, n_right = outcomes(row.iloc[0].to_dict())
    if few := too_few_outcomes(n_wrong, n_right):
        return _say("too_few", what=label, why=few)
    about = KINDS[kind]
    chance = numbers(row, about.base)[0] if about.base else CHANCE
    value, low, high = (numbers(row, name)[0] for name in (about.measure, "auroc_low", "auroc_high"))
    standing = against_chance(low, high, n_wrong, n_right)
    gain = chance - value if kind == "risk" else value - chance
    if (standing == "above" and gain <= 0) or (standing == "below" and gain >= 0):
        standing = "level"
    phrase = (RISKS if kind == "risk" else STANDINGS)[standing]
    return _say("standing", what=label, why=about.says, value=value, names=(phrase,), chance=chance)


class Curves(NamedTuple):
    """Curves of one kind: `frame` are rows of `quality_curves`; the first score is drawn prominently."""

    frame: pd.DataFrame
    metrics: pd.DataFrame
    scores: list[str]
    kind: str


def _curves(name: str, title: str, kind: str) -> Chart:
    """Make the chart of a kind of curve."""

    def table(study: Study, options: FigureOptions) -> Curves:
        table = study.kept("quality")
        scores = [known_score(table, score) for score in (options.score, *options.against)]
        points = study.table("quality_curves")
        points = points.loc[(points["curve"] == kind) & points["score"].isin(scores).to_numpy()]
        return Curves(points, study.table("quality_metrics"), scores, kind)

    return Chart(
        name=name,
        title=title,
        needs=("probe", "quality", "quality_metrics", "quality_curves"),
        table=table,
        draw=_draw,
        finding=_finding,
        alt=_alt,
    )


def _draw(data: Curves, options: FigureOptions, theme: Theme) -> go.Figure:
    return score_curve(*data, theme=theme)


def _finding(data: Curves) -> str:
    return curve_finding(data.metrics, data.scores[0], data.kind)


def _alt(data: Curves) -> str:
    return f"{KINDS[data.kind].plot} of {', '.join(map(score_label, data.scores))}"


ROC = _curves("roc", "ROC of Q (--score)", "roc")
PRECISION_RECALL = _curves("precision_recall", "precision and recall of correct images", "pr")
FINDING_ERRORS = _curves("finding_errors", "precision and recall of errors", "pr_error")
RISK_COVERAGE = _curves("risk_coverage", "errors among the images kept", "risk")
