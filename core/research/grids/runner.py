"""Run the cells of a grid into a table that grows row by row; a run that was killed goes on where it was.

A folder holds the settings that all cells share, one row a finished cell in cells.csv, and the checkpoints
of the cells. Rows that are there are never computed again, and never rewritten with other digits.
"""

import csv
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from core.common.csv_text import as_written, write_csv
from core.common.inside import replacing
from core.errors import SettingsError, TrainingDiverged
from core.jobs.progress import Progress
from core.training import files

TABLE, SETTINGS, CHECKPOINTS = "cells.csv", "grid.json", "cells"
ERROR, SECONDS = "error", "seconds"  # columns that every table may have
FILE_NAME = re.compile(r"[\w.+=,-]+")

Row = dict[str, Any]


@dataclass(frozen=True)
class GridCell:
    """One run of a grid.

    Attributes:
        arm: what is compared; the cells of an arm differ in their seed only. Letters, digits and . + = , -
        columns: what sets the arm apart, as columns of the table, such as {"temperature": 0.2}.
        seed: None for a cell that is run once.
    """

    arm: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None

    @property
    def name(self) -> str:
        """Return the name in the table, which is also that of the checkpoint."""
        return self.arm if self.seed is None else f"{self.arm}-s{self.seed}"

    @property
    def key(self) -> Row:
        """Return the columns that precede the results: cell, arm and seed where it has one, its own."""
        seeded = {} if self.seed is None else {"arm": self.arm, "seed": self.seed}
        return {"cell": self.name, **seeded, **self.columns}


def with_seeds(arms: Sequence[GridCell], seeds: Sequence[int]) -> list[GridCell]:
    """Repeat each arm with each seed; seeds come last, so that an unfinished table is complete for the first.

    >>> [cell.name for cell in with_seeds([GridCell("a"), GridCell("b")], [0, 1])]
    ['a-s0', 'b-s0', 'a-s1', 'b-s1']
    """
    return [replace(arm, seed=seed) for seed in seeds for arm in arms]


def run_grid(
    cells: Sequence[GridCell],
    folder: str | Path,
    run: Callable[[GridCell, Path], Row],
    *,
    shared: Mapping[str, Any],
    progress: Progress,
    keep: bool = True,
    record: str = SETTINGS,
) -> pd.DataFrame:
    """Run each cell that is missing in FOLDER/cells.csv, in order; the row is stored as soon as it is known.

    A run that diverges gets a row with its reason in the column `error` and no results, and the grid goes
    on: it would diverge again. Any other error ends the run; what is in the table stays.

    Args:
        run: (cell, path of its checkpoint) -> its results by column. It should go on with a checkpoint that
            an interrupted run left there, as `train` does.
        shared: JSON-able settings that all cells share.
        keep: keep the checkpoints, FOLDER/cells/NAME.safetensors.
        record: name of the file with the settings.
    Returns:
        the rows of `cells`, in that order, as `read_cells` returns them.
    Raises:
        SettingsError: the folder holds cells of other settings, is in use, or two cells have one name.
    """
    folder = Path(folder)
    check_names(cells)
    with locked(folder):
        check_same_settings(folder, shared, record=record)
        rows = {row["cell"]: row for row in read_rows(folder)}
        check_same_columns(cells, rows, folder)
        for number, cell in enumerate(cells, start=1):
            if cell.name in rows:
                progress.note(f"{cell.name}: already done")
                continue
            progress.note(f"[{number} of {len(cells)}] {cell.name}")
            rows[cell.name] = as_texts(cell.key | results_of(cell, checkpoint(folder, cell), run, progress))
            write_rows(folder, list(rows.values()))
            if not keep:
                remove_checkpoint(folder, cell)
    return ordered(read_cells(folder), cells)


def results_of(cell: GridCell, output: Path, run: Callable[[GridCell, Path], Row], progress: Progress) -> Row:
    """Run a cell; `seconds` is the time of this call unless the cell reports its own."""
    began = time.monotonic()
    try:
        row = run(cell, output)
    except TrainingDiverged as error:
        progress.note(f"{cell.name}: {error}")
        row = {ERROR: str(error)}
    return row if SECONDS in row else row | {SECONDS: round(time.monotonic() - began, 1)}


def checkpoint(folder: Path, cell: GridCell) -> Path:
    return folder / CHECKPOINTS / f"{cell.name}.safetensors"


def remove_checkpoint(folder: Path, cell: GridCell) -> None:
    """Delete the checkpoint of a cell and what lies beside it."""
    for path in files.all_paths(checkpoint(folder, cell)):
        path.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second process from filling the same folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot make the folder '{folder}': {error.strerror}") from None
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise SettingsError(f"another process fills '{folder}'. Wait for it, or choose another -o") from None
    try:
        yield
    finally:
        lock.release()


