"""Kalibhat, dissertation, Tables 5.3 and 5.5: accuracy by the pair of views that an encoder was trained
on.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.charts.theme import LIGHT, Theme, finish, layout_of
from core.research.fourier.grids.verdicts import dual_verdict, matrix_verdict
from core.research.grids.figures.grid_titles import headed, seeds_words
from core.research.grids.over_seeds import over_seeds
from core.research.grids.seeds import by_seed, preset_of

NAMES = {
    "x": "x",
    "image": "A<sub>im</sub>(x)",
    "fda": "FDA(x)",
    "both": "FDA + A<sub>im</sub>",
    "f": "f",
    "fda_f": "A<sub>freq</sub>(f)",
    "f_of_image": "F(A<sub>im</sub>(x))",
}
LEFT_RIGHT = ("x", "image", "fda", "both")
PAPER_MATRIX = {  # Kalibhat, dissertation, Table 5.3, (left, right): percent
    ("x", "x"): 1.5, ("image", "x"): 68.6, ("fda", "x"): 34.7, ("both", "x"): 69.6,
    ("image", "image"): 69.2, ("fda", "image"): 68.8, ("both", "image"): 70.5,
    ("fda", "fda"): 38.9, ("both", "fda"): 67.8, ("both", "both"): 70.4,
}  # fmt: skip
PAPER_DUAL = {  # Kalibhat, dissertation, Table 5.5
    ("x", "x"): 1.5, ("x", "f"): 17.5, ("x", "fda_f"): 20.6, ("x", "f_of_image"): 48.8,
    ("image", "x"): 68.6, ("image", "f"): 63.3, ("image", "fda_f"): 62.4, ("image", "f_of_image"): 59.0,
}  # fmt: skip


def view_matrix(table: pd.DataFrame, *, measure: str = "top1", theme: Theme = LIGHT) -> go.Figure:
    """Draw Table 5.3: columns are left views, rows right ones; the empty triangle is the other one mirrored.

    Args:
        table: of a grid `fda-views`: arm, left, right, seed and `measure`, a share.
    """
    finding = matrix_verdict(table, measure=measure)
    return _matrix(table, LEFT_RIGHT, LEFT_RIGHT, PAPER_MATRIX, measure, finding, theme)


def dual_table(table: pd.DataFrame, *, measure: str = "top1", theme: Theme = LIGHT) -> go.Figure:
    """Draw Table 5.5: right views x (one encoder) and three frequency images (two encoders).

    Args:
        table: of a grid `fda-dual`: arm, left, right, seed and `measure`, a share.
    """
    finding = dual_verdict(table, measure=measure)
    right = ("x", "f", "fda_f", "f_of_image")
    return _matrix(table, ("x", "image"), right, PAPER_DUAL, measure, finding, theme)


def _matrix(
    table: pd.DataFrame,
    left: Sequence[str],
    right: Sequence[str],
    paper: dict[tuple[str, str], float],
    measure: str,
    finding: str,
    theme: Theme,
) -> go.Figure:
    values = np.full((len(right), len(left)), np.nan)
    text = [["" for _ in left] for _ in right]
    pairs = {
        (row, column): (left[column], right[row]) for row in range(len(right)) for column in range(len(left))
    }
    for (row, column), pair in pairs.items():
        summary = over_seeds(by_seed(table, "-".join(pair), measure).values())
        if not summary.n:
            continue
        values[row, column] = 100 * summary.mean
        lines = [
            f"<b>{100 * summary.mean:.1f}</b>" + (f" ({100 * summary.std:.1f})" if summary.n > 1 else "")
        ]
        if measure == "top1" and pair in paper:
            lines.append(f"paper {paper[pair]:.1f}")
        text[row][column] = "<br>".join(lines)
    low, high = (
        (float(edge(values)) for edge in (np.nanmin, np.nanmax)) if np.isfinite(values).any() else (0, 1)
    )
    figure = go.Figure(
        go.Heatmap(
            x=[NAMES[name] for name in left],
            y=[NAMES[name] for name in right],
            z=values,
            text=text,
            texttemplate="%{text}",
            colorscale=theme.sequential,
            zmin=low - (high - low) / 3,
            zmax=high + 1e-9,
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="left %{x}<br>right %{y}<br>%{text}<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="left view", side="top", type="category", showgrid=False)
    figure.update_yaxes(title_text="right view", type="category", autorange="reversed", showgrid=False)
    finish(figure, theme, height=360)
    what = "top-1 accuracy" if measure == "top1" else measure
    note = "; ".join(
        filter(
            None, (f"In percent: {what}, mean (standard deviation) of {seeds_words(table)}", preset_of(table))
        )
    )
    headed(figure, finding, note, theme, panels=True)
    title = layout_of(figure).title
    title.text = title.text.replace("A_im", "A<sub>im</sub>")
    return figure
