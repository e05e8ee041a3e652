"""Overlap of heatmaps with core and spurious masks by correctness (Kalibhat 2024, Fig. 7)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import MANY, Chart, whole_study
from core.charts.options import FigureOptions
from core.charts.overlap_rows import GROUPS, MASKS, NO_OVERLAP, chosen_rows, has_group, variant_title
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.dataframes import as_text, numbers
from core.comparison.images import study_names
from core.measures.overlap_scale import ANY, BOTH, UNIFORM, VARIANT, uniform_by_group
from core.slices.overlap_values import control_column
from core.store import Study

BAR = 0.325  # width of a bar, where two groups stand beside each other around a mask's place
BESIDE = {"correct": (-BAR, 0.0), "misclassified": (0.0, BAR)}  # ends of a group's bar
HATCH = {"fillmode": "overlay", "fgcolor": "#FFFFFF", "fgopacity": 0.55, "size": 6, "solidity": 0.18}


def miou_bars(
    summaries: Mapping[str, pd.DataFrame],
    *,
    variant: str = "paper",
    images: str = "both masks",
    controls: pd.DataFrame | None = None,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot mean overlap with core and spurious masks, correct against misclassified, with intervals (Kalibhat
    2024, Fig. 7).

    Args:
        summaries: name of the study -> table `overlap_summary`; several are plotted side by side.
        variant, images: which rows of the tables, of images of all splits.
        controls: table `overlap_controls`, or `uniform_by_group`: the score of a uniform heatmap is marked
            on the bars, where it has a column `group` on those of each group.
    """
    parts = {name: chosen_rows(table, variant=variant, images=images, split="all")
             for name, table in summaries.items()}  # fmt: skip
    parts = {name: part for name, part in parts.items() if np.isfinite(numbers(part, "mean")).any()}
    if not parts:
        return note_figure(NO_OVERLAP, theme)
    fig = go.Figure()
    groups = GROUPS if any(has_group(part, "correct") for part in parts.values()) else ("all",)
    for group in groups:
        fig.add_trace(_bars(parts, group, theme))
    if controls is not None:
        _add_control(fig, parts, chosen_rows(controls, control="uniform", variant=variant), theme)
    fig.update_xaxes(showline=True, ticks="", tickfont_color=theme.ink, dividercolor=theme.grid)
    fig.update_yaxes(title_text=variant_title(variant, theme), rangemode="tozero")
    finish(fig, theme, height=380)
    return fig.update_layout(barmode="group", bargap=0.35, bargroupgap=0.06)


def _bars(parts: Mapping[str, pd.DataFrame], group: str, theme: Theme) -> go.Bar:
    studies, masks, values, error_low, error_high, texts = [], [], [], [], [], []
    for name, part in parts.items():
        for mask in MASKS:
            row = chosen_rows(part, mask=mask, group=group)
            columns = [numbers(row, column) for column in ("mean", "low", "high", "n")]
            mean, low, high, n = (float(column[0]) if len(row) else np.nan for column in columns)
            studies.append(as_text(name))
            masks.append(f"{mask} mask")
            values.append(mean)
            error_low.append(mean - low)
            error_high.append(high - mean)
            texts.append(
                f"{mean:.3f} ({low:.3f} to {high:.3f})<br>{n:,.0f} images" if np.isfinite(mean) else ""
            )
    wrong = group == "misclassified"
    colour = theme.misclassified if wrong else theme.correct
    error_bars = {
        "array": error_high,
        "arrayminus": error_low,
        "color": theme.ink,
        "thickness": 1.2,
        "width": 4,
    }
    marker = {"color": colour, "pattern": {**HATCH, "shape": "/" if wrong else ""}}
    x = masks if len(parts) == 1 else [studies, masks]
    title = "all images" if group == "all" else group
    return go.Bar(
        x=x,
        y=values,
        name=title,
        marker=marker,
        error_y=error_bars,
        customdata=texts,
        hovertemplate=f"<b>%{{x}}</b>, {group}<br>%{{customdata}}<extra></extra>",
    )


def _add_control(
    fig: go.Figure, parts: Mapping[str, pd.DataFrame], control: pd.DataFrame, theme: Theme
) -> None:
    if len(parts) != 1 or control.empty:
        return
    line = {"color": theme.ink, "width": 1.5}
    lines = []
    for at, mask in enumerate(MASKS):
        rows = chosen_rows(control, mask=mask)
        means = dict(zip(rows["group"], numbers(rows, "mean"), strict=True)) if "group" in rows else {}
        spans = [(means.get(group), *ends) for group, ends in BESIDE.items()]
        if not means and len(rows):  # one for both groups
            spans = [(numbers(rows, "mean")[0], -BAR, BAR)]
        for value, left, right in spans:
            if value is not None and np.isfinite(value):
                ends = {"x0": at + left, "x1": at + right, "y0": value, "y1": value}
                lines.append({"type": "line", **ends, "line": line})
    fig.update_layout(shapes=lines)
    fig.add_trace(go.Scatter(x=[None], y=[None], mode="lines", line=line, name="a uniform heatmap"))


class Overlaps(NamedTuple):
    """Mean overlaps: `frame` is `overlap_summary` of all studies, with the column `study`."""

    frame: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    images: str
    controls: pd.DataFrame | None


def _table(studies: Sequence[Study], options: FigureOptions) -> Overlaps:
    names = study_names(studies)
    tables = {name: one.table("overlap_summary") for name, one in zip(names, studies, strict=True)}
    frame = pd.concat([table.assign(study=name) for name, table in tables.items()], ignore_index=True)
    both = np.isfinite(numbers(chosen_rows(frame, images="both masks"), "mean")).any()
    images = options.masked or (BOTH if both else ANY)
    return Overlaps(frame, tables, images, _uniform(studies[0], images, options.variant))


def _uniform(study: Study, images: str, variant: str) -> pd.DataFrame | None:
    """The overlap of a uniform heatmap: of each group where it is stored for single images (`paper`)."""
    if variant == VARIANT and control_column(UNIFORM) in study.columns("overlap"):
        mask = np.ones(study.n_images, bool) if study.chosen is None else study.chosen
        return uniform_by_group(whole_study(study), mask, images)
    return study.table("overlap_controls") if study.has("overlap_controls") else None


def _draw(data: Overlaps, options: FigureOptions, theme: Theme) -> go.Figure:
    return miou_bars(
        data.tables, variant=options.variant, images=data.images, controls=data.controls, theme=theme
    )


MIOU = Chart(
    name="miou",
    title="mIoU with both masks by correctness; --with: several studies",
    source="Kalibhat 2024, Fig. 7",
    needs=("overlap_summary",),
    table=_table,
    draw=_draw,
    alt=lambda _: "Mean overlap with core and spurious masks for correct and misclassified images",
    studies=(1, MANY),
)
