"""Figures of concepts and failures: words with scores, confusions, and features behind a prediction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.dataframes import as_text, numbers, words

MOST_CLASSES = 24
MOST_WITH_NUMBERS = 12  # classes of a confusion matrix whose cells are large enough for a number
SMALLEST_CELL = 18  # pixels
LONGEST_NAME = 18  # characters beside a confusion matrix; the hover text has the whole name
NO_WORDS = "No word of this feature was kept."
NO_ERRORS = "No image was misclassified, so there are no confusions."


def word_bars(concepts: pd.DataFrame, *, theme: Theme = LIGHT) -> go.Figure:
    """Plot the words of one feature with their scores, best first; discarded words in grey below the kept
    ones.

    Args:
        concepts: rows of table `concepts` of one group (word, kind, score, kept).
    """
    if not len(concepts):
        return note_figure(NO_WORDS, theme)
    kept = concepts["kept"].to_numpy(bool)
    order = np.lexsort((-numbers(concepts, "score"), ~kept))
    frame, kept = concepts.iloc[order], kept[order]
    said = [f"{kind}, {'kept' if keep else 'discarded'}"
            for kind, keep in zip(words(frame, "kind"), kept, strict=True)]  # fmt: skip
    colours = np.where(kept, theme.discriminative, theme.neutral)
    fig = _bars(numbers(frame, "score"), words(frame, "word"), colours.tolist(), said, theme, digits=2)
    fig.update_xaxes(title_text="word score")
    return fig


def class_bars(counts: pd.DataFrame, *, most: int = 10, theme: Theme = LIGHT) -> go.Figure:
    """Plot the classes of the images that highly activate a feature, most common first.

    Args:
        counts: one row per class (label, n_images), most common first. most: classes shown; the others are
            added up in a last bar.
    """
    if not len(counts):
        return note_figure("These images have no labels.", theme)
    values, names = numbers(counts, "n_images"), words(counts, "label")
    total = values.sum()
    if len(values) > most:
        n_others = len(values) - most
        values = np.append(values[:most], values[most:].sum())
        names = [*names[:most], f"{n_others} other class{'es' * (n_others > 1)}"]
    said = [f"{100 * value / total:.0f} % of its images" for value in values]
    colours = [theme.correct] * most + [theme.neutral]
    fig = _bars(values, names, colours[: len(names)], said, theme, digits=0)
    return fig.update_xaxes(title_text="images")


def contribution_bars(features: pd.DataFrame, *, colour: str, theme: Theme = LIGHT) -> go.Figure:
    """Plot each feature's contribution to the logit of a prediction, averaged over the images of a pair.

    Args:
        features: rows of table `failure_pairs` of one pair and side (feature, contribution, words).
        colour: of the bars.
    """
    if not len(features):
        return note_figure("No feature supports this answer.", theme)
    names = [f"Feature {number}" for number in features["feature"].tolist()]
    said = words(features, "words")
    return _bars(
        numbers(features, "contribution"), names, [colour] * len(names), said, theme, digits=2
    ).update_xaxes(title_text="adds to the logit")


def _bars(
    values: np.ndarray,
    names: Sequence[str],
    colours: list[str],
    said: Sequence[str],
    theme: Theme,
    *,
    digits: int,
) -> go.Figure:
    """Draw horizontal bars, the first on top, labelled with their values."""
    place = np.arange(len(values))
    fig = go.Figure(
        go.Bar(
            x=values,
            y=place,
            orientation="h",
            marker={"color": colours},
            text=[f"{value:.{digits}f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertext=[
                f"<b>{as_text(name)}</b>: {value:.{digits and digits + 2}f}<br>{as_text(more)}"
                for name, value, more in zip(names, values, said, strict=True)
            ],
            hoverinfo="text",
        )
    )
    longest = float(np.nanmax(values, initial=0.0)) or 1.0
    fig.update_xaxes(range=[0, 1.16 * longest])
    fig.update_yaxes(
        autorange="reversed",
        tickvals=place,
        ticktext=[as_text(name) for name in names],
        showgrid=False,
        ticks="",
        ticklabelstandoff=6,
        tickfont_color=theme.ink,
    )
    finish(fig, theme, height=80 + 26 * len(values))
    return fig.update_layout(bargap=0.28, margin_t=4)


def confused_classes(
    pairs: pd.DataFrame, class_names: Sequence[str], *, most: int = MOST_CLASSES
) -> list[str]:
    """Return the classes with the most confusions (as truth or as prediction), in the study's order.

    Args:
        pairs: one row per confusion (true, predicted, n_images).
    """
    place = {name: at for at, name in enumerate(class_names)}
    totals = np.zeros(len(class_names))
    for side in ("true", "predicted"):
        codes = np.array([place[name] for name in pairs[side]], np.int64)
        np.add.at(totals, codes, numbers(pairs, "n_images"))
    chosen = np.argsort(-totals, kind="stable")[:most]
    return [str(class_names[at]) for at in sorted(chosen.tolist()) if totals[at] > 0]


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
    cells = np.argwhere(grid > 0).tolist()
    if not cells:
        return note_figure(NO_ERRORS, theme)
    n = len(columns)
    upright = 7 * max(len(_shortened(name)) for name in classes)  # pixels that the names of the columns take
    cell = max(SMALLEST_CELL, min(36, round(420 / n)))
    fig = go.Figure(
        go.Heatmap(
            z=grid,
            x=np.arange(n),
            y=np.arange(len(rows)),
            colorscale=theme.sequential,
            zmin=0,
            zmax=np.nanmax(grid),
            xgap=1,
            ygap=1,
            texttemplate="%{z:.0f}" if n <= MOST_WITH_NUMBERS else "",
            textfont_size=theme.font_size - 2,
            colorbar={  # below, so that the columns have the whole width
                "title": {"text": "images", "side": "bottom", "font_size": theme.font_size - 1},
                "orientation": "h",
                "y": 0,
                "yanchor": "top",
                "len": 0.6,
                "thickness": theme.font_size - 2,
                "outlinewidth": 0,
                "tickfont": {"color": theme.muted, "size": theme.font_size - 1},
                "tickformat": ",d",
                "nticks": 5,
            },
            hoverinfo="skip",
            hoverongaps=False,
        )
    )
    fig.add_trace(
        go.Scatter(
            x=[predicted for _, predicted in cells],
            y=[true for true, _ in cells],
            mode="markers",
            marker={"size": cell - 4, "opacity": 0, "symbol": "square"},
            selected={"marker": {"opacity": 0}},
            unselected={"marker": {"opacity": 0}},
            customdata=[[rows[true], columns[predicted]] for true, predicted in cells],
            hovertext=[
                f"<b>{as_text(rows[true])}</b> taken for <b>{as_text(columns[predicted])}</b>: "
                f"{grid[true, predicted]:,.0f}"
                for true, predicted in cells
            ],
            hoverinfo="text",
            showlegend=False,
        )
    )
    shapes = [
        _frame(columns.index(name), at, theme.grid, fill=theme.grid)
        for at, name in enumerate(rows)
        if name in columns
    ]
    if selected is not None and selected[0] in rows and selected[1] in columns:
        shapes.append(_frame(columns.index(selected[1]), rows.index(selected[0]), theme.accent))
    fig.update_xaxes(
        _named_axis(columns, theme),
        title_text="the probe's answer",
        side="top",
        showline=False,
        range=[-0.5, n - 0.5],
        tickangle=-90,  # upright names stand in the middle of their columns; slanted ones lean out of them
        tickfont_size=theme.font_size - 3 if n > MOST_WITH_NUMBERS else theme.font_size - 1,
    )
    fig.update_yaxes(_named_axis(rows, theme), title_text="truth", range=[len(rows) - 0.5, -0.5])
    finish(fig, theme, height=max(cell * len(rows), 60) + 100 + upright)
    return fig.update_layout(shapes=shapes, margin_t=8)


def _named_axis(names: list[str], theme: Theme) -> dict:
    return {
        "tickvals": np.arange(len(names)),
        "ticktext": [as_text(_shortened(name)) for name in names],
        "showgrid": False,
        "ticks": "",
        "tickfont_color": theme.ink,
    }


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _frame(x: int, y: int, colour: str, *, fill: str | None = None) -> dict:
    ends = {"x0": x - 0.5, "x1": x + 0.5, "y0": y - 0.5, "y1": y + 0.5}
    line = {"color": colour, "width": 0 if fill else 3}
    return (
        {"type": "rect", "line": line, "layer": "below" if fill else "above"}
        | ends
        | ({"fillcolor": fill, "opacity": 0.5} if fill else {})
    )
