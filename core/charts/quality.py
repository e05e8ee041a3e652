"""Figures of one quality score: its distribution, ROC, precision-recall, risk-coverage, and a cut-off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.theme import LIGHT, PERCENT_AXIS, USUAL_HEIGHT, Marks, Theme, finish, note_figure, tint
from core.common.dataframes import equals, numbers, where
from core.common.formatting import with_interval
from core.common.score_names import SCORES, score_label

CURVES = ("roc", "pr", "pr_error", "risk")
MOST_BINS = 25  # more would show the noise of a thousand images
TICKS = 6


def score_histogram(
    values: np.ndarray,
    correct: np.ndarray | None,
    *,
    n_bins: int = MOST_BINS,
    whole: bool = False,
    drop_zero: bool = False,
) -> pd.DataFrame:
    """Compute binned counts of a score, separately for correct and misclassified images.

    Args:
        values: (n_images,) scores; NaN is left out.
        correct: (n_images,) 1 correct, 0 misclassified, NaN unknown; None without labels.
        n_bins: number of equal bins (at most this many for whole numbers).
        whole: bins hold whole numbers.
        drop_zero: leave out images with a score of exactly 0; `zero_mass` counts them.
    Returns:
        columns left, right, all, correct, misclassified (counts); empty if no image remains.
    """
    values, outcome = _finite(values, correct)
    if drop_zero:
        values, outcome = values[values != 0], outcome[values != 0]
    if not len(values):
        return pd.DataFrame(columns=["left", "right", "all", "correct", "misclassified"])
    edges = _whole_edges(values, n_bins) if whole else _even_edges(values, n_bins)
    count = {
        "all": np.histogram(values, edges)[0],
        "correct": np.histogram(values[outcome == 1], edges)[0],
        "misclassified": np.histogram(values[outcome == 0], edges)[0],
    }
    return pd.DataFrame({"left": edges[:-1], "right": edges[1:], **count})


def zero_mass(values: np.ndarray, correct: np.ndarray | None) -> dict[str, tuple[int, int]]:
    """Count images with a score of exactly 0, as (zero, total) for `all`, `correct` and `misclassified`."""
    values, outcome = _finite(values, correct)
    groups = {"all": np.ones(len(values), bool), "correct": outcome == 1, "misclassified": outcome == 0}
    return {name: (int((values[mask] == 0).sum()), int(mask.sum())) for name, mask in groups.items()}


def score_distribution(
    histogram: pd.DataFrame,
    *,
    score: str,
    zero: dict[str, tuple[int, int]] | None = None,
    cutoff: float | None = None,
    height: int = USUAL_HEIGHT,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot the distribution of a score for correct and misclassified images, each as a share of its group.

    Args:
        histogram: from `score_histogram`.
        zero: from `zero_mass`, if images with score 0 are not in `histogram`; drawn as a first column apart.
        cutoff: value at which to draw a cut-off line.
    """
    if histogram.empty:
        return note_figure(
            f"{score_label(score)} is 0 or undefined for every image: there is nothing to draw.", theme
        )
    split = bool(numbers(histogram, "correct").any() or numbers(histogram, "misclassified").any())
    groups = ("correct", "misclassified") if split else ("all",)
    colours = {"correct": theme.correct, "misclassified": theme.misclassified, "all": theme.correct}
    fig = go.Figure()
    for group in groups:
        total = zero[group][1] if zero else int(numbers(histogram, group).sum())
        _add_steps(fig, histogram, group, total, colours[group], theme.stroke(2))
    fig.update_xaxes(title_text=score_label(score))
    if zero and zero["all"][0]:
        _add_zero_column(fig, histogram, {group: zero[group] for group in groups}, colours, score)
    if cutoff is not None and np.isfinite(cutoff):
        marks = Marks(theme)
        first = float(numbers(histogram, "left")[0])
        at = cutoff if not zero or cutoff >= first else _zero_place(histogram) + 1.25 * _bin_width(histogram)
        marks.vertical(at, "cut-off", top=True, solid=True)
        marks.put_on(fig)
    fig.update_yaxes(
        title_text="share of each group" if split else "share of the images",
        ticksuffix=" %",
        rangemode="tozero",
    )
    return finish(fig, theme, height=height)


def _bin_width(histogram: pd.DataFrame) -> float:
    return float(numbers(histogram, "right")[0] - numbers(histogram, "left")[0])


def _zero_place(histogram: pd.DataFrame) -> float:
    """Where the column of the zeros stands: left of the first bin, with a gap."""
    return float(numbers(histogram, "left")[0]) - 2.5 * _bin_width(histogram)


def _add_zero_column(
    fig: go.Figure,
    histogram: pd.DataFrame,
    zero: dict[str, tuple[int, int]],
    colours: dict[str, str],
    score: str,
) -> None:
    """Draw the images with a score of exactly 0 as bars side by side, apart from the bins."""
    place, wide = _zero_place(histogram), 1.6 * _bin_width(histogram) / len(zero)
    why = SCORES[score].zero_means if score in SCORES else ""
    for at, (group, (n, total)) in enumerate(zero.items()):
        share = 100 * n / total if total else 0.0
        name = "all images" if group == "all" else group
        fig.add_trace(
            go.Bar(
                x=[place + (at - (len(zero) - 1) / 2) * wide],
                y=[share],
                width=wide,
                marker={"color": tint(colours[group], 0.45), "line": {"color": colours[group], "width": 2}},
                name=f"{name}, exactly 0",
                showlegend=False,
                hovertemplate=f"{name}: {share:.1f} % ({n:,} images) have exactly 0"
                f"{f': {why}' if why else ''}<extra></extra>",
            )
        )
    values = _round_numbers(float(numbers(histogram, "left")[0]), float(numbers(histogram, "right")[-1]))
    fig.update_xaxes(tickvals=[place, *values], ticktext=["exactly 0", *(f"{value:g}" for value in values)])


