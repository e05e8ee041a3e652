"""Average representations of correct and misclassified images by class (Kalibhat 2024, Fig. 3)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.chart import Chart, class_numbers
from core.charts.marks import click_cells, name_rows
from core.charts.options import FigureOptions
from core.charts.shown_names import as_text, shortened
from core.charts.theme import LIGHT, Marks, Theme, finish, note_figure
from core.common.captions import cut_text
from core.store import Study

PANELS = ("correct", "misclassified", "difference")
PANEL_TITLE = {
    "correct": "<b>correct</b> images",
    "misclassified": "<b>misclassified</b> images",
    "difference": "<b>difference</b>: blue where correct images are stronger",
}
ENOUGH = 5  # classes with this many images per group come before those with fewer
FEWEST_COLUMNS, MOST_COLUMNS = 24, 60
MOST_FEATURE_TICKS = 64
NO_GROUPS = "No class has both correct and misclassified images, so there is nothing to compare."
LONGEST_NAME = 24  # characters of a feature's name below its column


def choose_classes(counts: np.ndarray, *, most: int = 10) -> np.ndarray:
    """Choose the classes of a chart that are best to compare: the smaller group has most images.

    Args:
        counts: (2, n_classes) correct and misclassified images. most: maximum number of classes.
    Returns:
        class numbers, ascending; only classes that have images in both groups.
    """
    smaller = np.asarray(counts).min(0)
    order = np.argsort(-np.minimum(smaller, max(ENOUGH, int(smaller.max(initial=0)))), kind="stable")
    return np.sort(order[smaller[order] > 0][:most])


def choose_features(
    class_means: np.ndarray,
    discriminative: np.ndarray,
    classes: Sequence[int] | np.ndarray,
    *,
    fewest: int = FEWEST_COLUMNS,
    most: int = MOST_COLUMNS,
) -> np.ndarray:
    """Combine for a chart the top discriminative features of some classes, in the classes' order.

    The train means decide, so the compared evaluation images do not influence the choice. Each class adds its
    top 1, 2, 3 … features until there are `fewest` distinct ones; a feature is listed with the class in which
    its mean is largest.

    Args:
        class_means: (n_features, n_classes) mean normalised h on train. discriminative: (n_features,) bool.
    Returns:
        at most `most` feature numbers.
    """
    means = np.nan_to_num(np.asarray(class_means, float)[:, list(classes)])  # (n_features, n_chosen)
    pool = np.flatnonzero(discriminative)
    if not len(pool) or not means.shape[1]:
        return np.empty(0, np.int64)
    order = pool[np.argsort(-means[pool], axis=0, kind="stable")]  # (n_pool, n_chosen), best first
    columns = np.empty(0, np.int64)
    for depth in range(1, len(order) + 1):
        columns = np.unique(order[:depth])
        if len(columns) >= fewest:
            break
    rank = np.argsort(np.argsort(-means[columns].max(1), kind="stable"))
    columns = columns[rank < most]
    home, peak = means[columns].argmax(1), means[columns].max(1)
    return columns[np.lexsort((-peak, home))]


class MeanCells(NamedTuple):
    """Mean representations of selected classes and features.

    Attributes:
        correct, misclassified: (n_classes, n_features), NaN rows if a class has no such image.
        class_names: of all classes. classes, features: numbers of the rows and columns, in the order drawn.
        counts: (2, n_classes) number of images behind each mean.
    """

    correct: np.ndarray
    misclassified: np.ndarray
    class_names: Sequence[str]
    classes: Sequence[int] | np.ndarray
    features: Sequence[int] | np.ndarray
    counts: np.ndarray | None = None

    @property
    def frame(self) -> pd.DataFrame:
        """The cells as rows: class, feature, correct, misclassified, difference."""
        numbers = (np.asarray(part, np.int64) for part in (self.classes, self.features))
        row, column = (part.ravel() for part in np.meshgrid(*numbers, indexing="ij"))
        right, wrong = self.correct[row, column], self.misclassified[row, column]
        names = [self.class_names[number] for number in row.tolist()]
        facts = {"class": names, "feature": column, "correct": right, "misclassified": wrong}
        return pd.DataFrame(facts).assign(difference=right - wrong)


def class_representations(
    data: MeanCells,
    *,
    panels: Sequence[str] = PANELS,
    words: Mapping[int, str] | None = None,
    selectable: bool = False,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot the mean normalised activation of selected features (columns) on the images of selected classes
    (rows), for correct and misclassified images on one colour scale, and their difference.

    Args:
        panels: which of `correct`, `misclassified`, `difference`, from top to bottom.
        words: what a feature is called, by its number; columns of other features have only their number.
        selectable: lay transparent points with customdata [class number, feature] over the cells, because
            plotly's heatmaps do not report clicks.
    """
    classes, features = (np.asarray(part, np.int64) for part in (data.classes, data.features))
    if not len(classes) or not len(features):
        return note_figure(NO_GROUPS if not len(classes) else "No feature was selected.", theme)
    means = {"correct": data.correct, "misclassified": data.misclassified}
    grids = {name: np.asarray(mean, float)[np.ix_(classes, features)] for name, mean in means.items()}
    grids["difference"] = grids["correct"] - grids["misclassified"]
    names = [as_text(str(data.class_names[number])) for number in classes]
    columns = [_column_name(number, (words or {}).get(number, "")) for number in features.tolist()]
    if words:
        columns = [_numbered(name) for name in columns]
    row_height, room = 1.5 * theme.font_size, 2.0 * theme.font_size  # of a title line between two panels
    gap = room / (3 * row_height * len(classes) + 2 * room)  # as a share of the plot
    fig = make_subplots(rows=len(panels), cols=1, shared_xaxes=True, vertical_spacing=gap)
    for row, panel in enumerate(panels, start=1):
        n = None if data.counts is None else np.asarray(data.counts)[:, classes]
        fig.add_trace(_cells(grids[panel], panel, names, columns, n), row=row, col=1)
        if selectable:
            grid = np.meshgrid(np.arange(len(features)), np.arange(len(names)))
            x, y = (part.ravel() for part in grid)
            places = np.column_stack([classes[y], features[x]])
            fig.add_trace(click_cells(x, y, places, size=14, hoverinfo="none"), row=row, col=1)
    _dress(fig, grids, panels, [str(data.class_names[number]) for number in classes], columns, theme)
    finish(fig, theme)
    below = 5 * theme.font_size
    if words:
        fig.update_xaxes(tickangle=-40, ticklabeloverflow="allow", title_text=None)
        below = (2 + 0.36 * max(map(len, columns))) * theme.font_size
        fig.update_layout(margin_l=_overhang(columns, theme))
    height = round(len(panels) * (len(classes) * row_height + 2.6 * theme.font_size) + below)
    return fig.update_layout(height=height, margin={"t": round(2.2 * theme.font_size), "r": 8})


