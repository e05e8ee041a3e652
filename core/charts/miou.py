"""Overlap of heatmaps with masks: by correctness, by class, and by the threshold of the heatmap."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import MANY, Chart, class_numbers, whole_study
from core.charts.marks import band, dots, interval, line
from core.charts.options import FigureOptions
from core.charts.shared_rows import GROUPS, MASKS, NO_OVERLAP, chosen_rows, has_group, variant_title
from core.charts.shown_names import as_text, shortened
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure
from core.common.dataframes import numbers, words
from core.common.records import Templates
from core.compare.images import study_names
from core.errors import SettingsError
from core.measures.image_columns import control_column
from core.measures.overlap import ANY, BOTH, UNIFORM, VARIANT, uniform_by_group
from core.store import Study

# Overlap of heatmaps with core and spurious masks by correctness (Kalibhat 2024, Fig. 7).


_say = Templates.beside(__file__)
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


def images_that_count(frame: pd.DataFrame) -> str:
    """Choose the images that a chart of overlap counts: BOTH where some have both masks, else ANY."""
    return BOTH if np.isfinite(numbers(chosen_rows(frame, images=BOTH), "mean")).any() else ANY


def _overlap_table(studies: Sequence[Study], options: FigureOptions) -> Overlaps:
    names = study_names(studies)
    tables = {name: study.table("overlap_summary") for name, study in zip(names, studies, strict=True)}
    frame = pd.concat([table.assign(study=name) for name, table in tables.items()], ignore_index=True)
    images = images_that_count(frame)
    return Overlaps(frame, tables, images, _uniform(studies[0], images, options.variant))


def _uniform(study: Study, images: str, variant: str) -> pd.DataFrame | None:
    """The overlap of a uniform heatmap: of each group where it is stored for single images (`paper`)."""
    if variant == VARIANT and control_column(UNIFORM) in study.columns("overlap"):
        mask = study.rows_of_slice(np.ones(study.n_images, bool))
        return uniform_by_group(whole_study(study), mask, images)
    return study.table("overlap_controls") if study.has("overlap_controls") else None


def _draw_overlap(data: Overlaps, options: FigureOptions, theme: Theme) -> go.Figure:
    return miou_bars(
        data.tables, variant=options.variant, images=data.images, controls=data.controls, theme=theme
    )


MIOU = Chart(
    name="miou",
    title="mIoU with both masks by correctness; --with: several studies",
    source="Kalibhat 2024, Fig. 7",
    needs=("overlap_summary",),
    table=_overlap_table,
    draw=_draw_overlap,
    alt=lambda _: "Mean overlap with core and spurious masks for correct and misclassified images",
    studies=(1, MANY),
)


# Overlap of heatmaps with masks in each class.


def miou_by_class(
    table: pd.DataFrame, *, mask: str = "core", variant: str = "paper", most: int = 24, theme: Theme = LIGHT
) -> go.Figure:
    """Plot mean overlap of each class with its interval, highest first; with many classes only both ends.

    Args:
        table: table `overlap_by_class` (label, mask, group, variant, mean, low, high, n).
        most: maximum number of classes.
    """
    rows = chosen_rows(table, mask=mask, variant=variant)
    ranked = chosen_rows(rows, group="all")
    ranked = ranked.loc[np.isfinite(numbers(ranked, "mean"))]
    if ranked.empty:
        return note_figure(NO_OVERLAP, theme)
    names = words(ranked.sort_values(["mean", "label"], ascending=[False, True]), "label")
    left_out = len(names) - most if len(names) > most else 0
    if left_out:
        names = [*names[: most // 2], *names[len(names) - (most - most // 2) :]]
    fig, marks = go.Figure(), Marks(theme)
    groups = GROUPS if has_group(rows, "correct") else ("all",)
    for group, lift in zip(groups, (0.16, -0.16) if len(groups) == 2 else (0.0,), strict=True):
        fig.add_trace(_class_dots(chosen_rows(rows, group=group), names, group, lift, theme))
    if left_out:
        y, line = len(names) - most // 2 - 0.5, {"color": theme.neutral, "width": 1, "dash": "dot"}
        ends = {"x0": 0, "x1": 1, "xref": "x domain", "y0": y, "y1": y}
        marks.shapes.append({"type": "line"} | ends | {"line": line})
        marks.note(f"{left_out} classes between", x=0.5, xref="x domain", y=y, bgcolor=theme.surface)
    marks.put_on(fig)
    heights = np.arange(len(names))[::-1]
    tick_names = [as_text(shortened(name)) for name in names]
    fig.update_yaxes(
        tickvals=heights,
        ticktext=tick_names,
        range=[-0.6, len(names) - 0.4],
        ticks="",
        tickfont_color=theme.ink,
    )
    fig.update_xaxes(
        title_text=f"{variant_title(variant, theme)}, {mask} mask", rangemode="tozero", showgrid=True
    )
    finish(fig, theme)
    return fig.update_layout(height=round(theme.font_size * (6.5 + 1.75 * len(names))))


def _class_dots(
    part: pd.DataFrame, names: Sequence[str], group: str, lift: float, theme: Theme
) -> go.Scatter:
    heights = {name: len(names) - 1 - at for at, name in enumerate(names)}
    part = part.loc[np.array([name in heights for name in words(part, "label")], bool)]
    mean, low, high, n = (numbers(part, column) for column in ("mean", "low", "high", "n"))
    wrong = group == "misclassified"
    labels = words(part, "label")
    marker = {
        "color": theme.misclassified if wrong else theme.correct,
        "size": 0.6 * theme.font_size,
        "symbol": "diamond" if wrong else "circle",
    }
    names_and_counts = np.column_stack([[as_text(name) for name in labels], [f"{v:,.0f}" for v in n]])
    hover = f"<b>%{{customdata[0]}}</b>, {group}: %{{x:.3f}}<br>%{{customdata[1]}} images"
    y = [heights[name] + lift for name in labels]
    title = "all images" if group == "all" else group
    return dots(
        mean,
        y,
        name=title,
        marker=marker,
        error_x=interval(mean, low, high, thickness=1.2),
        customdata=names_and_counts,
        hover=hover,
    )


def _class_table(study: Study, options: FigureOptions) -> pd.DataFrame:
    table = study.table("overlap_by_class")
    if options.classes:
        class_numbers(study, options)
        table = table.loc[table["label"].isin(options.classes).to_numpy()]
    return chosen_rows(table, mask=options.mask, variant=options.variant)


def _draw_by_class(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
    return miou_by_class(table, mask=options.mask, variant=options.variant, theme=theme)


def _class_alt(table: pd.DataFrame) -> str:
    return _say("alt", names=tuple(table["mask"].unique()))


MIOU_BY_CLASS = Chart(
    name="miou_by_class",
    title="mIoU of each class (--mask)",
    needs=("overlap_by_class",),
    table=_class_table,
    draw=_draw_by_class,
    alt=_class_alt,
)


# Overlap of heatmaps with masks by the threshold of the heatmap.


def threshold_finding(sweep: pd.DataFrame, threshold: float | None) -> str:
    """State below a chart at which threshold the overlap with the core mask is largest.

    Args:
        sweep: rows of `overlap_sweep` of one variant. threshold: the one that the study uses.
    """
    part = sweep.loc[(sweep["mask"] == "core") & (sweep["group"] == "all")]
    mean = numbers(part, "mean")
    if not np.isfinite(mean).any():
        return "mIoU by threshold"
    best = part.iloc[int(np.nanargmax(mean))]
    largest = f"{best['threshold']:.2g} ({best['mean']:.2f})"
    used = numbers(part, "mean")[
        np.isclose(numbers(part, "threshold"), -1 if threshold is None else threshold)
    ]
    if not len(used):
        return _say("largest", names=(largest,))
    return _say("largest_and_used", names=(largest, f"{threshold:.2g} ({used[0]:.2f})"))


SWEPT = ("paper", "binary")  # variants that have a threshold


class Sweep(NamedTuple):
    """Overlap by threshold.

    frame: rows of `overlap_sweep` of one variant (mask, group, variant, threshold, mean, low, high, n).
    threshold: the one used for the study's numbers.
    """

    frame: pd.DataFrame
    threshold: float


def threshold_sweep(data: Sweep, *, variant: str = "paper", theme: Theme = LIGHT) -> go.Figure:
    """Plot mean overlap against the threshold t that binarises the heatmap, with bands."""
    rows = data.frame
    if not np.isfinite(numbers(rows, "mean")).any():
        return note_figure(NO_OVERLAP, theme)
    fig = go.Figure()
    groups = GROUPS if has_group(rows, "correct") else ("all",)
    for mask, dash in zip(MASKS, ("solid", "dash"), strict=True):
        for group in groups:
            part = chosen_rows(rows, mask=mask, group=group)
            if len(part):
                part = part.sort_values("threshold", ignore_index=True)
                colour = theme.misclassified if group == "misclassified" else theme.correct
                _add_band(fig, part, f"{mask}, {group}", colour, dash)
    Marks(theme).vertical(data.threshold, f"t = {data.threshold:g}", top=True).put_on(fig)
    fig.update_xaxes(title_text="threshold t of the heatmap", range=[0, 1.005])
    fig.update_yaxes(title_text=variant_title(variant, theme), rangemode="tozero")
    finish(fig, theme, height=400)
    a_row = 2 if (theme.width or 900) < 700 else 4
    n_rows = -(-2 * len(groups) // a_row)  # of the legend, which wraps above the plot
    return fig.update_layout(margin_t=round(theme.font_size * (1.2 + 1.7 * n_rows)))


def _add_band(fig: go.Figure, part: pd.DataFrame, name: str, colour: str, dash: str) -> None:
    x, mean = numbers(part, "threshold"), numbers(part, "mean")
    low, high = numbers(part, "low"), numbers(part, "high")
    if np.isfinite(low).any():
        finite = np.isfinite(low) & np.isfinite(high)
        fig.add_trace(band(x[finite], low[finite], high[finite], colour=colour, alpha=0.15))
    hover = f"{name} (n = %{{customdata:,.0f}})<br>t = %{{x:.2f}}: %{{y:.3f}}"
    more = {"name": name, "customdata": numbers(part, "n")}
    fig.add_trace(line(x, mean, colour=colour, width=2, dash=dash, hover=hover, **more))


def _sweep_table(study: Study, options: FigureOptions) -> Sweep:
    if options.variant not in SWEPT:
        asked = f"--variant {options.variant}"
        raise SettingsError(f"{asked}: only 'paper' and 'binary' have a threshold to sweep")
    rows = chosen_rows(study.table("overlap_sweep"), variant=options.variant)
    return Sweep(rows, float(study.settings("overlap").get("threshold", 0.5)))


def _draw_sweep(data: Sweep, options: FigureOptions, theme: Theme) -> go.Figure:
    return threshold_sweep(data, variant=options.variant, theme=theme)


THRESHOLD_SWEEP = Chart(
    name="threshold_sweep",
    title="mIoU against the heatmap's threshold",
    needs=("overlap_sweep",),
    table=_sweep_table,
    draw=_draw_sweep,
    finding=lambda data: threshold_finding(*data),
    alt=lambda _: "Mean overlap against the threshold from which heat counts",
)
