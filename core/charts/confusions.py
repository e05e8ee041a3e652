"""The confusion matrix: classes taken for each other."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, narrowed_of
from core.charts.marks import cells, click_cells, named_axis
from core.charts.options import FigureOptions
from core.charts.shown_names import as_text, shortened
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.captions import with_class_names
from core.common.dataframes import numbers
from core.errors import StudyError
from core.store import Study

MOST_CLASSES = 24
MOST_WITH_NUMBERS = 12  # classes of a confusion matrix whose cells are large enough for a number
SMALLEST_CELL = 18  # pixels
LONGEST_NAME = 18  # characters beside a confusion matrix; the hover text has the whole name
NO_ERRORS = "No image was misclassified, so there are no confusions."


def confused_classes(
    pairs: pd.DataFrame, class_names: Sequence[str], *, most: int = MOST_CLASSES
) -> list[str]:
    """Choose the classes that a chart of confusions shows: of the most common ones, in the study's order.

    Those that no image has as label come after them.

    Args:
        pairs: one row per confusion (true, predicted, n_images).
    """
    class_names = [*class_names, *sorted({*pairs["predicted"]} - {*class_names})]
    confused: set[str] = set()
    order = np.argsort(-numbers(pairs, "n_images"), kind="stable")
    for pair in pairs[["true", "predicted"]].to_numpy(object)[order]:
        if len(confused | {*pair}) <= most:
            confused |= {*pair}
    return [str(name) for name in class_names if name in confused]


def confusion_matrix(
    pairs: pd.DataFrame,
    classes: Sequence[str],
    *,
    truths: Sequence[str] | None = None,
    selected: tuple[str, str] | None = None,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot how many images of each true class (rows) the probe assigned to each other class (columns).

    Transparent points with customdata [true, predicted] lie over the non-empty cells, because plotly's
    heatmaps do not report clicks.

    Args:
        pairs: one row per confusion (true, predicted, n_images). classes: the classes to draw, in order.
        truths: the true classes to draw, where not all of `classes`.
        selected: (true, predicted) of the cell to frame.
    """
    rows, columns = list(classes if truths is None else truths), list(classes)
    counts = pairs.pivot(index="true", columns="predicted", values="n_images")
    grid = counts.reindex(index=rows, columns=columns).to_numpy(np.float64, na_value=np.nan)
    filled = np.argwhere(grid > 0).tolist()
    if not filled:
        return note_figure(NO_ERRORS, theme)
    n = len(columns)
    upright = 7 * max(len(_short(name)) for name in classes)  # pixels that the names of the columns take
    cell = max(SMALLEST_CELL, min(36, round(420 / n)))
    name_size = theme.font_size - (3 if n > MOST_WITH_NUMBERS else 1)
    most = np.nanmax(grid)
    bar = _colour_bar(float(most), theme)
    template = "%{z:.0f}" if n <= MOST_WITH_NUMBERS else ""
    font_size = theme.font_size - 2
    y = np.arange(len(rows))
    x = np.arange(n)
    counted_cells = cells(
        grid,
        x,
        y,
        scale=theme.sequential,
        zmin=0,
        zmax=most,
        xgap=1,
        ygap=1,
        texttemplate=template,
        textfont_size=font_size,
        bar=bar,
        hoverinfo="skip",
        hoverongaps=False,
    )
    fig = go.Figure(counted_cells)
    hovers = []
    for true, predicted in filled:
        names = f"<b>{as_text(rows[true])}</b> taken for <b>{as_text(columns[predicted])}</b>"
        hovers.append(f"{names}: {grid[true, predicted]:,.0f}")
    customdata = [[rows[true], columns[predicted]] for true, predicted in filled]
    predicted_columns = [predicted for _, predicted in filled]
    true_rows = [true for true, _ in filled]
    clickable = click_cells(
        predicted_columns,
        true_rows,
        customdata,
        size=cell - 4,
        selected={"marker": {"opacity": 0}},
        hovertext=hovers,
        hoverinfo="text",
    )
    fig.add_trace(clickable)
    shapes = []
    for row, name in enumerate(rows):
        if name in columns:
            shapes.append(_frame(columns.index(name), row, theme.grid, fill=theme.grid))
    if selected is not None and selected[0] in rows and selected[1] in columns:
        shapes.append(_frame(columns.index(selected[1]), rows.index(selected[0]), theme.accent))
    answers_axis = named_axis([as_text(_short(name)) for name in columns], theme)
    fig.update_xaxes(
        answers_axis,
        title_text="the answer",
        side="top",
        showline=False,
        range=[-0.5, n - 0.5],
        tickangle=-90,  # upright names stand in the middle of their columns; slanted ones lean out of them
        tickfont_size=name_size,
    )
    truths_axis = named_axis([as_text(_short(name)) for name in rows], theme)
    fig.update_yaxes(truths_axis, title_text="truth", range=[len(rows) - 0.5, -0.5], tickfont_size=name_size)
    if theme.height:  # on paper: as high as the names of the rows need
        needed = round(1.2 * name_size * len(rows)) + 100 + upright
        theme = replace(theme, height=max(theme.height, needed))
    finish(fig, theme, height=max(cell * len(rows), 60) + 100 + upright)
    return fig.update_layout(shapes=shapes, margin_t=8)


