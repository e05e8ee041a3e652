"""Which encoder? Encoders on the same images, as a chart and as a table in LaTeX."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.chart import MANY, Chart, whole_study
from core.charts.documents import escaped
from core.charts.heat_panels import short
from core.charts.marks import dots, interval, named_axis
from core.charts.options import FigureOptions
from core.charts.shown_names import as_text
from core.charts.theme import LIGHT, Theme, finish
from core.common.dataframes import numbers
from core.compare.leaderboard import (
    LEGEND,
    SHARES,
    Leaderboard,
    leaderboard,
    leaderboard_cells,
    leaderboard_finding,
    scope_of,
)
from core.errors import SettingsError
from core.store import Narrowed, Study

# Which encoder? Accuracy, worst class and slice, and prediction of errors, on the same images.


PANELS = (  # title, and measures with their names in the legend
    ("Accuracy", (("accuracy", "probe"), ("knn", "k-NN"))),
    ("Worst part", (("worst_class", "worst class"), ("worst_slice", "worst slice"))),
    ("Prediction of errors (AUROC)", (("confidence_auroc", "by confidence"), ("q_auroc", "by Q"))),
)
ROW, APART = 46, 0.16  # pixels of an encoder; of it between two measures
NARROW = 500  # pixels below which panels stand in one column


class Board:
    """A leaderboard that is drawn; `frame`: the numbers, a row a measure and encoder."""

    def __init__(self, board: Leaderboard):
        self.board, self.frame = board, board.measures


def _read_board(studies: Sequence[Study], options: FigureOptions) -> Board:
    """Read the leaderboard of studies for its chart.

    Raises:
        SettingsError: they are narrowed to a slice. StudyError: as `leaderboard`.
    """
    del options
    if isinstance(studies[0], Narrowed) and studies[0].slice:
        raise SettingsError(
            "a leaderboard is of all labelled images that the studies share; leave out the filter"
        )
    return Board(leaderboard([whole_study(study) for study in studies]))


def _draw_board(data: Board, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot a leaderboard: a row an encoder, best on top, a panel for each kind of number, 95 % intervals."""
    names = data.board.names
    shown = [(title, present) for title, measures in PANELS if (present := _held(data.frame, measures))]
    columns = 1 if (theme.width or NARROW) < NARROW else len(shown)
    n_rows = -(-len(shown) // columns)
    fig = make_subplots(
        rows=n_rows,
        cols=columns,
        shared_yaxes=columns > 1,
        subplot_titles=[title for title, _ in shown],
        horizontal_spacing=0.05,
        vertical_spacing=0.3 / n_rows,
    )
    labels = [_label(name, letters) for name, letters in zip(names, data.board.frame["letters"], strict=True)]
    colours = (
        (theme.discriminative, theme.neutral),
        (theme.misclassified, theme.accent),
        (theme.correct, theme.upper),
    )
    for number, (title, measures) in enumerate(shown):
        row, col = number // columns + 1, number % columns + 1
        pair = dict(zip([one for one, _ in PANELS], colours, strict=True))[title]
        for place, (measure, name) in enumerate(measures):
            rows = data.frame.loc[data.frame["measure"] == measure]
            side = APART * (place - (len(measures) - 1) / 2) * 2
            fig.add_trace(_trace(rows, names, name, side, pair[place], theme), row=row, col=col)
        suffix = " %" if measures[0][0] in SHARES else ""
        fig.update_xaxes(ticksuffix=suffix, nticks=6, row=row, col=col)
        fig.update_yaxes(named_axis(labels, theme) if col == 1 else {}, row=row, col=col)
        fig.update_yaxes(range=[len(names) - 0.5, -0.5], row=row, col=col)
    fig.update_annotations(font={"size": theme.font_size, "color": theme.ink})
    scale = theme.font_size / LIGHT.font_size
    finish(fig, theme, height=round((110 + ROW * len(names)) * n_rows * scale))
    return fig.update_layout(margin_t=round(64 * scale), legend_y=-0.16, legend_yanchor="top")


def _held(frame: pd.DataFrame, measures: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The measures of a panel that an encoder has."""
    measures_with_values = []
    for measure, name in measures:
        values = numbers(frame.loc[frame["measure"] == measure], "value")
        if np.isfinite(values).any():
            measures_with_values.append((measure, name))
    return measures_with_values


def _trace(
    rows: pd.DataFrame, names: Sequence[str], name: str, side: float, colour: str, theme: Theme
) -> go.Scatter:
    scale = 100 if str(rows["measure"].iat[0]) in SHARES else 1
    unit = " %" if scale == 100 else ""
    value, low, high = (scale * numbers(rows, part) for part in ("value", "low", "high"))
    y = rows["study"].map(list(names).index).to_numpy() + side
    marker = {"color": colour, "size": theme.stroke(9)}
    error_bars = interval(value, low, high, colour=colour, thickness=theme.stroke(1.5))
    customdata = np.column_stack([rows["study"].map(as_text), low, high])
    hover = (
        f"<b>%{{customdata[0]}}</b>, {name}: %{{x:.3~g}}{unit} "
        "(%{customdata[1]:.3~g} to %{customdata[2]:.3~g})"
    )
    return dots(value, y, name=name, marker=marker, error_x=error_bars, customdata=customdata, hover=hover)


def _label(name: str, letters: str) -> str:
    return f"{as_text(short(name))}  <b>{as_text(letters)}</b>"


def _draw(data: Board, options: FigureOptions, theme: Theme) -> go.Figure:
    return _draw_board(data, theme=theme)


def _finding(data: Board) -> str:
    return leaderboard_finding(data.board)


def _alt(data: Board) -> str:
    return f"Numbers of {len(data.board.names)} encoders. {_finding(data)}"


LEADERBOARD = Chart(
    name="leaderboard",
    title="which encoder: accuracy, worst class and slice, prediction of errors, out of fold; --with",
    needs=("leaderboard",),
    table=_read_board,
    draw=_draw,
    finding=_finding,
    alt=_alt,
    studies=(2, MANY),
    column="double",
    same_images=True,
)


# A leaderboard as a table in LaTeX.


def leaderboard_latex(board: Leaderboard) -> str:
    r"""Return the leaderboard chart's numbers as an environment `table*` of LaTeX; it needs no package."""
    head, *rows = leaderboard_cells(board)
    caption = escaped(f"{leaderboard_finding(board)}. {scope_of(board)} {LEGEND}")
    columns = "l" * 3 + "r" * (len(head) - 3)
    lines = [
        r"\begin{table*}[htbp]",
        r"  \centering\footnotesize",
        rf"  \caption{{{caption}}}",
        r"  \label{tab:leaderboard}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \hline",
        _latex_row(head),
        r"    \hline",
    ]
    lines += [*map(_latex_row, rows), r"    \hline", r"  \end{tabular}", r"\end{table*}", ""]
    return "\n".join(lines)


def _latex_row(cells: list[str]) -> str:
    return rf"    {' & '.join(map(escaped, cells))} \\"
