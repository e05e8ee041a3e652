"""Run a named grid into a folder, and sum it up as a Markdown table: each arm over its seeds, with paired
differences to the baseline.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from core.common.dataframes import known_mean, numbers
from core.common.formatting import format_duration
from core.common.inside import replacing
from core.jobs.progress import Progress
from core.research.grids.definition import PRESET, CellJob, Grid, Values
from core.research.grids.over_seeds import ENOUGH, NOT_ENOUGH, SeedSummary
from core.research.grids.runner import ERROR, SECONDS, GridCell, Row, finished, read_cells, run_grid
from core.research.grids.seeds import preset_of, summarise_arms


def summary_lines(grid: Grid, values: Values, table: pd.DataFrame) -> Iterator[str]:
    """Yield a Markdown table and what its numbers mean."""
    done = finished(table)
    titles = [title for title, _ in grid.measures.values()]
    baselines = {str(arm): grid.baseline(values, str(arm)) for arm in done["arm"]}
    compared = any(baselines.values())
    heads = ["arm", *(head for title in titles for head in (title, "difference")[: 1 + compared])]
    heads += ["compared with", "seeds", "minutes"] if compared else ["seeds", "minutes"]
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for arm, measured in summarise_arms(done, list(grid.measures), baseline=baselines.get).items():
        rows, cells = done.loc[done["arm"] == arm].reset_index(drop=True), [arm]
        for name, (_, factor) in grid.measures.items():
            summary, difference = measured[name]
            cells += [summary.text(factor=factor), _difference(difference, factor)][: 1 + compared]
        cells += [baselines[arm] or ""] * compared
        yield f"| {' | '.join([*cells, str(len(rows)), f'{known_mean(numbers(rows, SECONDS)) / 60:.1f}'])} |"
    yield ""
    yield (
        f"± is half of a 95 % t-interval over at least {ENOUGH} seeds; with fewer, single values are listed: "
        f"{NOT_ENOUGH}. Differences are paired by seed; * marks an interval without 0."
    )
    preset = preset_of(table)
    for sentence in grid.verdicts(values, done):
        yield ""
        yield f"{sentence} ({preset})" if preset else sentence
    yield ""
    if len(done) < len(table):
        diverged = table[table[ERROR].notna()]["cell"]
        yield f"Diverged, left out: {', '.join(diverged)}."
    counted = f"{len(table)} runs, {format_duration(float(np.nansum(numbers(table, SECONDS))))}"
    yield f"{counted}, {preset}." if preset else f"{counted}."


def _difference(summary: SeedSummary | None, factor: float) -> str:
    if summary is None:
        return ""
    star = " *" if summary.sign in ("above 0", "below 0") else ""
    return summary.text(factor=factor, signed=True) + star


def write_summary(grid: Grid, values: Values, folder: Path) -> Path:
    """Write FOLDER/table.md from all rows of FOLDER/cells.csv, and return its path."""
    out = folder / "table.md"
    with replacing(out, parents=True) as temporary:
        lines = summary_lines(grid, values, read_cells(folder))
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return out


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
