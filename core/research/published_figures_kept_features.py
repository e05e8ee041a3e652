"""Kalibhat 2024, Figs 2, A.5, A.7: accuracy of a probe that uses only some of the features."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.analysis.caveats import stored_percentile
from core.charts.chart import MANY, Chart
from core.charts.marks import band, line
from core.charts.options import FigureOptions
from core.charts.shown_names import as_text
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.dataframes import numbers
from core.common.step_facts import FeaturesFacts
from core.store import Study

# What a reader of the curves of kept features should know. No torch.


def curves_notes(rate: np.ndarray, *, epsilon: float, low: float = 50.0) -> list[str]:
    """List what features that never fire do to the curves of kept features (docs/method.md 3.2) (research).

    As long as P_10s(A) = 0, the band [10 s, 100 - s] holds every feature that never fires. Empty where even
    P_10(A) > 0.

    Args:
        rate: (n_features,) activation rates A_j in percent of the train images.
        low: the study's lower percentile.

    >>> curves_notes(np.array([0.0, 0.0, 2.0, 5.0]), epsilon=4, low=50)
    ['2 of 4 features never fire at epsilon 4.', 'Up to the 30th percentile, no rare feature is removed.']
    """
    rate = np.asarray(rate, np.float64)
    silent = [percent for percent in range(10, 100, 10) if len(rate) and np.percentile(rate, percent) == 0]
    if not silent:
        return []
    n_never = int((rate == 0).sum())
    notes = [
        f"{n_never:,} of {len(rate):,} features never fire at epsilon {epsilon:g}.",
        f"Up to the {silent[-1]}th percentile, no rare feature is removed.",
    ]
    if np.percentile(rate, low) == 0:
        notes.append(f"P_{low:g}(A) = 0: run features with --epsilon auto, then probe --curves.")
    return notes


def notes_on_curves(study: Study) -> list[str]:
    """Return the notes on a study's curves of kept features; for many studies there are none (research)."""
    if not study.has("features"):
        return []
    rate = study.table("features", ["activation_rate"])["activation_rate"].to_numpy(np.float64)
    epsilon = study.facts(FeaturesFacts).epsilon
    if epsilon is None:
        return []
    return curves_notes(
        rate, epsilon=epsilon, low=stored_percentile(study.settings("features").get("low"), 50.0)
    )


# Kalibhat 2024, Figs 2, A.5, A.7: accuracy of a probe that uses only some of the features.


NAMES = {
    "discriminative": "discriminative features",
    "random": "equally many at random",
    "pca": "equally many principal components",
    "lower": "rarest features",
    "upper": "most common features",
}
PANELS_A_ROW = 3


