"""The risk of images by two scores at once: a table of quantile cells, and its heat chart."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import Chart, score_values
from core.charts.marks import cells
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.dataframes import numbers, safe_divide
from core.common.formatting import percent
from core.common.records import Templates
from core.common.score_names import available_scores, score_label
from core.measures.intervals import wilson
from core.store import Study

_say = Templates.beside(__file__)
PAIR = ("distinctiveness", "knn_similarity")
BINS = 4
FEWEST = 5  # images that a cell needs for its risk to be written


def usual_pair(scores: Sequence[str]) -> tuple[str, str]:
    """Return the scores that a chart of two shows: PAIR, or with confidence without held-out images.

    >>> usual_pair(["distinctiveness", "confidence"])
    ('distinctiveness', 'confidence')
    """
    return PAIR if PAIR[1] in scores or "confidence" not in scores else (PAIR[0], "confidence")


def _quantile_bins(values: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(n,) int: which of `bins` equal parts of a score's ranks each image of a chart is in.

    (n,) int: which of `bins` equal parts of the ranks each value is in; ties share the mean rank.
    """
    ranks = pd.Series(values).rank().to_numpy()
    return np.minimum((ranks - 0.5) / max(len(values), 1) * bins, bins - 1).astype(int)


def pair_table(
    first: np.ndarray, second: np.ndarray, correct: np.ndarray, *, bins: int = BINS
) -> pd.DataFrame:
    """Error rate of the images by the quantiles of two scores, for a chart.

    Args:
        first, second: (n_images,) scores; correct: 1 correct, 0 misclassified. Images with NaN are left out.
    Returns:
        columns first, second (0 = lowest part), n, n_errors, risk (NaN without images), low, high (Wilson's
        95 % interval); bins * bins rows, or none without images.
    """
    defined = np.isfinite(first) & np.isfinite(second) & np.isfinite(correct)
    columns = ["first", "second", "n", "n_errors", "risk", "low", "high"]
    if not defined.any():
        return pd.DataFrame(columns=columns)
    cell = _quantile_bins(first[defined], bins) * bins + _quantile_bins(second[defined], bins)
    n = np.bincount(cell, minlength=bins * bins)
    errors = np.bincount(cell, weights=correct[defined] == 0, minlength=bins * bins)
    low, high = wilson(errors, n)
    cells = np.arange(bins * bins)
    values = (cells // bins, cells % bins, n, errors.astype(int), safe_divide(errors, n), low, high)
    return pd.DataFrame(dict(zip(columns, values, strict=True)))


def pair_finding(table: pd.DataFrame, pair: tuple[str, str]) -> str:
    """State below a chart of two scores the risk where both are lowest and where both are highest."""
    labels = tuple(score_label(name) for name in pair)
    if table.empty:
        return _say("none", names=labels)
    ends = table.iloc[[0, -1]]
    if (numbers(ends, "n") < FEWEST).any():  # as in the chart, whose cells are then empty
        return _say("share", names=labels)
    risks = tuple(percent(risk, 0) for risk in numbers(ends, "risk"))
    return _say("ends", names=(*labels, *risks))


def pair_heat(table: pd.DataFrame, pair: tuple[str, str], *, theme: Theme = LIGHT) -> go.Figure:
    """Plot the error rate by two scores; cells with fewer than FEWEST images stay empty.

    Args:
        table: `pair_table` of the two scores, the first upwards and the second to the right.
    """
    if table.empty:
        return note_figure("No image has both scores and a probe result.", theme)
    bins = int(np.sqrt(len(table)))
    grid = {name: numbers(table, name).reshape(bins, bins) for name in ("risk", "n", "low", "high")}
    enough = grid["n"] >= FEWEST
    percents = 100 * grid["risk"]
    text = []
    for row in zip(percents, grid["n"], enough, strict=True):
        cell_values = zip(*row, strict=True)
        text.append([f"{r:.0f} %<br>{n:,.0f} images" if drawn else "" for r, n, drawn in cell_values])
    parts = _part_names(bins)
    pale, strong = ("#2A3542", "#9A4D1B") if theme.is_dark else ("#F4F5F7", "#F0A468")
    shown = np.where(enough, percents, np.nan)
    ends = np.dstack([100 * grid["low"], 100 * grid["high"]])
    bar = {"title": {"text": "errors, %"}}
    scale = [[0, pale], [1, strong]]
    error_cells = cells(
        shown,
        parts,
        parts,
        scale=scale,
        bar=bar,
        hover="%{z:.1f} % errors (%{customdata[0]:.1f} to %{customdata[1]:.1f})",
        text=text,
        textfont={"color": theme.ink},
        customdata=ends,
        zmin=0,
    )
    fig = go.Figure(error_cells)
    axis = {"type": "category", "showgrid": False, "ticks": ""}
    fig.update_xaxes(title_text=score_label(pair[1]), showline=False, **axis)
    fig.update_yaxes(title_text=score_label(pair[0]), **axis)
    return finish(fig, theme, height=120 + 70 * bins)


def _part_names(bins: int) -> list[str]:
    """
    >>> _part_names(4)
    ['lowest quarter', 'second', 'third', 'highest quarter']
    """
    part = {2: "half", 3: "third", 4: "quarter", 5: "fifth"}.get(bins, "part")
    between = ("second", "third", "fourth")[: bins - 2] if bins <= 5 else map(str, range(2, bins))
    return [f"lowest {part}", *between, f"highest {part}"]


class PairRisk(NamedTuple):
    """Risk by two scores: `frame` is `pair_table`."""

    frame: pd.DataFrame
    scores: tuple[str, str]


def _table(study: Study, options: FigureOptions) -> PairRisk:
    """Read --score and the first one to compare with, or the usual pair."""
    usual = usual_pair(available_scores(study.kept("quality")))
    first, second = (options.score, options.against[0]) if options.against else usual
    values, correct = score_values(study, first)
    return PairRisk(pair_table(values, score_values(study, second)[0], correct), (first, second))


def _draw(data: PairRisk, options: FigureOptions, theme: Theme) -> go.Figure:
    return pair_heat(*data, theme=theme)


def _finding(data: PairRisk) -> str:
    return pair_finding(*data)


def _alt(data: PairRisk) -> str:
    return f"Share of errors by {' and '.join(map(score_label, data.scores))}"


SCORE_PAIR = Chart(
    name="score_pair",
    title="share of errors by two scores at once",
    needs=("quality", "probe"),
    table=_table,
    draw=_draw,
    finding=_finding,
    alt=_alt,
)
