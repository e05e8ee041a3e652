"""Figures of slices: the worst slices with their error rates, and traits more common in one of two."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.theme import LIGHT, PERCENT_AXIS, Marks, Theme, finish, note_figure
from core.common.dataframes import as_text, numbers, where, words
from core.slices.finder import MIN_IMAGES

ROW = 26  # pixels per line of a chart
LONGEST_NAME = 48  # characters; longer names are truncated, the hover text shows them in full


def slice_names(table: pd.DataFrame) -> list[str]:
    """Name the rows of `slice_finder.worst_slices`.

    >>> slice_names(pd.DataFrame({"label": ["dog", None], "trait": ["sand", "feature 12"]}))
    ['dog · sand', 'feature 12']
    """
    pairs = zip(words(table, "label"), words(table, "trait"), strict=True)
    return [" · ".join(part for part in pair if part) for pair in pairs]


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
    fig = go.Figure(
        [
            go.Scatter(
                x=rate,
                y=places,
                mode="markers",
                name="error rate, with its 95 % interval",
                marker={"size": theme.stroke(10), "color": theme.misclassified},
                cliponaxis=False,  # a rate of 100 % stands on the edge
                error_x=_ends(rate, low, high, theme),
                customdata=[
                    [at, as_text(names[at]), int(n), int(k)]
                    for at, n, k in zip(
                        places.tolist(), numbers(table, "n"), numbers(table, "errors"), strict=True
                    )
                ],
                hovertemplate="<b>%{customdata[1]}</b><br>%{customdata[3]:,} of %{customdata[2]:,} images "
                "misclassified: %{x:.1f} %<extra></extra>",
            ),
            go.Scatter(
                x=rest,
                y=places,
                mode="markers",
                name="the images it is compared with",
                marker={
                    "symbol": "line-ns-open",
                    "size": theme.stroke(12),
                    "color": theme.neutral,
                    "line": {"width": theme.stroke(2)},
                },
                hovertemplate="%{x:.1f} % of the others<extra></extra>",
            ),
        ]
    )
    marks = Marks(theme)
    if np.isfinite(overall):
        marks.vertical(100 * overall)
    marks.put_on(fig)
    dashed = f"; dashed: all, {100 * overall:.1f} %" if np.isfinite(overall) else ""
    fig.update_xaxes(title_text=f"Misclassified{dashed}", showgrid=True, **PERCENT_AXIS)
    fig.update_xaxes(range=[0, 103])
    _names(fig, names, theme)
    return finish(fig, theme, height=130 + ROW * len(table))


def differences(
    table: pd.DataFrame, names: tuple[str, str], *, limit: int = 12, theme: Theme = LIGHT
) -> go.Figure:
    """Plot how much more common traits are in the first of two slices, with 95 % intervals; the `limit` most
    significant ones on either side.

    Args:
        table: rows of `slice_compare.differences` of one kind, with `title`, the display name of each.
        names: of the two slices.
    """
    found = numbers(table, "difference")
    shown = np.concatenate([np.flatnonzero(found > 0)[:limit], np.flatnonzero(found < 0)[:limit]])
    if not shown.size:
        return note_figure("Nothing is more common in one of the two.", theme)
    shown = shown[np.argsort(-found[shown], kind="stable")]
    table = table.take(shown).reset_index(drop=True)
    value, low, high, q = (numbers(table, name) for name in ("difference", "low", "high", "q"))
    titles, places = words(table, "title"), np.arange(len(table))
    sure = q <= 0.05
    colours = [theme.misclassified if one > 0 else theme.correct for one in value]
    fig = go.Figure(
        go.Scatter(
            x=100 * value,
            y=places,
            mode="markers",
            showlegend=False,
            marker={
                "size": theme.stroke(10),
                "color": colours,
                "symbol": ["circle" if one else "circle-open" for one in sure],
                "line": {"width": theme.stroke(2)},
            },
            error_x=_ends(100 * value, 100 * low, 100 * high, theme),
            customdata=[
                [trait, as_text(title), 100 * a, 100 * b, one]
                for trait, title, a, b, one in zip(
                    table["trait"], titles, table["rate_a"], table["rate_b"], q, strict=True
                )
            ],
            hovertemplate="<b>%{customdata[1]}</b><br>on %{customdata[2]:.2f} % of "
            f"{as_text(names[0])}<br>on %{{customdata[3]:.2f}} % of {as_text(names[1])}<br>"
            "difference %{x:.2f} points, q = %{customdata[4]:.2g}<extra></extra>",
        )
    )
    marks = Marks(theme)
    marks.vertical(0.0)
    marks.put_on(fig)
    fig.update_xaxes(
        title_text=f"Percentage points more common in {_cut(names[0])} (right) or {_cut(names[1])} (left)",
        showgrid=True,
    )
    _names(fig, titles, theme)
    return finish(fig, theme, height=110 + ROW * len(table))


def kept_kinds(table: pd.DataFrame, kinds: list[str]) -> pd.DataFrame:
    """Return the rows of some kinds of slice."""
    return where(table, np.isin(np.array(words(table, "kind")), kinds))


def _names(fig: go.Figure, names: list[str], theme: Theme) -> None:
    """Write the names down the left side, the first on top."""
    fig.update_yaxes(
        tickvals=list(range(len(names))),
        ticktext=[_cut(name) for name in names],
        range=[len(names) - 0.4, -0.6],
        showgrid=False,
        ticks="",
        tickfont_color=theme.ink,
    )


def _cut(name: str) -> str:
    short = name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
    return as_text(short)


def _ends(value: np.ndarray, low: np.ndarray, high: np.ndarray, theme: Theme) -> dict:
    return {
        "type": "data",
        "symmetric": False,
        "thickness": theme.stroke(2),
        "width": 0,
        "array": np.nan_to_num(high - value),
        "arrayminus": np.nan_to_num(value - low),
        "color": theme.muted,
    }
