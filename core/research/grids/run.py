"""Run a named grid into a folder."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from core.jobs.progress import Progress
from core.research.grids.definition import PRESET, CellJob, Grid, Values
from core.research.grids.runner import GridCell, Row, run_grid
from core.research.grids.summary import write_summary


def run_named(
    grid: Grid,
    folder: str | Path,
    values: Values,
    cells: Sequence[GridCell],
    *,
    progress: Progress,
    device: str = "auto",
    workers: int = 0,
    cache: str | None = None,
) -> pd.DataFrame:
    """Run the cells of a grid that FOLDER lacks, write FOLDER/table.md, and return the rows of `cells`.

    Raises:
        SettingsError: the folder holds another grid, or other settings.
    """

    def run(cell: GridCell, output: Path) -> Row:
        job = CellJob(cell, values, output, Path(folder), progress, device, workers, cache)
        return {**grid.run(job), PRESET: values[PRESET]}

    shared = {name: value for name, value in values.items() if name not in grid.of_arms}
    shared = {"grid": grid.name, **shared}
    table = run_grid(cells, folder, run, shared=shared, progress=progress)
    write_summary(grid, values, Path(folder))
    return table
