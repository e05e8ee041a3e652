"""Overlap of heatmaps with core and spurious masks: bars ([Q] Fig. 7), threshold sweep, by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure, tint
from core.common.captions import shortened
from core.common.dataframes import as_text, equals, numbers, where, words

MASKS = ("core", "spurious")
GROUPS = ("correct", "misclassified")
VARIANTS = {
    "paper": "mIoU (heat-weighted, as in the paper)",
    "binary": "mIoU of the binarised heatmap",
    "soft": "soft mIoU (no threshold)",
    "energy": "share of the heat inside the mask",
}
HATCH = {"fillmode": "overlay", "fgcolor": "#FFFFFF", "fgopacity": 0.55, "size": 6, "solidity": 0.18}
NO_OVERLAP = "No image has both a heatmap and such a mask, so there is no overlap to draw."


def chosen_rows(frame: pd.DataFrame, **values: str) -> pd.DataFrame:
    """Return the rows in which every named column has the given text."""
    keep = np.ones(len(frame), bool)
    for column, value in values.items():
        keep &= equals(frame, column, value)
    return where(frame, keep)


def miou_bars(
    summaries: Mapping[str, pd.DataFrame],
    *,
    variant: str = "paper",
    images: str = "both masks",
    split: str = "all",
    controls: pd.DataFrame | None = None,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot mean overlap with core and spurious masks, correct against misclassified, with intervals ([Q] Fig.
    7).

    Args:
        summaries: name of the study -> table `overlap_summary`; several are plotted side by side.
        variant, images, split: which rows of the tables.
        controls: table `overlap_controls`: the score of a uniform heatmap is marked beside the bars.
    """
    parts = {name: chosen_rows(table, variant=variant, images=images, split=split)
             for name, table in summaries.items()}  # fmt: skip
    parts = {name: part for name, part in parts.items() if np.isfinite(numbers(part, "mean")).any()}
    if not parts:
        return note_figure(NO_OVERLAP, theme)
    fig = go.Figure()
    groups = GROUPS if any(_has_group(part, "correct") for part in parts.values()) else ("all",)
    for group in groups:
        fig.add_trace(_bars(parts, group, theme))
    if controls is not None:
        _add_control(fig, parts, chosen_rows(controls, control="uniform", variant=variant), theme)
    fig.update_xaxes(showline=True, ticks="", tickfont_color=theme.ink, dividercolor=theme.grid)
    fig.update_yaxes(title_text=_short(variant, theme), rangemode="tozero")
    finish(fig, theme, height=380)
    return fig.update_layout(barmode="group", bargap=0.35, bargroupgap=0.06)