def _colour_bar(most: float, theme: Theme) -> dict[str, Any]:
    """Below the matrix, so that its columns have the whole width."""
    ticks = {"dtick": 1} if most < 5 else {"nticks": 5}  # no halves of images
    title = {"text": "images", "side": "right", "font_size": theme.font_size - 1}
    tick_font = {"color": theme.muted, "size": theme.font_size - 1}
    return {
        "title": title,
        "orientation": "h",
        "y": 0,
        "yanchor": "top",
        "len": 0.6,
        "thickness": theme.font_size - 2,
        "tickfont": tick_font,
        "tickformat": ",d",
        **ticks,
    }


def _short(name: str) -> str:
    return shortened(with_class_names(name), LONGEST_NAME)  # a WordNet id is short, its name may not be


def _frame(x: int, y: int, colour: str, *, fill: str | None = None) -> dict:
    ends = {"x0": x - 0.5, "x1": x + 0.5, "y0": y - 0.5, "y1": y + 0.5}
    line = {"color": colour, "width": 0 if fill else 3}
    return (
        {"type": "rect", "line": line, "layer": "below" if fill else "above"}
        | ends
        | ({"fillcolor": fill, "opacity": 0.5} if fill else {})
    )


def sides(pairs: pd.DataFrame, classes: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the classes of a chart of confusions that were mistaken (rows), and answered (columns)."""
    drawn = pairs.loc[(pairs["true"].isin(classes) & pairs["predicted"].isin(classes)).to_numpy(bool)]
    mistaken, answered = set(drawn["true"]), set(drawn["predicted"])
    return [name for name in classes if name in mistaken], [name for name in classes if name in answered]


class Confusions(NamedTuple):
    """Confusions: `frame` has a row per pair (true, predicted, n_images); the classes to draw, in order."""

    frame: pd.DataFrame
    classes: list[str]


def _table(study: Study, options: FigureOptions) -> Confusions:
    """Count the images of each class that the probe takes for each other class.

    Raises:
        StudyError: no image has a label.
    """
    if not study.labelled:
        raise StudyError(f"no image of '{study.path}' has a class, so none is confused with another")
    pairs = narrowed_of(study).table("confusions").rename(columns={"n": "n_images"})
    return Confusions(pairs, list(options.classes) or confused_classes(pairs, study.class_names))


def _draw(data: Confusions, options: FigureOptions, theme: Theme) -> go.Figure:
    rows, columns = sides(*data)
    return confusion_matrix(data.frame, columns, truths=rows, theme=theme)


CONFUSIONS = Chart(
    name="confusions",
    title="classes taken for each other",
    needs=("probe",),
    table=_table,
    draw=_draw,
    alt=lambda _: "Number of misclassified images of each true class, by the answer",
)
