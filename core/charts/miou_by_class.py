"""Overlap of heatmaps with masks in each class."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, class_numbers
from core.charts.marks import dots, interval
from core.charts.options import FigureOptions
from core.charts.overlap_rows import GROUPS, NO_OVERLAP, chosen_rows, has_group, variant_title
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure
from core.common.captions import shortened
from core.common.dataframes import as_text, numbers, words
from core.store import Study


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


def _table(study: Study, options: FigureOptions) -> pd.DataFrame:
    table = study.table("overlap_by_class")
    if options.classes:
        class_numbers(study, options)
        table = table.loc[table["label"].isin(options.classes).to_numpy()]
    return chosen_rows(table, mask=options.mask, variant=options.variant)


def _draw(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
    return miou_by_class(table, mask=options.mask, variant=options.variant, theme=theme)


def _alt(table: pd.DataFrame) -> str:
    masks = " and ".join(table["mask"].unique())
    return f"Mean overlap with the {masks} mask by class"


MIOU_BY_CLASS = Chart(
    name="miou_by_class",
    title="mIoU of each class (--mask)",
    needs=("overlap_by_class",),
    table=_table,
    draw=_draw,
    alt=_alt,
)
