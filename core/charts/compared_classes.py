"""Accuracy of each class in two studies, and its change."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.chart import MANY, Chart, shared_of_slice
from core.charts.marks import dots, interval
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.captions import shortened, with_class_names
from core.common.dataframes import as_text, numbers, words
from core.common.formatting import counted, joined, signed
from core.common.statistics.design_effect import groups_among
from core.common.statistics.intervals import leaves_out_0
from core.comparison.measures import class_accuracy_changes, judged_of
from core.store import Study

MOST_CLASSES = 40
MOST_NAMED = 3  # classes in a sentence


def class_change_finding(classes: pd.DataFrame, other: str) -> str:
    """State which classes gained and lost most accuracy in a study, and which changes are significant.

    Args:
        classes: table of `class_accuracy_changes`.
    """
    table = classes.loc[classes["study"] == other]
    table = table.loc[np.isfinite(numbers(table, "difference"))]
    if table.empty:
        return "Accuracy by class"
    change, names = numbers(table, "difference"), words(table, "label")
    lows, highs = (numbers(table, f"difference_{end}") for end in ("low", "high"))
    clear = leaves_out_0(lows, highs)
    if len(table) == 1:
        ends = [signed(100 * numbers(table, f"difference{end}")[0], 0) for end in ("", "_low", "_high")]
        interval = f"{ends[1]} to {ends[2]}, " if np.isfinite(numbers(table, "difference_low")[0]) else ""
        verdict = "significant" if clear[0] else "could be chance"
        return f"Accuracy on {names[0]}: {ends[0]} points ({interval}{verdict})"
    sure = int(clear.sum())
    parts = []
    for most, verb in ((change.max(), "gain"), (change.min(), "lose")):
        if most > 0 if verb == "gain" else most < 0:
            alike = sorted(name for name, one in zip(names, change, strict=True) if np.isclose(one, most))
            points = signed(100 * most, 0)
            listed = f"{len(alike)} classes" if len(alike) > MOST_NAMED else joined(alike)
            parts.append(f"{listed} {verb}{'s' if len(alike) == 1 else ''} most ({points} points)")
    if not np.any([change, lows, highs]):
        return "No class changes"
    sentence = ", ".join(parts) or "No class changes"
    if not sure:
        return f"{sentence}; no change is significant"
    verb = "is" if sure == 1 else "are"
    which = sorted(name for name, one in zip(names, clear, strict=True) if one)
    clearly = f" ({joined(which)})" if sure <= MOST_NAMED else ""
    return f"{sentence}; {sure} of {len(table)} changes {verb} significant{clearly}"


def class_changes(
    classes: pd.DataFrame, first: str, other: str, *, most: int = MOST_CLASSES, theme: Theme = LIGHT
) -> go.Figure:
    """Plot accuracy of each class in two studies, with the 95 % interval of the change; greatest gain on top.

    A change is better or worse where its interval leaves out 0.

    Args:
        classes: table of `core.comparison.measures.class_accuracy_changes`.
        most: number of classes, most changed first.
    """
    after = classes.loc[classes["study"] == other]
    before = classes.loc[classes["study"] == first]
    if not len(after) or not np.isfinite(numbers(after, "difference")).any():
        return note_figure("No class has a probe result in both studies.", theme)
    change = numbers(after, "difference")
    drawn = np.sort(np.argsort(-np.abs(change), kind="stable")[:most])
    drawn = drawn[np.argsort(change[drawn], kind="stable")]  # plotly draws from the bottom
    change = 100 * change[drawn]
    names = [as_text(shortened(with_class_names(name))) for name in after["label"].to_numpy(object)[drawn]]
    was, now = 100 * numbers(before, "accuracy")[drawn], 100 * numbers(after, "accuracy")[drawn]
    low, high = (100 * numbers(after, f"difference_{end}")[drawn] for end in ("low", "high"))
    sizes = [counted(n, "image") for n in numbers(after, "n")[drawn].astype(int).tolist()]
    fig = make_subplots(rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.1, column_widths=[0.58, 0.42])
    at = np.arange(len(drawn))
    for values, name, colour, symbol in (
        (was, first, theme.neutral, "circle-open"),
        (now, other, theme.discriminative, "circle"),
    ):
        marker = {"color": colour, "symbol": symbol, "size": theme.stroke(9)}
        sizes_and_names = np.column_stack([sizes, names])
        hover = "<b>%{customdata[1]}</b> (%{customdata[0]}): %{x:.1f} %"
        accuracies = dots(
            values, at, name=as_text(name), marker=marker, customdata=sizes_and_names, hover=hover
        )
        fig.add_trace(accuracies, row=1, col=1)
    same = (low == 0) & (high == 0)
    for mask, colour, name in (
        (low > 0, theme.correct, "better"),
        (high < 0, theme.misclassified, "worse"),
        (~leaves_out_0(low, high) & ~same, theme.neutral, "could be chance"),
        (same, theme.neutral, "the same"),
    ):
        if mask.any():
            middle, ends = change[mask], (low[mask], high[mask])
            marker = {"color": colour, "size": theme.stroke(7), "symbol": "diamond"}
            error_bars = interval(middle, *ends, colour=colour, thickness=theme.stroke(1.5))
            customdata = np.column_stack([np.array(names, object)[mask], *ends])
            trace = dots(
                middle,
                at[mask],
                name=name,
                marker=marker,
                error_x=error_bars,
                customdata=customdata,
                hover="<b>%{customdata[0]}</b>: %{x:+.1f} points (%{customdata[1]:+.1f} to "
                "%{customdata[2]:+.1f})",
            )
            fig.add_trace(trace, row=1, col=2)
    fig.update_yaxes(
        tickvals=at, ticktext=names, ticks="", range=[-0.7, len(at) - 0.3], tickfont_color=theme.ink
    )
    fig.update_xaxes(title_text="accuracy (%)", range=[-3, 103], row=1, col=1)
    fig.update_xaxes(title_text="change in points", row=1, col=2)
    finish(fig, theme)
    row_height = 1.6 * theme.font_size
    fig.add_vline(x=0, line={"color": theme.muted, "width": 1}, row=1, col=2)  # pyright: ignore[reportArgumentType]
    return fig.update_layout(height=round(len(at) * row_height + 8 * theme.font_size))


class ClassChanges(NamedTuple):
    """Accuracy by class: `frame` is `class_accuracy_changes`; the names of the first two studies."""

    frame: pd.DataFrame
    first: str
    other: str


def _table(studies: Sequence[Study], options: FigureOptions) -> ClassChanges:
    shared = shared_of_slice(studies)
    rows = shared.rows[:, shared.judged]
    pairs = zip(shared.studies, rows, strict=True)
    correct = np.stack([judged_of(study, study_rows).correct for study, study_rows in pairs])
    groups = groups_among(shared.groups, shared.judged)
    frame = class_accuracy_changes(correct, shared.labels[shared.judged], shared.names, groups=groups)
    return ClassChanges(frame, *shared.names[:2])


def _draw(data: ClassChanges, options: FigureOptions, theme: Theme) -> go.Figure:
    return class_changes(*data, theme=theme)


def _finding(data: ClassChanges) -> str:
    return class_change_finding(data.frame, data.other)


def _alt(data: ClassChanges) -> str:
    return f"Accuracy of each class in {data.first} and in {data.other}"


COMPARED_CLASSES = Chart(
    name="compared_classes",
    title="accuracy of each class in two studies, and its change; --with",
    needs=("probe",),
    table=_table,
    draw=_draw,
    finding=_finding,
    alt=_alt,
    studies=(2, MANY),
    column="double",
    same_images=True,
)
