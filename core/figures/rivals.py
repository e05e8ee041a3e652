"""The Q-Score beside its rivals: a dot with its interval a score, a cell a cause of failure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.figures.scores import SCORES, score_label
from core.figures.theme import LIGHT, Theme, finish, note_figure


@dataclass(frozen=True)
class Metric:
    """A column of `quality_metrics` that ranks scores, and what a worthless score would reach."""

    column: str
    title: str
    base_column: str | None
    base_word: str
    higher_is_better: bool = True


METRICS: dict[str, Metric] = {
    metric.column: metric
    for metric in (
        Metric("auroc", "AUROC (correct above misclassified)", None, "chance: 0.5"),
        Metric(
            "auprc_correct", "AUPRC, correct images as positive", "base_rate_correct", "base rate = accuracy"
        ),
        Metric(
            "auprc_error",
            "AUPRC, misclassified images as positive",
            "base_rate_error",
            "base rate = error rate",
        ),
        Metric(
            "aurc",
            "AURC, area under risk-coverage (lower is better)",
            "base_rate_error",
            "random order",
            False,
        ),
    )
}


def ranked(metrics: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Rows of `quality_metrics` that have `metric`, best first, with `rank` 1…n."""
    rows = metrics[metrics[metric].notna()] if metric in metrics else metrics.iloc[:0]
    ordered = rows.sort_values(metric, ascending=not METRICS[metric].higher_is_better, kind="stable")
    return ordered.reset_index(drop=True).assign(rank=np.arange(1, len(ordered) + 1))


def rank_sentence(metrics: pd.DataFrame, score: str, metric: str = "auroc") -> str:
    """Where a score stands among all, and among those that need no labels, in one plain sentence."""
    rows = ranked(metrics, metric)
    if score not in set(rows["score"]):
        return f"{score_label(score)} could not be evaluated: the metric is undefined for this study."
    name = METRICS[metric].title.split(",")[0].split(" (")[0]
    free = rows[rows["label_free"].astype(bool)].reset_index(drop=True)
    place = int(rows.index[rows["score"].eq(score)][0]) + 1
    text = f"By {name}, {score_label(score)} ranks {place} of {len(rows)} scores"
    at = free.index[free["score"].eq(score)]
    if len(at):
        text += f", and {int(at[0]) + 1} of {len(free)} that need no labels"
    best = rows.iloc[0]
    tail = "" if best["score"] == score else f"; best is {score_label(best['score'])} with {best[metric]:.3f}"
    return f"{text}{tail}."


def rivals(
    metrics: pd.DataFrame, *, metric: str = "auroc", selected: str = "q_score", theme: Theme = LIGHT
) -> go.Figure:
    """Every score with its 95 % interval, best on top; filled = needs no labels, open = uses labels.

    Args:
        metrics: table `quality_metrics`.
        metric: a key of METRICS.
        selected: the score whose name is set in bold and whose dot is accented.
    """
    rows = ranked(metrics, metric)
    if rows.empty:
        return note_figure(_why_empty(metrics), theme)
    info = METRICS[metric]
    labels = [_axis_label(score, selected) for score in rows["score"]]
    fig = go.Figure()
    for free, name in ((True, "needs no labels"), (False, "uses labels (probe)")):
        part = rows["label_free"].astype(bool).eq(free).to_numpy()
        if part.any():
            kept = [label for label, use in zip(labels, part, strict=True) if use]
            fig.add_trace(_dots(rows[part], kept, metric, selected, free=free, name=name, theme=theme))
    base = _base(rows, info)
    if np.isfinite(base):
        fig.add_vline(x=base, line_color=theme.neutral, line_dash="dot", line_width=1.5)
        fig.add_annotation(
            x=base,
            y=0,
            yref="paper",
            yanchor="bottom",
            xanchor="left",
            showarrow=False,
            text=f" {info.base_word}" + ("" if info.base_column is None else f": {base:.3f}"),
            font={"color": theme.muted, "size": theme.font_size - 2},
        )
    fig.update_xaxes(title_text=info.title, showgrid=True, range=_span(rows, metric, base))
    fig.update_yaxes(
        type="category", categoryorder="array", categoryarray=labels[::-1], ticks="", tickfont_color=theme.ink
    )
    return finish(fig, theme, height=120 + 30 * len(rows))


