"""The figures of grids, which are read from the folder of a `grid` or of a `lambda-search`, not from a study.

A new figure is one row of GRID_FIGURES.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from core.charts.options import FigureOptions
from core.charts.theme import Theme
from core.common.command_line import command_line
from core.common.csv_text import as_written
from core.errors import SettingsError, did_you_mean
from core.figures import augmentation_bars, domain_grids, fda_tables, grid_bars, lambda_search, view_matrix
from core.storage.manifest import MANIFEST

TABLE = "cells.csv"


@dataclass(frozen=True)
class GridFigure:
    """A figure of a grid.

    Attributes:
        source: its number in the paper, or "". grids: names of the grids that it shows.
        columns: columns of cells.csv without which it cannot be drawn.
        draw: (cells.csv, options, theme) -> the figure. measure: `options.score` where none is given.
        column: its width in print, single or double.
    """

    name: str
    title: str
    source: str
    grids: tuple[str, ...]
    columns: tuple[str, ...]
    draw: Callable[[pd.DataFrame, FigureOptions, Theme], go.Figure]
    measure: str = ""
    column: str = "double"


def _lambda_grid(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
    return lambda_search.lambda_grid(table, measure=options.score, theme=theme)


def _of_measure(draw: Callable[..., go.Figure]) -> Callable[[pd.DataFrame, FigureOptions, Theme], go.Figure]:
    """Pass `--score`, the name of a column of shares, on as the measure."""

    def drawn(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
        if options.score not in table:
            raise SettingsError(
                f"no column '{options.score}' in the table.{did_you_mean(options.score, table)}"
            )
        return draw(table, measure=options.score, theme=theme)

    return drawn


def _of_rows(draw: Callable[..., go.Figure]) -> Callable[[pd.DataFrame, FigureOptions, Theme], go.Figure]:
    """Adapt a figure that has no options."""
    return lambda table, options, theme: draw(table, theme=theme)


READ = ("arm", "seed", "temperature", "ifm_epsilon", "hard_beta", "held_out_loss", "mean")
GRID_FIGURES = {
    entry.name: entry
    for entry in (
        GridFigure(
            "lambda_search",
            "results of a grid of lambdas",
            "[Q] Fig. A.8",
            ("lambda-search",),
            ("kind", "lambda1", "lambda2", "weight"),
            _lambda_grid,
            measure="top1",
        ),
        GridFigure(
            "ddm_table",
            "accuracy in each domain, baseline and disentangled, with the verdict",
            "[K] Table 2.1",
            ("domains", "tinted"),
            ("arm", "seed", "domains"),
            domain_grids.ddm_table,
        ),
        GridFigure(
            "ddm_bars",
            "accuracy in each domain by arm",
            "[K] Fig. 2.2",
            ("domains",),
            ("arm", "seed", "domains", "unseen_own_all"),
            domain_grids.ddm_bars,
        ),
        GridFigure(
            "fda_table",
            "methods without and with Fourier augmentations, or their place",
            "[K] Tables 5.1, 5.4",
            ("fda-gain", "fda-order"),
            ("arm", "seed", "top1"),
            _of_measure(fda_tables.fda_table),
            measure="top1",
        ),
        GridFigure(
            "fda_transfer",
            "few-shot and transfer accuracy without and with Fourier augmentations",
            "[K] Table 5.2",
            ("fda-gain",),
            ("arm", "seed", "method", "fda", "few_shot_5"),
            _of_rows(fda_tables.fda_transfer),
        ),
        GridFigure(
            "view_matrix",
            "accuracy by the pair of views",
            "[K] Table 5.3",
            ("fda-views",),
            ("arm", "seed", "left", "right", "top1"),
            _of_measure(view_matrix.view_matrix),
            measure="top1",
        ),
        GridFigure(
            "augmentation_bars",
            "augmentations added in turn, left out, and FDA as seventh",
            "[K] Fig. 5.2",
            ("fda-augmentations",),
            ("arm", "seed", "method", "kind", "top1"),
            _of_measure(augmentation_bars.augmentation_bars),
            measure="top1",
        ),
        GridFigure(
            "dual_table",
            "frequency images as right views, with an encoder of their own",
            "[K] Table 5.5",
            ("fda-dual",),
            ("arm", "seed", "left", "right", "top1"),
            _of_measure(view_matrix.dual_table),
            measure="top1",
        ),
        GridFigure(
            "suppression",
            "readouts with and without IFM, by temperature",
            "[I] Figs 6, 14",
            ("suppression", "composites"),
            READ,
            _of_rows(grid_bars.suppression_figure),
        ),
        GridFigure(
            "tradeoff",
            "readout of each factor against temperature and hardness",
            "[I] Figs 3, 13",
            ("hard", "suppression", "composites"),
            READ,
            _of_rows(grid_bars.tradeoff_figure),
        ),
        GridFigure(
            "loss_readout",
            "correlation of the held-out loss and readout errors",
            "[I] Fig. 2",
            ("hard", "suppression"),
            READ,
            _of_rows(grid_bars.loss_readout_figure),
        ),
        GridFigure(
            "ifm_table3",
            "readouts of IFM and its variants",
            "[I] Table 3",
            ("ifm-variants",),
            READ,
            _of_rows(grid_bars.variants_figure),
        ),
    )
}


def read_grid(path: str | Path, figure: GridFigure) -> pd.DataFrame:
    """Read the table of a grid from its folder or its cells.csv.

    Raises:
        SettingsError: there is none, or it is the table of another grid.
    """
    file = Path(path) / TABLE if Path(path).is_dir() else Path(path)
    words = figure.name.replace("_", " ")
    try:
        table = pd.read_csv(file).map(as_written)
    except FileNotFoundError:
        if (Path(path) / MANIFEST).exists():
            raise SettingsError(
                f"no {words} in '{path}', which is a study. Give the folder of a grid: "
                f"{' or '.join(figure.grids)}"
            ) from None
        raise SettingsError(f"no {words} in '{path}'. Run: {_command(figure, path)}") from None
    except (OSError, ValueError) as error:
        kind = type(error).__name__
        raise SettingsError(f"cannot read '{file}' ({kind}). Run: {_command(figure, path)}") from None
    missing = [name for name in figure.columns if name not in table]
    if missing:
        raise SettingsError(f"'{file}' is not a table of a {words} (no columns {', '.join(missing)})")
    if table.empty:
        raise SettingsError(f"'{file}' has no rows yet. Run: {_command(figure, path)}")
    return table


def _command(figure: GridFigure, path: str | Path) -> str:
    name = figure.grids[0]
    words = ("lambda-search", "STUDY") if name == "lambda-search" else ("grid", name)
    return command_line(*words, output=path)
