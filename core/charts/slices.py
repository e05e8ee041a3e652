"""Charts of slices: the worst ones, how two differ, and which features fire there."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, whole_study
from core.charts.marks import dots, interval, name_rows, points_kind
from core.charts.options import FigureOptions
from core.charts.shared_rows import MOST_SLICES, MOST_TRAITS, ROW, cut_name, slice_names
from core.charts.shown_names import as_text
from core.charts.theme import LIGHT, PERCENT_AXIS, Marks, Theme, finish, note_figure
from core.common.captions import cut_text
from core.common.dataframes import numbers, words
from core.errors import StudyError
from core.measures import finder
from core.measures.feature_names import feature_names
from core.measures.finder import MIN_IMAGES, distinct_slices
from core.measures.plain_names import plain_name
from core.measures.slice import Slice
from core.measures.slice_comparison import compare_traits, population, shown_images
from core.measures.slice_words import worst_within
from core.store import Narrowed, Study

# Error rates of the worst slices.


LONGEST = 30  # characters of a feature's name in a row; with a longer one its number is all there is room for


def worst(table: pd.DataFrame, *, overall: float, theme: Theme = LIGHT) -> go.Figure:
    """Plot the error rate of each of the worst slices with 95 % intervals, the first row on top.

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


def _worst_table(study: Study, options: FigureOptions) -> WorstSlices:
    """Read the slices that are significantly worse than the other images (of all slices, where none is) and
    show mostly errors of their own, as the page Errors lists them; the worst on top.

    Raises:
        StudyError: of no image it is known whether it is classified correctly.
    """
    whole, mask = whole_study(study), shown_images(study)
    outcomes = finder.judged(whole, mask)
    if outcomes is None:
        raise StudyError(f"no image of '{study.path}' has a verdict, so no slice of it is worse than another")
    table = worst_within(whole, mask)
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


def _draw_worst(data: WorstSlices, options: FigureOptions, theme: Theme) -> go.Figure:
    return worst(data.frame, overall=data.overall, theme=theme)


WORST_SLICES = Chart(
    name="worst_slices",
    title="error rates of the worst slices",
    needs=("probe",),
    table=_worst_table,
    draw=_draw_worst,
    alt=lambda _: "Error rates of the worst slices with their 95 % intervals",
)


# Traits that are more common in one of two slices.


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


def _differences_table(study: Study, options: FigureOptions) -> Differences:
    """Compare a slice with another one, or with all others of its split; of a whole study, its misclassified
    images with the correct ones.

    Raises:
        StudyError: a whole study without verdicts.
    """
    whole = whole_study(study)
    if isinstance(study, Narrowed):
        against = Slice.parse(options.versus) if options.versus else None
        sides = population(whole, study.slice, against)
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


def _draw_differences(data: Differences, options: FigureOptions, theme: Theme) -> go.Figure:
    return differences(*data, limit=options.images or MOST_TRAITS, theme=theme)


def _differences_alt(data: Differences) -> str:
    return f"Difference of how often traits occur in {data.names[0]} and in {data.names[1]}"


SLICE_DIFFERENCES = Chart(
    name="slice_differences",
    title="what a slice has more often than the others (--versus)",
    needs=("features",),
    table=_differences_table,
    draw=_draw_differences,
    alt=_differences_alt,
    column="double",
)


# Figures about the features of a slice: how often each fires there and elsewhere.


MOST_NAMED, MOST_COVERED = 12, 1
NAME_HEIGHT, NAME_WIDTH = 0.045, 0.2  # of a point's name, in shares of the axes
NEVER = "None of these features fires on these images."