def _cells(
    grid: np.ndarray, panel: str, names: list[str], columns: list[str], counts: np.ndarray | None
) -> go.Heatmap:
    sizes = "" if counts is None else "<br>%{customdata}"
    n = None if counts is None else [_sizes(panel, column) for column in counts.T]
    places = [[f"{name}, {_numbered(column)}" for column in columns] for name in names]
    customdata = None if n is None else [[size] * len(columns) for size in n]
    coloraxis = "coloraxis2" if panel == "difference" else "coloraxis"
    hover = f"<b>%{{text}}</b><br>{panel}: %{{z:.4f}}{sizes}<extra></extra>"
    x = np.arange(len(columns))
    y = np.arange(len(names))
    return go.Heatmap(
        z=grid,
        x=x,
        y=y,
        xgap=0.5,
        ygap=0.5,
        coloraxis=coloraxis,
        text=places,
        customdata=customdata,
        hovertemplate=hover,
        hoverongaps=False,
    )


def _overhang(columns: Sequence[str], theme: Theme) -> int:
    """Return the pixels that slanted names of the first columns need left of the plot."""
    letter = 0.42 * theme.font_size  # how far to the left each letter of a name goes
    column = 1.5 * theme.font_size  # the width of a narrow column
    return round(max(8.0, *(len(name) * letter - at * column for at, name in enumerate(columns))))


def _column_name(feature: int, words: str) -> str:
    """
    >>> _column_name(7, "blue, sky"), _column_name(7, "")
    ('blue, sky #7', '7')
    """
    return f"{as_text(cut_text(words, LONGEST_NAME))} #{feature}" if words else str(feature)


def _numbered(column: str) -> str:
    return column if " #" in column else f"#{column}"


def _sizes(panel: str, counts: np.ndarray) -> str:
    right, wrong = (f"{int(n):,}" for n in counts)
    words = {"correct": f"{right} images", "misclassified": f"{wrong} images"}
    return words.get(panel, f"{right} correct, {wrong} misclassified images")


