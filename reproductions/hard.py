"""How the difficulty of telling images apart decides which features are learned, on trifeature.

Robinson 2021, section 2.3 with Figs 2, 3 and 13: temperatures without weights on the negatives, and hardness
of the negatives at temperature 0.5. The stored table: 45 trainings (seeds 0 to 4), 26 minutes of one core of
an AMD EPYC; settings as in `suppression`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.common.dataframes import known_mean
from core.research.shortcuts_correlation import correlation_over_settings
from core.research.shortcuts_trifeature import FACTORS
from reproductions import common
from reproductions.suppression import trifeature_row

NAME = "hard"
TEMPERATURES = (0.05, 0.1, 0.2, 0.5, 1.0)
BETAS = (0.25, 0.5, 1.0, 2.0)
TEMPERATURE_OF_BETAS = 0.5
COLOURS = {"shape": "#4c72b0", "colour": "#dd8452", "texture": "#55a868"}


def rows(folder: Path, smoke: bool) -> Iterator[dict[str, Any]]:
    """Yield a row a training; all arms of a seed before the next seed."""
    pairs = [(temperature, 0.0) for temperature in TEMPERATURES]
    pairs += [(TEMPERATURE_OF_BETAS, beta) for beta in BETAS]
    for seed in range(1 if smoke else 5):
        for temperature, beta in pairs[3:7:3] if smoke else pairs:
            arm = f"tau{temperature:g}-beta{beta:g}"
            yield trifeature_row(folder, arm, seed, smoke, temperature=temperature, hard_beta=beta)


def draw(table: pd.DataFrame) -> go.Figure:
    """Draw readouts against temperature and hardness, and how far the loss moves with their errors."""
    correlations = "correlation of loss and readout error"
    titles = ("temperature", "hardness of the negatives", correlations)
    figure = make_subplots(1, 3, subplot_titles=titles)
    unweighted = table.loc[table["hard_beta"] == 0]
    at_one_temperature = table.loc[table["temperature"] == TEMPERATURE_OF_BETAS]
    for factor in FACTORS:
        line = {"name": factor, "line": {"color": COLOURS[factor]}}
        figure.add_scatter(**means(unweighted, "temperature", factor), row=1, col=1, **line)
        by_beta = means(at_one_temperature, "hard_beta", factor)
        figure.add_scatter(**by_beta, row=1, col=2, showlegend=False, **line)
        one = correlation_over_settings(table, "held_out_loss", factor)
        ends = {"symmetric": False, "array": [one.high - one.pearson], "arrayminus": [one.pearson - one.low]}
        mark = {"mode": "markers", "marker": {"color": COLOURS[factor]}, "showlegend": False}
        figure.add_scatter(x=[factor], y=[one.pearson], error_y=ends, row=1, col=3, **mark)
    figure.update_xaxes(type="log", row=1, col=1)
    figure.update_yaxes(title_text="readout accuracy (%)", range=[0, 100], row=1, col=1)
    figure.update_yaxes(range=[-1, 1], row=1, col=3)
    return figure


def means(table: pd.DataFrame, setting: str, factor: str) -> dict[str, list[float]]:
    """Return the mean readout in percent (`y`) for each value of a setting (`x`)."""
    values = sorted(set(table[setting]))
    return {"x": values, "y": [100 * known_mean(table.loc[table[setting] == one, factor]) for one in values]}


def main(argv: Sequence[str] | None = None) -> None:
    """Train, read out and draw, as the options ask."""
    common.run_trainings(NAME, __doc__, argv, rows, draw)


if __name__ == "__main__":
    main()