def kept_features(
    tables: Mapping[str, pd.DataFrame],
    *,
    notes: Mapping[str, Sequence[str]] | None = None,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Plot probe accuracy against the share of features removed (research): a panel per study.

    Args:
        tables: name of the study -> `probe_curves`: curve, removed (percent), n_kept, accuracy, accuracy_low,
            accuracy_high, runs.
        notes: name of the study -> sentences for a reader of its curves, written below the chart.
    """
    if not any(len(table) for table in tables.values()):
        return note_figure("No curve of kept features was computed.", theme)
    colours = {
        "discriminative": theme.discriminative,
        "random": theme.neutral,
        "pca": theme.accent,
        "lower": theme.lower,
        "upper": theme.upper,
    }
    n_columns = min(len(tables), PANELS_A_ROW)
    n_rows = -(-len(tables) // n_columns)
    titles = [as_text(name) for name in tables] if len(tables) > 1 else None
    figure = make_subplots(n_rows, n_columns, subplot_titles=titles, shared_yaxes=False)
    for panel, table in enumerate(tables.values()):
        row, column = panel // n_columns + 1, panel % n_columns + 1
        for curve, colour in colours.items():
            part = table.loc[table["curve"] == curve]
            for trace in _line(part, curve, colour, theme, named=panel == 0):
                figure.add_trace(trace, row, column)
    figure.update_annotations(font_size=theme.font_size)
    if titles:  # the legend is above them
        figure.update_layout(legend={"y": 1.14, "yanchor": "bottom"}, margin={"t": 6 * theme.font_size})
    figure.update_xaxes(title_text="features removed", ticksuffix=" %")
    figure.update_yaxes(ticksuffix=" %")
    figure.update_yaxes(title_text="top-1 accuracy", col=1)
    lines = _caption_lines(notes or {}, named=len(tables) > 1)
    if lines:
        _write_below(figure, lines, theme)
    return finish(figure, theme, height=400 * n_rows + len(lines) * theme.font_size)


def _caption_lines(notes: Mapping[str, Sequence[str]], *, named: bool) -> list[str]:
    """Return the caption of a published figure (research); lines begin with the study's name if several."""
    return [
        as_text(f"{name}: {sentence}" if named else sentence)
        for name, sentences in notes.items()
        for sentence in sentences
    ]


def _write_below(figure: go.Figure, lines: list[str], theme: Theme) -> None:
    axis = 3.6 * theme.font_size  # the numbers and the title of the axis
    font = {"color": theme.muted, "size": theme.font_size - 2}
    figure.add_annotation(
        text="<br>".join(lines),
        font=font,
        showarrow=False,
        align="left",
        x=0,
        xref="paper",
        xanchor="left",
        y=0,
        yref="paper",
        yanchor="top",
        yshift=-axis,
    )
    figure.update_layout(margin={"b": axis + (len(lines) + 1) * theme.font_size})


def _line(part: pd.DataFrame, curve: str, colour: str, theme: Theme, *, named: bool) -> list[go.Scatter]:
    order = np.argsort(numbers(part, "removed"), kind="stable")
    if not len(order):
        return []
    removed, n_kept = (numbers(part, name)[order] for name in ("removed", "n_kept"))
    middle, low, high = (
        100 * numbers(part, name)[order] for name in ("accuracy", "accuracy_low", "accuracy_high")
    )
    dash = "dot" if curve == "random" else "solid"
    hover = f"{NAMES[curve]}<br>%{{customdata:.0f}} kept, %{{x:.0f}} % removed: %{{y:.2f}} %"
    marker = {"size": theme.stroke(6)}
    width = theme.stroke(2.5)
    curve_name = NAMES[curve]
    drawn = line(
        removed,
        middle,
        colour=colour,
        width=width,
        dash=dash,
        hover=hover,
        mode="lines+markers",
        name=curve_name,
        legendgroup=curve,
        showlegend=named,
        marker=marker,
        customdata=n_kept,
    )
    if not (high > low).any():
        return [drawn]
    return [band(removed, low, high, colour=colour, alpha=0.2, legendgroup=curve), drawn]


class KeptCurves(NamedTuple):
    """Curves of several studies: `frame` is `probe_curves` of all, with the column `study`."""

    frame: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    notes: dict[str, list[str]]


def _table(studies: Sequence[Study], options: FigureOptions) -> KeptCurves:
    tables = {study.name: study.table("probe_curves") for study in studies}
    frame = pd.concat([table.assign(study=name) for name, table in tables.items()], ignore_index=True)
    return KeptCurves(frame, tables, {study.name: notes_on_curves(study) for study in studies})


def _draw(curves: KeptCurves, options: FigureOptions, theme: Theme) -> go.Figure:
    return kept_features(curves.tables, notes=curves.notes, theme=theme)


KEPT_FEATURES = Chart(
    name="kept_features",
    title="probe accuracy against the share of features removed; --with: several studies",
    source="Kalibhat 2024, Figs 2, A.5, A.7",
    needs=("probe", "probe_curves"),
    table=_table,
    draw=_draw,
    studies=(1, MANY),
    column="double",
)