def check_names(cells: Sequence[GridCell]) -> None:
    """Raise SettingsError where a name cannot be that of a file, or belongs to two cells."""
    seen: set[str] = set()
    for cell in cells:
        if not FILE_NAME.fullmatch(cell.name):
            raise SettingsError(f"'{cell.name}' cannot name a cell: use letters, digits and . + = , -")
        if cell.name in seen:
            raise SettingsError(f"two cells of the grid are called '{cell.name}'")
        seen.add(cell.name)
    if not cells:
        raise SettingsError("the grid has no cells")


def check_same_settings(folder: Path, shared: Mapping[str, Any], *, record: str = SETTINGS) -> None:
    """Store what all cells of a folder share, or refuse a folder that was begun with other settings.

    Raises:
        SettingsError: another value of a setting, which is named, or an unreadable record.
    """
    path, now = folder / record, json.loads(json.dumps(dict(shared)))
    begun = (folder / TABLE).exists() or any((folder / CHECKPOINTS).glob("*"))
    if not (path.exists() and begun):
        with replacing(path, parents=True) as temporary:
            temporary.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")
        return
    before = read_settings(folder, record)
    changed = [key for key in now if before.get(key) != now[key]]
    if changed:
        kind = Path(record).stem
        raise SettingsError(
            f"'{folder}' holds a {kind} with another {', '.join(changed)}. Choose another -o."
        )


def read_settings(folder: Path, record: str = SETTINGS) -> dict[str, Any]:
    """Read the settings of a folder. Raises SettingsError."""
    try:
        record_values = json.loads((folder / record).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record_values = None
    if not isinstance(record_values, dict):
        raise SettingsError(f"'{folder / record}' cannot be read. Choose another -o, or delete the folder")
    return record_values


def check_same_columns(cells: Sequence[GridCell], rows: Mapping[str, Row], folder: Path) -> None:
    """Raise SettingsError where a stored row has the name of a cell but belongs to another one."""
    for cell in cells:
        old = rows.get(cell.name, {})
        for name, value in as_texts(cell.key).items():
            if name in old and not same_value(old[name], value):
                raise SettingsError(
                    f"'{folder / TABLE}' has a cell '{cell.name}' with {name} {old[name]}, not {value}. "
                    "Choose another -o."
                )


def same_value(one: str, other: str) -> bool:
    """
    >>> same_value("1", "1.0"), same_value("a", "a"), same_value("", "0")
    (True, True, False)
    """
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False


def as_texts(row: Mapping[str, Any]) -> dict[str, str]:
    """Write each value of a row as its cell in the table, exactly; undefined is empty.

    >>> as_texts({"a": 0.1, "b": None, "c": float("nan"), "d": True, "e": 3})
    {'a': '0.1', 'b': '', 'c': '', 'd': 'True', 'e': '3'}
    """
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in row.items()}
    return {name: "" if value is None or value != value else str(value) for name, value in plain.items()}


def read_rows(folder: Path) -> list[dict[str, str]]:
    """Read the rows as texts, digit by digit as they were written; empty without a table.

    Raises:
        SettingsError: the file is no table of cells.
    """
    path = folder / TABLE
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [{name: as_written(text) for name, text in row.items()} for row in csv.DictReader(file)]
    except (OSError, ValueError, csv.Error):
        rows = [{}]
    if not all("cell" in row and None not in row and None not in row.values() for row in rows):
        raise SettingsError(f"'{path}' is not a table of cells. Choose another -o, or delete it")
    return rows


def write_rows(folder: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with replacing(folder / TABLE, parents=True) as temporary:
        write_csv(pd.DataFrame(list(rows)).fillna(""), temporary)


def read_cells(folder: Path) -> pd.DataFrame:
    """Read the table with its numbers as numbers; NaN where a cell is empty. Raises SettingsError."""
    rows = read_rows(folder)
    if not rows:
        return pd.DataFrame({"cell": pd.array([], dtype="str")})
    frame = pd.read_csv(folder / TABLE)
    return frame.map(as_written)


def ordered(table: pd.DataFrame, cells: Sequence[GridCell]) -> pd.DataFrame:
    """Return the rows of these cells in their order."""
    rows = {str(name): row for row, name in enumerate(table["cell"])}
    return table.take([rows[cell.name] for cell in cells if cell.name in rows]).reset_index(drop=True)


def finished(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows of runs that diverged."""
    return table.loc[table[ERROR].isna().to_numpy()].reset_index(drop=True) if ERROR in table else table
