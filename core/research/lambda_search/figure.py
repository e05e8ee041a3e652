"""Kalibhat et al. 2024, Fig. A.8: the effect of a grid of regulariser weights on accuracy and on Q."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, Theme, finish, note_figure
from core.common.dataframes import numbers, words
from core.errors import SettingsError, unknown_name
from core.research.grids.figures.grid_figures import grid_figure

MEASURES = {  # column: title, factor, digits
    "top1": ("top-1 accuracy (%)", 100, 1),
    "q_auroc": ("AUROC of Q", 1, 3),
    "mean_q_correct": ("mean Q of correct images", 1, 4),
    "mean_q_misclassified": ("mean Q of misclassified images", 1, 4),
    "near_zero": ("near-zero activations (%)", 100, 1),
    "mean_firing": ("features that fire on an image", 1, 2),
}


def lambda_grid(table: pd.DataFrame, *, measure: str = "top1", theme: Theme = LIGHT) -> go.Figure:
    """Plot a search: the grid of both lambdas as cells, or lines where only one of them varies at a time,
    as in Fig. A.8; the Lasso in a panel of its own.

    Args:
        table: as written by `lambda-search`: kind, lambda1, lambda2, weight, and `measure`.
        measure: a key of MEASURES.
    Raises:
        SettingsError: unknown measure.
    """
    if measure not in MEASURES:
        raise SettingsError(
            unknown_name(f"no measure '{measure}' of a search", measure, MEASURES, "Measures")
        )
    label, factor, digits = MEASURES[measure]
    grid, lasso = (table.loc[table["kind"] == kind].reset_index(drop=True) for kind in ("q", "lasso"))
    value = {kind: factor * numbers(part, measure) for kind, part in (("q", grid), ("lasso", lasso))}
    values = np.concatenate([value["q"], value["lasso"], factor * numbers(table, measure)])
    if not np.isfinite(values).any():
        return note_figure(f"The search has no values of: {label}.", theme)
    if not _is_rectangle(grid):
        return _search_lines(table, measure, theme)
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
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
    base = factor * numbers(table.loc[table["kind"] == "none"], measure)
    baseline_text = f"; no regulariser: {base[0]:.{digits}f}" if len(base) and np.isfinite(base[0]) else ""
    axis = {
        "colorscale": theme.sequential,
        "cmin": low - (high - low) / 4,
        "cmax": high,
        "colorbar": {"title": "", "thickness": 12},
    }
    figure.update_layout(
        coloraxis=axis, title={"text": f"{label}{baseline_text}", "font": {"size": theme.font_size}}
    )
    return finish(figure, theme, height=380)


def _is_rectangle(grid: pd.DataFrame) -> bool:
    """Whether at least two values of lambda1 were trained with each of at least two values of lambda2."""
    first, second = (numbers(grid, name) for name in ("lambda1", "lambda2"))
    sizes = [len(set(values)) for values in (first, second)]
    return min(sizes) > 1 and len({*zip(first, second, strict=True)}) == sizes[0] * sizes[1]


def _lines(table: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """(title of the axis, its column, rows) of every line along which one weight varies."""
    grid = table.loc[table["kind"] == "q"].reset_index(drop=True)
    lines = []
    for along, other, symbol, held in (
        ("lambda1", "lambda2", "λ₁", "λ₂"),
        ("lambda2", "lambda1", "λ₂", "λ₁"),
    ):
        for value in sorted(set(numbers(grid, other))):
            rows = grid.loc[numbers(grid, other) == value].reset_index(drop=True)
            if len(set(numbers(rows, along))) > 1:
                lines.append((f"{symbol} ({held} = {value:g})", along, rows))
    alone = [("λ₁", "lambda1", grid)] if len(grid) and not lines else []
    lasso = table.loc[table["kind"] == "lasso"].reset_index(drop=True)
    return [*lines, *alone, *([("Lasso's weight", "weight", lasso)] if len(lasso) else [])]


def _search_lines(table: pd.DataFrame, measure: str, theme: Theme) -> go.Figure:
    label, factor, digits = MEASURES[measure]
    lines = _lines(table)
    if not lines:
        return note_figure(f"The search has no values of: {label}.", theme)
    base = table.loc[table["kind"] == "none"].reset_index(drop=True)
    figure = make_subplots(1, len(lines), shared_yaxes=True, horizontal_spacing=0.05)
    for column, (title, along, rows) in enumerate(lines, 1):
        rows = rows.sort_values(along)
        value, minus, plus = _with_ends(rows, measure, factor)
        weights = [f"{weight:g}" for weight in numbers(rows, along)]
        figure.add_scatter(
            x=weights,
            y=value,
            mode="lines+markers",
            error_y={"type": "data", "symmetric": False, "array": plus, "arrayminus": minus, "thickness": 1},
            line={"color": theme.accent, "width": theme.stroke(2)},
            marker={"size": theme.stroke(8)},
            hovertemplate=f"{title}: %{{x}}<br>{label}: %{{y:.{digits}f}}<extra></extra>",
            row=1,
            col=column,
        )
        figure.update_xaxes(title_text=title, type="category", row=1, col=column)
    _draw_base(figure, base, measure, factor, theme)
    figure.update_yaxes(title_text=label, row=1, col=1)
    figure.update_layout(showlegend=False, title={"text": _finding(table, measure)})
    return finish(figure, theme, height=380)


def _with_ends(
    rows: pd.DataFrame, measure: str, factor: float
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Values, and how far their interval reaches below and above; None for measures without one."""
    value = factor * numbers(rows, measure)
    if f"{measure}_low" not in rows:
        return value, None, None
    low, high = (factor * numbers(rows, f"{measure}_{end}") for end in ("low", "high"))
    return value, value - low, high - value


