"""A figure of a grid, which is read from the folder of a `grid` or of a `lambda-search`, not from a study."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from core.charts.chart import FolderChart
from core.charts.options import FigureOptions
from core.charts.theme import Theme
from core.common.command_line import command_line
from core.common.csv_text import as_written
from core.errors import SettingsError, did_you_mean
from core.storage.manifest import MANIFEST

TABLE = "cells.csv"
Draw = Callable[[pd.DataFrame, FigureOptions, Theme], go.Figure]


def grid_figure(
    name: str,
    title: str,
    source: str,
    grids: tuple[str, ...],
    columns: tuple[str, ...],
    draw: Draw,
    measure: str = "",
) -> FolderChart:
    """Return a figure of a grid as a chart of its folder, or of its cells.csv.

    Args:
        source: its number in the paper, or "". grids: names of the grids that it shows.
        columns: columns of cells.csv without which it cannot be drawn.
        draw: (cells.csv, options, theme) -> the figure. measure: `options.score` where none is given.
    """

    def drawn(path: Path, options: FigureOptions, theme: Theme) -> go.Figure:
        return draw(read_grid(path, name, grids, columns), options, theme)

    return FolderChart(name, title, source, f"the folder of a grid: {', '.join(grids)}", drawn, score=measure)


def of_measure(draw: Callable[..., go.Figure]) -> Draw:
    """Pass `--score`, the name of a column of shares, on as the measure."""

    def drawn(table: pd.DataFrame, options: FigureOptions, theme: Theme) -> go.Figure:
        if options.score not in table:
            raise SettingsError(
                f"no column '{options.score}' in the table.{did_you_mean(options.score, table)}"
            )
        return draw(table, measure=options.score, theme=theme)

    return drawn


def of_rows(draw: Callable[..., go.Figure]) -> Draw:
    """Adapt a figure that has no options."""
    return lambda table, options, theme: draw(table, theme=theme)


def read_grid(path: Path, name: str, grids: tuple[str, ...], columns: tuple[str, ...]) -> pd.DataFrame:
    """Read the table of a grid from its folder or its cells.csv, for the figure `name`.

    Raises:
        SettingsError: there is none, or it is the table of another grid.
    """
    file, words = path / TABLE if path.is_dir() else path, name.replace("_", " ")
    of_search = grids[0] == "lambda-search"
    command = command_line(*(("lambda-search", "STUDY") if of_search else ("grid", grids[0])), output=path)
    try:
        table = pd.read_csv(file).map(as_written)
    except FileNotFoundError:
        if (path / MANIFEST).exists():
            raise SettingsError(
                f"no {words} in '{path}', which is a study. Give the folder of a grid: {' or '.join(grids)}"
            ) from None
        raise SettingsError(f"no {words} in '{path}'. Run: {command}") from None
    except (OSError, ValueError) as error:
        kind = type(error).__name__
        raise SettingsError(f"cannot read '{file}' ({kind}). Run: {command}") from None
    missing = [name for name in columns if name not in table]
    if missing:
        raise SettingsError(f"'{file}' is not a table of a {words} (no columns {', '.join(missing)})")
    if table.empty:
        raise SettingsError(f"'{file}' has no rows yet. Run: {command}")
    return table