def _dress(
    fig: go.Figure,
    grids: dict[str, np.ndarray],
    panels: Sequence[str],
    classes: list[str],
    columns: list[str],
    theme: Theme,
) -> None:
    marks = Marks(theme)
    for number, panel in enumerate(panels, start=1):
        axis = "" if number == 1 else str(number)
        corner = {"x": 0, "xref": "paper", "xanchor": "left", "y": 1, "yref": f"y{axis} domain"}
        marks.note(PANEL_TITLE[panel], color=theme.ink, small=False, **corner, yanchor="bottom", yshift=2)
    marks.put_on(fig)
    names = [as_text(shortened(str(name))) for name in classes]
    name_rows(fig, names, theme, span={"range": [len(classes) - 0.5, -0.5]})
    step = -(-len(columns) // MOST_FEATURE_TICKS)
    room = max(7, 560 // len(columns)) if theme.width is None else 6
    size = min(theme.font_size - 1, room)
    fig.update_xaxes(tickvals=np.arange(0, len(columns), step), ticktext=columns[::step], tickangle=-90)
    fig.update_xaxes(tickfont_size=size, showline=False, ticks="", range=[-0.5, len(columns) - 0.5])
    fig.update_xaxes(title_text="discriminative feature", row=len(panels), col=1)
    _colour_bars(fig, grids, panels, theme)


def _colour_bars(fig: go.Figure, grids: dict[str, np.ndarray], panels: Sequence[str], theme: Theme) -> None:
    means = [grids[name] for name in ("correct", "misclassified")]
    ends = [end(grid) for grid in means if np.isfinite(grid).any() for end in (np.nanmin, np.nanmax)]
    top, low = float(max(ends, default=1.0)), float(min([0.0, *ends]))  # below 0: of signed features
    gaps = grids["difference"]
    reach = float(np.nanmax(np.abs(gaps))) if np.isfinite(gaps).any() else 1.0
    n, apart = len(panels), "difference" in panels
    below = apart and panels[-1] == "difference"  # else the difference is the uppermost panel
    share = 1 / n
    bar = {"thickness": theme.font_size * 0.8, "outlinewidth": 0, "nticks": 4, "xpad": 4, "ypad": 0,
           "tickfont": {"size": theme.font_size - 2}, "title": {"side": "right"}}  # fmt: skip
    whole = (1 - share) if apart and n > 1 else 1.0  # what is left to the means
    upper, lower = {"y": 1, "yanchor": "top"}, {"y": 0, "yanchor": "bottom"}
    of_means = bar | (upper if below or not apart else lower)
    of_means |= {"len": 0.9 * whole, "title": {"text": "mean activation", "side": "right"}}
    of_difference = bar | (lower if below else upper)
    of_difference |= {"len": share * 0.9, "title": {"text": "difference", "side": "right"}}
    of_means_axis = {
        "colorscale": theme.sequential,
        "cmin": low,
        "cmax": top if top > low else 1.0,
        "showscale": n > 1 or not apart,
        "colorbar": of_means,
    }
    of_difference_axis = {
        "colorscale": theme.diverging,
        "cmin": -(reach or 1.0),
        "cmax": reach or 1.0,
        "showscale": apart,
        "colorbar": of_difference,
    }
    fig.update_layout(coloraxis=of_means_axis, coloraxis2=of_difference_axis)


def _table(study: Study, options: FigureOptions) -> MeanCells:
    counts = study.vector("group_counts")
    classes = class_numbers(study, options) or choose_classes(counts, most=10).tolist()
    features = list(options.features)
    if not features:
        discriminative = study.discriminative
        features = choose_features(study.vector("class_means"), discriminative, classes).tolist()
    names = ("class_means_correct", "class_means_misclassified")
    right, wrong = (study.vector(name) for name in names)
    return MeanCells(right, wrong, study.class_names, classes, features, counts)


def _draw(data: MeanCells, options: FigureOptions, theme: Theme) -> go.Figure:
    return class_representations(data, panels=options.panels or PANELS, theme=theme)


CLASS_REPRESENTATIONS = Chart(
    name="class_representations",
    title="average representations of correct and misclassified images",
    source="Kalibhat 2024, Fig. 3",
    needs=("features", "probe", "class_means_correct"),
    table=_table,
    draw=_draw,
    alt=lambda _: "Mean activation of features by class: difference, correct and misclassified images",
    column="double",
)
