"""[Q] Fig. A.8: the effect of a grid of regulariser weights on accuracy and on Q."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.common.dataframes import equals, numbers, where, words
from core.errors import SettingsError, did_you_mean
from core.figures.theme import LIGHT, Theme, finish, note_figure

MEASURES = {  # column: title, factor, digits
    "top1": ("top-1 accuracy (%)", 100, 1),
    "q_auroc": ("AUROC of Q", 1, 3),
    "mean_q_correct": ("mean Q of correct images", 1, 4),
    "mean_q_misclassified": ("mean Q of misclassified images", 1, 4),
    "near_zero": ("near-zero activations (%)", 100, 1),
    "mean_firing": ("features that fire on an image", 1, 2),
}


def lambda_grid(table: pd.DataFrame, *, measure: str = "top1", theme: Theme = LIGHT) -> go.Figure:
    """Plot the grid of both lambdas as cells, with the Lasso in an extra column and the baseline in the
    title.

    Args:
        table: as written by `lambda-search`: kind, lambda1, lambda2, weight, and `measure`.
        measure: a key of MEASURES.
    Raises:
        SettingsError: unknown measure.
    """
    if measure not in MEASURES:
        raise SettingsError(
            f"no measure '{measure}' of a search.{did_you_mean(measure, MEASURES)} "
            f"Measures: {', '.join(MEASURES)}"
        )
    label, factor, digits = MEASURES[measure]
    grid, lasso = (where(table, equals(table, "kind", kind)) for kind in ("q", "lasso"))
    value = {kind: factor * numbers(part, measure) for kind, part in (("q", grid), ("lasso", lasso))}
    known = np.concatenate([value["q"], value["lasso"], factor * numbers(table, measure)])
    if not np.isfinite(known).any():
        return note_figure(f"The search has no values of: {label}.", theme)
    low, high = float(np.nanmin(known)), float(np.nanmax(known))
    parts = [part for part in ("q", "lasso") if len(value[part])] or ["q"]
    widths = [max(len(set(words(grid, "lambda2"))), 1), 1][: len(parts)] if parts[0] == "q" else [1]
    figure = make_subplots(1, len(parts), column_widths=widths, horizontal_spacing=0.16)
    drawn = {"zmin": low, "zmax": high, "coloraxis": "coloraxis", "digits": digits, "label": label}
    for column, part in enumerate(parts, 1):
        if part == "q":
            trace, x, y = _cells(grid, "lambda2", "lambda1", value["q"], **drawn), "λ₂", "λ₁"
        else:
            trace, x, y = _cells(lasso, "kind", "weight", value["lasso"], **drawn), "", "Lasso's weight"
        figure.add_trace(trace, 1, column)
        figure.update_xaxes(title_text=x, type="category", showgrid=False, row=1, col=column)
        figure.update_yaxes(title_text=y, type="category", showgrid=False, row=1, col=column)
    base = factor * numbers(where(table, equals(table, "kind", "none")), measure)
    said = f"; no regulariser: {base[0]:.{digits}f}" if len(base) and np.isfinite(base[0]) else ""
    axis = {
        "colorscale": theme.sequential,
        "cmin": low - (high - low) / 4,
        "cmax": high,
        "colorbar": {"title": "", "thickness": 12},
    }
    figure.update_layout(coloraxis=axis, title={"text": f"{label}{said}", "font": {"size": theme.font_size}})
    return finish(figure, theme, height=380)


def _cells(
    frame: pd.DataFrame, x: str, y: str, values: np.ndarray, *, digits: int, label: str, **axis: object
) -> go.Heatmap:
    """Draw one square per row of the table, with its value as text."""
    columns, rows = (_ordered(frame, name) for name in (x, y))
    shown = np.full((len(rows), len(columns)), np.nan)
    places = zip(_texts(frame, y), _texts(frame, x), values, strict=True)
    for row, column, value in places:
        shown[rows.index(row), columns.index(column)] = value
    text = [[f"{value:.{digits}f}" if np.isfinite(value) else "" for value in line] for line in shown]
    return go.Heatmap(
        x=columns,
        y=rows,
        z=shown,
        text=text,
        texttemplate="%{text}",
        xgap=2,
        ygap=2,
        coloraxis=str(axis["coloraxis"]),
        hovertemplate=f"{x} %{{x}}<br>{y} %{{y}}<br>{label}: %{{text}}<extra></extra>",
    )


def _ordered(frame: pd.DataFrame, name: str) -> list[str]:
    """Return the values of a column as texts, smallest first."""
    if name == "kind":
        return sorted(set(words(frame, name)))
    return [f"{value:g}" for value in sorted(set(numbers(frame, name)))]


def _texts(frame: pd.DataFrame, name: str) -> list[str]:
    return words(frame, name) if name == "kind" else [f"{value:g}" for value in numbers(frame, name)]
