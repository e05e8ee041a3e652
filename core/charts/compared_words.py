"""The number of words that each pair of studies shares (Kalibhat, dissertation, Fig. B.1)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import MANY, Chart, shared_of_slice
from core.charts.marks import cells, named_axis
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.dataframes import as_text
from core.comparison.words import compare_words
from core.errors import StudyError
from core.store import Study


def concept_matrix(matrix: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot how many words each pair of studies shares; on the diagonal, a study's own words.

    Args:
        matrix: from `core.concepts.across.shared_matrix`.
    """
    if matrix.empty or not matrix.to_numpy().any():
        return note_figure("None of these studies has words.", theme)
    names = [as_text(str(name)) for name in matrix.index]
    values = matrix.to_numpy(np.float64)
    n = len(names)

    def words_of(i: int, j: int) -> str:
        if i == j:
            return f"{names[i]}: {values[i, i]:.0f} words"
        share = 100 * values[i, j] / max(values[i, i], 1)
        pair = f"{names[i]} and {names[j]}"
        return f"{pair} share {values[i, j]:.0f} words ({share:.0f} % of {names[i]}'s)"

    hover = [[words_of(i, j) for j in range(n)] for i in range(n)]
    axis, most, font_size = np.arange(n), values.max(), theme.font_size + 2
    counts = cells(
        values,
        axis,
        axis,
        scale=theme.sequential,
        zmin=0,
        zmax=most,
        texttemplate="%{z:.0f}",
        textfont_size=font_size,
        hovertext=hover,
        hoverinfo="text",
    )
    fig = go.Figure(counts)
    axis = named_axis(names, theme) | {"showline": False}
    fig.update_xaxes(axis, side="top", range=[-0.5, n - 0.5])
    fig.update_yaxes(axis, range=[n - 0.5, -0.5])
    return finish(fig, theme, height=72 * n + 90)


class SharedWords(NamedTuple):
    """Words that studies share: `matrix` is square, `frame` the same with the column `study`."""

    frame: pd.DataFrame
    matrix: pd.DataFrame


def _table(studies: Sequence[Study], options: FigureOptions) -> SharedWords:
    """Count the words that the features of each pair of studies share.

    Raises:
        StudyError: fewer than two of the studies have words.
    """
    compared = compare_words(shared_of_slice(studies))
    if compared is None:
        raise StudyError("words of two studies are needed")
    return SharedWords(compared.matrix.reset_index(names="study"), compared.matrix)


def _draw(data: SharedWords, options: FigureOptions, theme: Theme) -> go.Figure:
    return concept_matrix(data.matrix, theme=theme)


COMPARED_WORDS = Chart(
    name="compared_words",
    title="how many words each pair of studies shares; --with",
    needs=("concepts",),
    table=_table,
    draw=_draw,
    alt=lambda _: "Number of words that each pair of studies shares",
    studies=(2, MANY),
    same_images=True,
)
