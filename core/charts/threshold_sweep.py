"""Overlap of heatmaps with masks by the threshold of the heatmap."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart
from core.charts.marks import band, line
from core.charts.options import FigureOptions
from core.charts.overlap_rows import GROUPS, MASKS, NO_OVERLAP, chosen_rows, has_group, variant_title
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure
from core.common.dataframes import numbers
from core.errors import SettingsError
from core.store import Study


def threshold_finding(sweep: pd.DataFrame, threshold: float | None) -> str:
    """State at which threshold the overlap with the core mask is largest.

    Args:
        sweep: rows of `overlap_sweep` of one variant. threshold: the one that the study uses.
    """
    part = sweep.loc[(sweep["mask"] == "core") & (sweep["group"] == "all")]
    mean = numbers(part, "mean")
    if not np.isfinite(mean).any():
        return "mIoU by threshold"
    best = part.iloc[int(np.nanargmax(mean))]
    title = f"mIoU with the object is largest at a threshold of {best['threshold']:.2g} ({best['mean']:.2f})"
    used = numbers(part, "mean")[
        np.isclose(numbers(part, "threshold"), -1 if threshold is None else threshold)
    ]
    return f"{title}; the study uses {threshold:.2g} ({used[0]:.2f})" if len(used) else title


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


def _table(study: Study, options: FigureOptions) -> Sweep:
    if options.variant not in SWEPT:
        asked = f"--variant {options.variant}"
        raise SettingsError(f"{asked}: only 'paper' and 'binary' have a threshold to sweep")
    rows = chosen_rows(study.table("overlap_sweep"), variant=options.variant)
    return Sweep(rows, float(study.settings("overlap").get("threshold", 0.5)))


def _draw(data: Sweep, options: FigureOptions, theme: Theme) -> go.Figure:
    return threshold_sweep(data, variant=options.variant, theme=theme)


THRESHOLD_SWEEP = Chart(
    name="threshold_sweep",
    title="mIoU against the heatmap's threshold",
    needs=("overlap_sweep",),
    table=_table,
    draw=_draw,
    finding=lambda data: threshold_finding(*data),
    alt=lambda _: "Mean overlap against the threshold from which heat counts",
)
