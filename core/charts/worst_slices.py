"""Error rates of the worst slices."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, whole_study
from core.charts.marks import dots, interval, name_rows
from core.charts.options import FigureOptions
from core.charts.slice_rows import MOST_SLICES, ROW, cut_name, slice_names
from core.charts.theme import LIGHT, PERCENT_AXIS, Marks, Theme, finish, note_figure
from core.common.dataframes import as_text, numbers, words
from core.errors import StudyError
from core.slices import finder, inspection
from core.slices.finder import MIN_IMAGES
from core.slices.inspection.distinct import distinct_slices
from core.slices.inspection.names import feature_names
from core.slices.inspection.populations import shown_images
from core.slices.plain_names import plain_name
from core.slices.slice import Slice
from core.store import Study

LONGEST = 30  # characters of a feature's name in a row; with a longer one its number is all there is room for


def worst(table: pd.DataFrame, *, overall: float, theme: Theme = LIGHT) -> go.Figure:
    """Plot the error rate of each slice with its 95 % interval, the first row on top.

    Args:
        table: rows of `slice_finder.worst_slices`; `name` overrides the name of a row.
        overall: error rate of all evaluated images.
    """
    if table.empty:
        return note_figure(f"No slice of {MIN_IMAGES} images or more is significantly worse.", theme)
    rate, low, high = (100 * numbers(table, name) for name in ("error_rate", "low", "high"))
    rest = 100 * numbers(table, "rest")
    names = words(table, "name") if "name" in table else slice_names(table)
    places = np.arange(len(table))
    counts = zip(places.tolist(), numbers(table, "n"), numbers(table, "errors"), strict=True)
    customdata = [[at, as_text(names[at]), int(n), int(errors)] for at, n, errors in counts]
    error_bars = interval(rate, low, high, colour=theme.muted, thickness=theme.stroke(2))
    marker = {"size": theme.stroke(10), "color": theme.misclassified}
    error_rates = dots(
        rate,
        places,
        name="error rate, with its 95 % interval",
        marker=marker,
        cliponaxis=False,  # a rate of 100 % stands on the edge
        error_x=error_bars,
        customdata=customdata,
        hover="<b>%{customdata[1]}</b><br>%{customdata[3]:,} of %{customdata[2]:,} images "
        "misclassified: %{x:.1f} %",
    )
    tick = {
        "symbol": "line-ns-open",
        "size": theme.stroke(12),
        "color": theme.neutral,
        "line": {"width": theme.stroke(2)},
    }
    others = dots(
        rest, places, name="the images it is compared with", marker=tick, hover="%{x:.1f} % of the others"
    )
    fig = go.Figure([error_rates, others])
    marks = Marks(theme)
    if np.isfinite(overall):
        marks.vertical(100 * overall)
    marks.put_on(fig)
    dashed = f"; dashed: all, {100 * overall:.1f} %" if np.isfinite(overall) else ""
    fig.update_xaxes(title_text=f"Misclassified{dashed}", showgrid=True, **PERCENT_AXIS)
    fig.update_xaxes(range=[0, 103])
    name_rows(fig, [cut_name(name) for name in names], theme)
    return finish(fig, theme, height=130 + ROW * len(table))


class WorstSlices(NamedTuple):
    """Slices with more errors: `frame` are rows of `inspection.worst_within`, with a name each."""

    frame: pd.DataFrame
    overall: float  # error rate of all images


def _table(study: Study, options: FigureOptions) -> WorstSlices:
    """Read the slices that are significantly worse than the other images (of all slices, where none is) and
    show mostly errors of their own, as the page Errors lists them; the worst on top.

    Raises:
        StudyError: of no image it is known whether it is classified correctly.
    """
    whole, mask = whole_study(study), shown_images(study)
    outcomes = finder.judged(whole, mask)
    if outcomes is None:
        raise StudyError(f"no image of '{study.path}' has a verdict, so no slice of it is worse than another")
    table = inspection.worst_within(whole, mask)
    significant = numbers(table, "q") <= 0.05
    table = table.loc[significant | ~significant.any()].reset_index(drop=True)
    distinct = distinct_slices(
        whole, outcomes.wrong & outcomes.mask, [Slice.parse(str(text)) for text in table["where"]]
    )
    table = table.loc[distinct | ~distinct.any()].head(options.images or MOST_SLICES)
    words_of = {one: name for one, name in feature_names(whole).items() if len(name) <= LONGEST}
    names = [plain_name(Slice.parse(str(text)), words_of, study.feature_kind) for text in table["where"]]
    for beginning in ("images on which ", "images with "):  # all rows are of images
        names = [name.removeprefix(beginning) for name in names]
    return WorstSlices(table.assign(name=names), float(outcomes.wrong[outcomes.mask].mean()))


def _draw(data: WorstSlices, options: FigureOptions, theme: Theme) -> go.Figure:
    return worst(data.frame, overall=data.overall, theme=theme)


WORST_SLICES = Chart(
    name="worst_slices",
    title="error rates of the worst slices",
    needs=("probe",),
    table=_table,
    draw=_draw,
    alt=lambda _: "Error rates of the worst slices with their 95 % intervals",
)