def by_cause(table: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """AUROC of each score for the failures of one cause against correct images; blue works, orange misleads.

    Args:
        table: table `quality_by_cause` (cause, score, n_errors, auroc, low, high).
    """
    if table.empty or not table["auroc"].notna().any():
        return note_figure("No cause of failure has enough misclassified images.", theme)
    scores = [s for s in SCORES if s in set(table["score"])] + sorted(set(table["score"]) - set(SCORES))
    counts = table.groupby("cause", sort=False)["n_errors"].max().sort_values(ascending=False, kind="stable")
    shape = table.pivot_table(index="cause", columns="score", values=["auroc", "low", "high"], dropna=False)
    shape = shape.reindex(index=counts.index)
    grid = {name: shape[name].reindex(columns=scores).to_numpy(float) for name in ("auroc", "low", "high")}
    text = [["" if np.isnan(v) else f"{v:.2f}" for v in row] for row in grid["auroc"]]
    rows = [f"{cause}  (n = {int(n):,})" for cause, n in counts.items()]
    fig = go.Figure(
        go.Heatmap(
            z=grid["auroc"],
            x=[score_label(s) for s in scores],
            y=rows,
            text=text,
            texttemplate="%{text}",
            customdata=np.dstack([grid["low"], grid["high"]]),
            zmin=0,
            zmax=1,
            xgap=2,
            ygap=2,
            colorscale=_diverging(theme),
            colorbar={
                "title": {"text": "AUROC"},
                "thickness": 12,
                "outlinewidth": 0,
                "tickvals": [0, 0.5, 1],
            },
            hovertemplate="<b>%{x}</b><br>failures by %{y}<br>AUROC %{z:.3f} "
            "(%{customdata[0]:.3f} to %{customdata[1]:.3f})<extra></extra>",
        )
    )
    fig.update_xaxes(tickangle=-35, showline=False, ticks="", tickfont_color=theme.ink)
    fig.update_yaxes(autorange="reversed", showgrid=False, ticks="", tickfont_color=theme.ink)
    return finish(fig, theme, height=200 + 34 * len(rows))


def _dots(
    rows: pd.DataFrame, labels: list[str], metric: str, selected: str, *, free: bool, name: str, theme: Theme
) -> go.Scatter:
    chosen = rows["score"].eq(selected)
    value = rows[metric].to_numpy(float)
    low, high = (
        rows.get(f"{metric}_{end}", pd.Series(np.nan, rows.index)).to_numpy(float) for end in ("low", "high")
    )
    colours = [theme.accent if one else theme.correct if free else theme.neutral for one in chosen]
    return go.Scatter(
        x=value,
        y=labels,
        mode="markers",
        name=name,
        marker={
            "symbol": "circle" if free else "diamond-open",
            "size": 11,
            "color": colours,
            "line": {"width": 2},
        },
        error_x={
            "type": "data",
            "symmetric": False,
            "thickness": 2,
            "width": 0,
            "array": np.nan_to_num(high - value),
            "arrayminus": np.nan_to_num(value - low),
            "color": theme.muted,
        },
        customdata=[[s, a, b] for s, a, b in zip(rows["score"], low, high, strict=True)],
        hovertemplate=f"<b>%{{y}}</b><br>{METRICS[metric].title}: %{{x:.3f}}<br>95 % interval "
        f"%{{customdata[1]:.3f}} to %{{customdata[2]:.3f}}<br>{name}<extra></extra>",
    )


def _axis_label(score: str, selected: str) -> str:
    return f"<b>{score_label(score)}</b>" if score == selected else score_label(score)


def _base(rows: pd.DataFrame, info: Metric) -> float:
    return 0.5 if info.base_column is None else float(rows[info.base_column].iloc[0])


def _span(rows: pd.DataFrame, metric: str, base: float) -> list[float]:
    ends = [rows[c].to_numpy(float) for c in (metric, f"{metric}_low", f"{metric}_high") if c in rows]
    values = np.concatenate([*ends, [base]])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    room = max(0.04 * (high - low), 0.01)
    return [max(low - room, 0.0), min(high + room, 1.02)]


def _why_empty(metrics: pd.DataFrame) -> str:
    notes = [str(n) for n in metrics.get("note", pd.Series(dtype=str)).dropna() if str(n)]
    return notes[0] if notes else "No score could be evaluated in this study."


def _diverging(theme: Theme) -> list[list]:
    middle = "#F4F5F7" if theme.name != "dark" else "#2A3542"
    return [[0, theme.misclassified], [0.5, middle], [1, theme.correct]]