def _draw_base(figure: go.Figure, base: pd.DataFrame, measure: str, factor: float, theme: Theme) -> None:
    """The training without a regulariser as a line, with its interval as a band."""
    value, minus, plus = _with_ends(base, measure, factor)
    if not len(value) or not np.isfinite(value[0]):
        return
    if minus is not None and plus is not None and np.isfinite([minus[0], plus[0]]).all():
        band = {"fillcolor": theme.neutral, "opacity": 0.15, "line_width": 0, "layer": "below"}
        figure.add_hrect(value[0] - minus[0], value[0] + plus[0], row="all", col="all", **band)
    line = {"dash": "dash", "color": theme.muted, "width": theme.stroke(1)}
    figure.add_hline(value[0], line=line, row="all", col="all")
    figure.add_annotation(
        x=0.01,
        y=0.02,
        xref="x domain",
        yref="y domain",
        text="dashed: no regulariser",
        showarrow=False,
        xanchor="left",
        yanchor="bottom",
        font={"color": theme.muted},
    )


def _finding(table: pd.DataFrame, measure: str) -> str:
    """State the highest value of the search, and that of no regulariser."""
    label, factor, digits = MEASURES[measure]
    table = table.loc[np.isfinite(numbers(table, measure))].reset_index(drop=True)
    values = factor * numbers(table, measure)
    best = table.iloc[int(values.argmax())]
    names = {
        "none": "no regulariser",
        "lasso": f"the Lasso with {best['weight']:g}",
        "q": f"λ₁ = {best['lambda1']:g}, λ₂ = {best['lambda2']:g}",
    }
    summary = (
        f"{label[:1].upper()}{label[1:]}: highest with {names[str(best['kind'])]}, {values.max():.{digits}f}"
    )
    base = factor * numbers(table.loc[table["kind"] == "none"], measure)
    comparable = len(base) and np.isfinite(base[0]) and best["kind"] != "none"
    return f"{summary} (no regulariser: {base[0]:.{digits}f})" if comparable else summary


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


def _lambda_grid(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
    return lambda_grid(table, measure=options.score, theme=theme)


FOLDER_CHARTS = (
    grid_figure(
        "lambda_search",
        "results of a grid of lambdas",
        "Kalibhat 2024, Fig. A.8",
        ("lambda-search",),
        ("kind", "lambda1", "lambda2", "weight"),
        _lambda_grid,
        measure="top1",
    ),
)