def threshold_sweep(
    sweep: pd.DataFrame,
    *,
    variant: str = "paper",
    threshold: float | None = 0.5,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot mean overlap against the threshold t that binarises the heatmap, with bands.

    Args:
        sweep: table `overlap_sweep` (mask, group, variant, threshold, mean, low, high, n).
        threshold: the one used for the study's numbers.
    """
    rows = chosen_rows(sweep, variant=variant)
    if not np.isfinite(numbers(rows, "mean")).any():
        return note_figure(NO_OVERLAP, theme)
    fig = go.Figure()
    groups = GROUPS if _has_group(rows, "correct") else ("all",)
    for mask, dash in zip(MASKS, ("solid", "dash"), strict=True):
        for group in groups:
            part = chosen_rows(rows, mask=mask, group=group)
            if len(part):
                part = part.sort_values("threshold", ignore_index=True)
                colour = theme.misclassified if group == "misclassified" else theme.correct
                _add_band(fig, part, f"{mask}, {group}", colour, dash)
    if threshold is not None:
        marks = Marks(theme)
        marks.vertical(threshold, f"t = {threshold:g}", top=True)
        marks.put_on(fig)
    fig.update_xaxes(title_text="threshold t of the heatmap", range=[0, 1.005])
    fig.update_yaxes(title_text=_short(variant, theme), rangemode="tozero")
    finish(fig, theme, height=400)
    return _rows_of_legend(fig, 2 * len(groups), theme)


def miou_by_class(
    table: pd.DataFrame,
    *,
    mask: str = "core",
    variant: str = "paper",
    most: int = 24,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot mean overlap of each class with its interval, highest first; with many classes only both ends.

    Args:
        table: table `overlap_by_class` (label, mask, group, variant, mean, low, high, n).
        most: maximum number of classes.
    """
    rows = chosen_rows(table, mask=mask, variant=variant)
    ranked = chosen_rows(rows, group="all")
    ranked = where(ranked, np.isfinite(numbers(ranked, "mean")))
    if ranked.empty:
        return note_figure(NO_OVERLAP, theme)
    names = words(ranked.sort_values(["mean", "label"], ascending=[False, True]), "label")
    left_out = len(names) - most if len(names) > most else 0
    if left_out:
        names = [*names[: most // 2], *names[len(names) - (most - most // 2) :]]
    fig, marks = go.Figure(), Marks(theme)
    groups = GROUPS if _has_group(rows, "correct") else ("all",)
    for group, lift in zip(groups, (0.16, -0.16) if len(groups) == 2 else (0.0,), strict=True):
        fig.add_trace(_class_dots(chosen_rows(rows, group=group), names, group, lift, theme))
    if left_out:
        place = {"x": 0.5, "xref": "x domain", "y": len(names) - most // 2 - 0.5}
        marks.shapes.append(_gap_line(len(names) - most // 2 - 0.5, theme))
        marks.note(f"{left_out} classes between", **place, bgcolor=theme.surface)
    marks.put_on(fig)
    fig.update_yaxes(
        tickvals=np.arange(len(names))[::-1],
        ticktext=[as_text(shortened(name)) for name in names],
        range=[-0.6, len(names) - 0.4],
        ticks="",
        tickfont_color=theme.ink,
    )
    fig.update_xaxes(title_text=f"{_short(variant, theme)}, {mask} mask", rangemode="tozero", showgrid=True)
    finish(fig, theme)
    return fig.update_layout(height=round(theme.font_size * (6.5 + 1.75 * len(names))))


def _has_group(rows: pd.DataFrame, group: str) -> bool:
    return bool(np.isfinite(numbers(chosen_rows(rows, group=group), "mean")).any())


def _short(variant: str, theme: Theme) -> str:
    """Return the variant's title; in a narrow figure without the part in brackets."""
    title = VARIANTS.get(variant, variant)
    return title.partition(" (")[0] if theme.width is not None and theme.width < 500 else title


def _bars(parts: Mapping[str, pd.DataFrame], group: str, theme: Theme) -> go.Bar:
    studies, masks, values, error_low, error_high, texts = [], [], [], [], [], []
    for name, part in parts.items():
        for mask in MASKS:
            row = chosen_rows(part, mask=mask, group=group)
            mean, low, high, n = (
                float(numbers(row, c)[0]) if len(row) else np.nan for c in ("mean", "low", "high", "n")
            )
            studies.append(as_text(name))
            masks.append(f"{mask} mask")
            values.append(mean)
            error_low.append(mean - low)
            error_high.append(high - mean)
            texts.append(
                f"{mean:.3f} ({low:.3f} to {high:.3f})<br>{n:,.0f} images" if np.isfinite(mean) else ""
            )
    colour = {"misclassified": theme.misclassified}.get(group, theme.correct)
    return go.Bar(
        x=masks if len(parts) == 1 else [studies, masks],
        y=values,
        name="all images" if group == "all" else group,
        marker={"color": colour, "pattern": {**HATCH, "shape": "/" if group == "misclassified" else ""}},
        error_y={
            "array": error_high,
            "arrayminus": error_low,
            "color": theme.ink,
            "thickness": 1.2,
            "width": 4,
        },
        customdata=texts,
        hovertemplate=f"<b>%{{x}}</b>, {group}<br>%{{customdata}}<extra></extra>",
    )


def _add_control(
    fig: go.Figure, parts: Mapping[str, pd.DataFrame], control: pd.DataFrame, theme: Theme
) -> None:
    if len(parts) != 1 or control.empty:
        return
    line = {"color": theme.ink, "width": 1.5}
    lines = [
        {"type": "line", "x0": place - 0.36, "x1": place + 0.36, "y0": value, "y1": value, "line": line}
        for place, mask in enumerate(MASKS)
        for value in numbers(chosen_rows(control, mask=mask), "mean")[:1].tolist()
    ]
    fig.update_layout(shapes=lines)
    fig.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=line, name="a uniform heatmap"))


def _add_band(fig: go.Figure, part: pd.DataFrame, name: str, colour: str, dash: str) -> None:
    x, mean = numbers(part, "threshold"), numbers(part, "mean")
    low, high = numbers(part, "low"), numbers(part, "high")
    if np.isfinite(low).any():
        known = np.isfinite(low) & np.isfinite(high)
        fig.add_trace(
            go.Scatter(
                x=np.concatenate([x[known], x[known][::-1]]),
                y=np.concatenate([high[known], low[known][::-1]]),
                fill="toself",
                fillcolor=tint(colour, 0.15),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
            )
        )
    n = numbers(part, "n")
    fig.add_trace(
        go.Scatter(
            x=x,
            y=mean,
            mode="lines",
            line={"color": colour, "width": 2, "dash": dash},
            name=name,
            customdata=n,
            hovertemplate=f"{name} (n = %{{customdata:,.0f}})<br>t = %{{x:.2f}}: %{{y:.3f}}<extra></extra>",
        )
    )


def _class_dots(
    part: pd.DataFrame, names: Sequence[str], group: str, lift: float, theme: Theme
) -> go.Scatter:
    place = {name: len(names) - 1 - at for at, name in enumerate(names)}
    part = where(part, np.array([name in place for name in words(part, "label")], bool))
    mean, low, high, n = (numbers(part, column) for column in ("mean", "low", "high", "n"))
    wrong = group == "misclassified"
    return go.Scatter(
        x=mean,
        y=[place[name] + lift for name in words(part, "label")],
        mode="markers",
        name="all images" if group == "all" else group,
        marker={
            "color": theme.misclassified if wrong else theme.correct,
            "size": 0.6 * theme.font_size,
            "symbol": "diamond" if wrong else "circle",
        },  # fmt: skip
        error_x={"array": high - mean, "arrayminus": mean - low, "thickness": 1.2, "width": 0},
        customdata=np.column_stack(
            [[as_text(name) for name in words(part, "label")], [f"{v:,.0f}" for v in n]]
        ),
        hovertemplate=f"<b>%{{customdata[0]}}</b>, {group}: %{{x:.3f}}<br>"
        "%{customdata[1]} images<extra></extra>",
    )


def _gap_line(y: float, theme: Theme) -> dict:
    line = {"color": theme.neutral, "width": 1, "dash": "dot"}
    return {"type": "line", "x0": 0, "x1": 1, "xref": "x domain", "y0": y, "y1": y, "line": line}


def _rows_of_legend(fig: go.Figure, n_entries: int, theme: Theme) -> go.Figure:
    """Make room above the plot for a legend that wraps."""
    rows = -(-n_entries // (2 if (theme.width or 900) < 700 else 4))
    return fig.update_layout(margin_t=round(theme.font_size * (1.2 + 1.7 * rows)))