def _round_numbers(low: float, high: float) -> list[float]:
    """Return about TICKS round numbers between two ends."""
    rough = (high - low) / TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [float(f"{at * step:.6g}") for at in range(int(np.ceil(low / step)), int(high / step) + 1)]


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
    fig.add_trace(
        go.Scatter(
            x=[0, 100],
            y=[0, 100],
            mode="lines",
            name="chance: 0.500",
            hoverinfo="skip",
            line={"color": theme.neutral, "dash": "dot", "width": 1.5},
        )
    )
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
        positive: `correct` (high scores first; [Q]'s numbers) or `error` (low scores first).
    """
    kind = {"correct": "pr", "error": "pr_error"}[positive]
    fig, reason = _curve_figure(curves, metrics, scores, kind, f"auprc_{positive}", "AUPRC", theme)
    if reason:
        return note_figure(reason, theme)
    base = metric_row(metrics, scores[0]).get(f"base_rate_{positive}", np.nan)
    word = {"correct": "correctly classified", "error": "misclassified"}[positive]
    if np.isfinite(base):
        text = f"base rate: {100 * base:.1f} % of the images are {word}"
        _reference(fig, theme, 100 * base, text, below=base > 0.1)  # the curve runs above it
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
        _reference(fig, theme, 100 * base, text)
    fig.update_xaxes(title_text="coverage: images kept, best score first", **PERCENT_AXIS)
    fig.update_yaxes(title_text="risk: errors among the kept", ticksuffix=" %", rangemode="tozero")
    return _legend_below(fig, theme)


def _finite(values: np.ndarray, correct: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(values, float)
    outcome = np.full(len(values), np.nan) if correct is None else np.asarray(correct, float)
    keep = np.isfinite(values)
    return values[keep], outcome[keep]


def _even_edges(values: np.ndarray, n_bins: int) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, n_bins + 1)


def _whole_edges(values: np.ndarray, n_bins: int) -> np.ndarray:
    low, high = int(values.min()), int(values.max())
    step = -(-(high - low + 1) // n_bins)
    return np.arange(low, high + step + 1, step) - 0.5


def _add_steps(
    fig: go.Figure, histogram: pd.DataFrame, group: str, total: int, colour: str, stroke: float
) -> None:
    """Draw the outline of the bins; an empty bin at either end closes it."""
    wide = _bin_width(histogram)
    left, right, count = (numbers(histogram, name) for name in ("left", "right", group))
    left = np.concatenate([[left[0] - wide], left, [right[-1]]])
    right = np.concatenate([[right[0] - wide], right, [right[-1] + wide]])
    count = np.concatenate([[0], count, [0]])
    name = "all images" if group == "all" else group
    fig.add_trace(
        go.Scatter(
            x=(left + right) / 2,
            y=100 * count / total if total else np.zeros(len(count)),
            mode="lines",
            line={"shape": "hvh", "color": colour, "width": stroke},
            fill="tozeroy",
            fillcolor=tint(colour, 0.22),
            name=f"{name} (n = {total:,})",
            customdata=np.column_stack([left, right, count]),
            hovertemplate=f"{name}: %{{y:.1f}} % (%{{customdata[2]:,.0f}} images)<br>"
            "from %{customdata[0]:.4g} to %{customdata[1]:.4g}<extra></extra>",
        )
    )


def _reference(fig: go.Figure, theme: Theme, y: float, text: str, *, below: bool = False) -> None:
    marks = Marks(theme)
    marks.horizontal(y, text, below=below)
    marks.put_on(fig)


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
    wanted = where(curves, equals(curves, "curve", kind))
    others = iter([theme.upper, theme.accent, theme.discriminative])
    for position, score in enumerate(scores):
        points, row = where(wanted, equals(wanted, "score", score)), metric_row(metrics, score)
        if row and len(points):
            strong = position == 0
            colour = theme.correct if strong else next(others, theme.neutral)
            legend = f"{score_label(score)}: {metric_name} {metric_with_interval(row, metric)}"
            fig.add_trace(
                _curve_trace(points, legend, score_label(score), colour, theme.stroke(3 if strong else 1.5))
            )
    return fig, "" if len(list(fig.data)) else _why_none(metrics, scores[0])


def _curve_trace(points: pd.DataFrame, legend: str, name: str, colour: str, stroke: float) -> go.Scatter:
    return go.Scatter(
        x=100 * numbers(points, "x"),
        y=100 * numbers(points, "y"),
        mode="lines",
        name=legend,
        line={"color": colour, "width": stroke},
        hovertemplate=f"<b>{name}</b><br>%{{xaxis.title.text}}: %{{x:.1f}} %<br>"
        "%{yaxis.title.text}: %{y:.1f} %<extra></extra>",
    )


def metric_row(metrics: pd.DataFrame, score: str) -> dict[str, Any]:
    """Return the row of a score in `quality_metrics` as a dict; empty if it has none."""
    rows = where(metrics, equals(metrics, "score", score))
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


def describe_score(score: str) -> str:
    """Describe the score in one sentence: what it measures and whether it needs labels."""
    known = SCORES.get(score)
    if known is None:
        return score_label(score)
    needs = (
        "Needs no labels."
        if known.label_free
        else "Comes from the linear probe, which was trained with labels."
    )
    return f"{known.label}: {known.meaning}. {needs}"


def _legend_below(fig: go.Figure, theme: Theme) -> go.Figure:
    finish(fig, theme, height=430)
    fig.update_layout(legend={"y": 1.02, "yanchor": "bottom"}, margin_t=52, showlegend=True)
    return fig