def rates_against(
    features: pd.DataFrame, *, here: str, elsewhere: str, q_below: float = 0.05, theme: Theme = LIGHT
) -> go.Figure:
    """Plot how often each feature fires on the images of a slice against how often on others.

    Points above the diagonal fire more often in the slice; those with a q below `q_below` are coloured.

    Args:
        features: feature, name, rate, rate_against, difference, q. here, elsewhere: names of the two sides.
    Returns:
        a figure whose points carry customdata[0] = feature.
    """
    drawn = np.isfinite(numbers(features, "difference"))
    drawn &= (numbers(features, "rate") > 0) | (numbers(features, "rate_against") > 0)
    rows = features.loc[drawn]
    if rows.empty:
        return note_figure(NEVER, theme)
    x, y = 100 * numbers(rows, "rate_against"), 100 * numbers(rows, "rate")
    difference, sure = numbers(rows, "difference"), numbers(rows, "q") < q_below
    unsure = ~sure
    more_often = sure & (difference > 0)
    less_often = sure & (difference < 0)
    kinds = {
        "could be chance": (unsure, theme.neutral),
        f"more often on {here}": (more_often, theme.discriminative),
        f"less often on {here}": (less_often, theme.misclassified),
    }
    fig = go.Figure()
    for name, (part, colour) in kinds.items():
        if part.any():
            points = _points(rows.loc[part], x[part], y[part], name, colour, (here, elsewhere), theme)
            fig.add_trace(points)
    reach = 1.15 * float(x.max()) or 1.0, 1.06 * float(y.max()) or 1.0
    marks = Marks(theme)
    line = {"color": theme.neutral, "dash": "dot", "width": 1}
    end = min(reach)
    marks.shapes.append(
        {"type": "line", "line": line, "layer": "below", "x0": 0, "y0": 0, "x1": end, "y1": end}
    )
    for at, left in _apart(x / reach[0], y / reach[1], np.flatnonzero(sure & (difference > 0))):
        number, name = f"#{int(rows['feature'].iat[at])}", as_text(words(rows, "name")[at])
        beside = {"xanchor": "right", "xshift": -8} if left else {"xanchor": "left", "xshift": 8}
        marks.note(f"{name} {number}".strip(), x=float(x[at]), y=float(y[at]), **beside)
    marks.put_on(fig)
    fig.update_xaxes(title_text=f"share of {as_text(elsewhere)}", range=[-0.02 * reach[0], reach[0]])
    fig.update_yaxes(title_text=f"share of {as_text(here)}", range=[-0.02 * reach[1], reach[1]])
    fig.update_xaxes(ticksuffix=" %").update_yaxes(ticksuffix=" %")
    fig.update_layout(legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    return finish(fig, theme, height=480)


def _apart(x: np.ndarray, y: np.ndarray, places: np.ndarray) -> list[tuple[int, bool]]:
    """Choose the points whose names can be written beside them, highest first.

    A name stands right of its point, or left where it covers fewer points there. It overlaps no other name,
    and covers at most `MOST_COVERED` points.

    Args:
        x, y: (n,) in [0, 1] of the axes. places: the points that may be named.
    Returns:
        the points, and whether the name stands left.
    """
    named, taken = [], []
    for at in places[np.argsort(-y[places], kind="stable")].tolist():
        near = np.abs(y - y[at]) < NAME_HEIGHT / 2
        beside = [span for height, span in taken if abs(y[at] - height) <= NAME_HEIGHT]
        sides = []
        for left, start in ((False, x[at]), (True, x[at] - NAME_WIDTH)):
            end = start + NAME_WIDTH
            if start >= 0 and all(end <= other[0] or start >= other[1] for other in beside):
                covers = near & (x > start) & (x < end) & (x != x[at])
                covered = int(np.count_nonzero(covers))
                sides.append((covered, left, (start, end)))
        if sides and len(named) < MOST_NAMED and min(sides)[0] <= MOST_COVERED:
            named.append((at, min(sides)[1]))
            taken.append((y[at], min(sides)[2]))
    return named


def _points(
    rows: pd.DataFrame,
    x: np.ndarray,
    y: np.ndarray,
    name: str,
    colour: str,
    sides: tuple[str, str],
    theme: Theme,
) -> go.Scatter | go.Scattergl:
    here, elsewhere = map(as_text, sides)
    data = np.empty((len(rows), 2), object)
    data[:, 0] = rows["feature"].to_numpy(np.int64)
    data[:, 1] = [as_text(words) for words in words(rows, "name")]
    marker = {"color": colour, "size": theme.stroke(8), "opacity": 0.85}
    unselected = {"marker": {"opacity": 0.85}}
    kind = points_kind(len(rows))
    return dots(
        x,
        y,
        kind=kind,
        name=as_text(name),
        marker=marker,
        unselected=unselected,
        customdata=data,
        hover="<b>#%{customdata[0]}</b> %{customdata[1]}<br>"
        f"{here}: %{{y:.1f}} %<br>{elsewhere}: %{{x:.1f}} %",
    )
