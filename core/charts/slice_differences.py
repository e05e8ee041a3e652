"""Traits that are more common in one of two slices."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, whole_study
from core.charts.marks import dots, interval, name_rows
from core.charts.options import FigureOptions
from core.charts.slice_rows import MOST_TRAITS, ROW, cut_name
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure
from core.common.captions import cut_text
from core.common.dataframes import as_text, numbers, words
from core.errors import StudyError
from core.slices import finder, inspection
from core.slices.compare import compare_traits
from core.slices.inspection.names import feature_names
from core.slices.inspection.populations import shown_images
from core.slices.plain_names import plain_name
from core.slices.slice import Slice
from core.store import Narrowed, Study

LONGEST_SIDE = 34  # characters of the name of a slice below the chart


def differences(
    table: pd.DataFrame, names: tuple[str, str], *, limit: int = 12, theme: Theme = LIGHT
) -> go.Figure:
    """Plot how much more common traits are in the first of two slices, with 95 % intervals; the `limit` most
    significant ones on either side.

    Args:
        table: rows of `slice_compare.differences` of one kind, with `title`, the display name of each.
        names: of the two slices.
    """
    difference = numbers(table, "difference")
    rows = np.concatenate([np.flatnonzero(difference > 0)[:limit], np.flatnonzero(difference < 0)[:limit]])
    if not rows.size:
        return note_figure("Nothing is more common in one of the two.", theme)
    rows = rows[np.argsort(-difference[rows], kind="stable")]
    table = table.take(rows).reset_index(drop=True)
    value, low, high, q = (numbers(table, name) for name in ("difference", "low", "high", "q"))
    titles, places = words(table, "title"), np.arange(len(table))
    sure = q <= 0.05
    ends = 100 * value, 100 * low, 100 * high
    colours = [theme.misclassified if one > 0 else theme.correct for one in value]
    symbols = ["circle" if one else "circle-open" for one in sure]
    marker = {
        "size": theme.stroke(10),
        "color": colours,
        "symbol": symbols,
        "line": {"width": theme.stroke(2)},
    }
    traits = zip(table["trait"], titles, table["rate_a"], table["rate_b"], q, strict=True)
    details = [[trait, as_text(title), 100 * a, 100 * b, one] for trait, title, a, b, one in traits]
    hover = (
        "<b>%{customdata[1]}</b><br>on %{customdata[2]:.2f} % of "
        f"{as_text(names[0])}<br>on %{{customdata[3]:.2f}} % of {as_text(names[1])}<br>"
        "difference %{x:.2f} points, q = %{customdata[4]:.2g}"
    )
    error_bars = interval(*ends, colour=theme.muted, thickness=theme.stroke(2))
    points = dots(
        100 * value,
        places,
        showlegend=False,
        marker=marker,
        error_x=error_bars,
        customdata=details,
        hover=hover,
    )
    fig = go.Figure(points)
    Marks(theme).vertical(0.0).put_on(fig)
    first, second = (as_text(cut_text(name, LONGEST_SIDE)) for name in names)
    fig.update_xaxes(title_text=f"← {second} · percentage points · {first} →", showgrid=True)
    name_rows(fig, [cut_name(title) for title in titles], theme)
    return finish(fig, theme, height=110 + ROW * len(table))


class Differences(NamedTuple):
    """Traits that differ: `frame` are rows of `compare_traits` of one kind; the names of the two sides."""

    frame: pd.DataFrame
    names: tuple[str, str]


def _table(study: Study, options: FigureOptions) -> Differences:
    """Compare a slice with another one, or with all others of its split; of a whole study, its misclassified
    images with the correct ones.

    Raises:
        StudyError: a whole study without verdicts.
    """
    whole = whole_study(study)
    if isinstance(study, Narrowed):
        against = Slice.parse(options.versus) if options.versus else None
        sides = inspection.population(whole, study.slice, against)
        names = (_axis_name(study.slice), _axis_name(against) if against else "all others")
    else:
        outcomes = finder.judged(whole, shown_images(study))
        if outcomes is None:
            raise StudyError(
                f"no image of '{study.path}' has a verdict: name a slice to compare, with --where"
            )
        sides = outcomes.mask & outcomes.wrong, outcomes.mask & ~outcomes.wrong
        names = ("misclassified images", "correct images")
    table = compare_traits(whole, sides, feature_names(whole))
    return Differences(table.loc[table["kind"] == options.trait], names)


def _axis_name(images: Slice) -> str:
    """Name a slice for an axis; a saved one by its own name."""
    return images.saved[0] if images.saved else plain_name(images)


def _draw(data: Differences, options: FigureOptions, theme: Theme) -> go.Figure:
    return differences(*data, limit=options.images or MOST_TRAITS, theme=theme)


def _alt(data: Differences) -> str:
    return f"Difference of how often traits occur in {data.names[0]} and in {data.names[1]}"


SLICE_DIFFERENCES = Chart(
    name="slice_differences",
    title="what a slice has more often than the others (--versus)",
    needs=("features",),
    table=_table,
    draw=_draw,
    alt=_alt,
    column="double",
)
