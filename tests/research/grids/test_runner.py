"""The grid runner: its table grows, a second run goes on, and nothing is lost when it is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from core.errors import ImageSourceError, SettingsError, TrainingDiverged
from core.jobs.progress import Progress
from core.research.grids import runner as grid
from core.research.grids.runner import GridCell, locked, read_cells, run_grid, with_seeds

ARMS = [GridCell("plain", {"tau": 0.5}), GridCell("hard", {"tau": 0.1, "note": "=1+1"})]


class Runs:
    """A `run` that remembers its cells, leaves a checkpoint, and fails where it is told to."""

    def __init__(self, **failing: Exception):
        self.cells: list[str] = []
        self.failing = failing

    def __call__(self, cell: GridCell, output: Path) -> dict[str, object]:
        self.cells.append(cell.name)
        output.parent.mkdir(exist_ok=True)
        output.write_text("weights")
        if cell.arm in self.failing:
            raise self.failing[cell.arm]
        return {"top1": 1 / 3 + (cell.seed or 0), "note_of_run": None, "seconds": 1.5}


def fill(folder: Path, runs: Runs, n_seeds: int = 1, **options) -> pd.DataFrame:
    options = {"shared": {"epochs": 2, "size": [1, 2]}, "progress": Progress.silent(), **options}
    return run_grid(with_seeds(ARMS, range(n_seeds)), folder, runs, **options)


def test_run_grid__runs_seeds_last_and_goes_on_with_what_is_missing(tmp_path):
    runs = Runs()
    first = fill(tmp_path, runs)
    assert runs.cells == ["plain-s0", "hard-s0"] and first["top1"].tolist() == [1 / 3, 1 / 3]
    text = (tmp_path / "cells.csv").read_text()
    second = fill(tmp_path, runs, 2)
    assert runs.cells == ["plain-s0", "hard-s0", "plain-s1", "hard-s1"]
    assert (tmp_path / "cells.csv").read_text().startswith(text)  # to the digit
    assert second["cell"].tolist() == runs.cells and second["seed"].tolist() == [0, 0, 1, 1]
    assert second["note"].isna().tolist() == [True, False, True, False] and second["note"][1] == "=1+1"
    assert sorted(path.name for path in (tmp_path / "cells").iterdir()) == sorted(
        f"{name}.safetensors" for name in runs.cells
    )


def test_run_grid__a_row_is_on_disk_before_the_next_cell_begins(tmp_path):
    with pytest.raises(ImageSourceError):
        fill(tmp_path, Runs(hard=ImageSourceError("no images")))
    assert read_cells(tmp_path)["cell"].tolist() == ["plain-s0"]
    runs = Runs()
    fill(tmp_path, runs)
    assert runs.cells == ["hard-s0"]


class Killed(Runs):
    """Ends its process at the second seed."""

    def __call__(self, cell: GridCell, output: Path) -> dict[str, object]:
        if cell.seed:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(cell, output)


def test_run_grid__a_killed_process_keeps_its_rows_and_its_folder_is_free(tmp_path):
    process = multiprocessing.get_context("fork").Process(target=fill, args=(tmp_path, Killed(), 2))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    runs = Runs()
    fill(tmp_path, runs, 2)
    assert runs.cells == ["plain-s1", "hard-s1"] and len(read_cells(tmp_path)) == 4


def test_run_grid__a_run_that_diverges_is_a_row_with_its_reason(tmp_path):
    table = fill(tmp_path, Runs(hard=TrainingDiverged("The loss is nan at step 3.")), 2)
    assert table["error"].isna().tolist() == [True, False, True, False]
    assert table["error"][1] == "The loss is nan at step 3." and table["top1"].isna().sum() == 2
    assert grid.finished(table)["cell"].tolist() == ["plain-s0", "plain-s1"]
    runs = Runs()
    fill(tmp_path, runs, 2)
    assert runs.cells == []  # it would diverge again


def test_run_grid__without_keeping_the_checkpoints(tmp_path):
    fill(tmp_path, Runs(), keep=False)
    assert not list((tmp_path / "cells").iterdir())


def test_run_grid__refuses_a_folder_of_other_settings(tmp_path):
    fill(tmp_path, Runs())
    runs = Runs()
    with pytest.raises(SettingsError, match="holds a grid with another epochs. Choose another -o."):
        fill(tmp_path, runs, shared={"epochs": 3, "size": [1, 2]})
    with pytest.raises(SettingsError, match="'plain-s0' with tau 0.5, not 0.7. Choose another -o."):
        other = [GridCell("plain", {"tau": 0.7}, 0)]
        run_grid(other, tmp_path, runs, shared={"epochs": 2, "size": [1, 2]}, progress=Progress.silent())
    assert runs.cells == []


def test_run_grid__settings_that_led_to_nothing_are_replaced(tmp_path):
    (tmp_path / "grid.json").write_text('{"epochs": 7}')
    assert len(fill(tmp_path, Runs())) == 2


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([GridCell("a/b")], "'a/b' cannot name a cell"),
        ([GridCell("a"), GridCell("a")], "two cells of the grid are called 'a'"),
        ([], "the grid has no cells"),
    ],
)
def test_run_grid__refuses_cells(tmp_path, cells, message):
    with pytest.raises(SettingsError, match=message):
        run_grid(cells, tmp_path, Runs(), shared={}, progress=Progress.silent())


def test_run_grid__one_process_at_a_time(tmp_path):
    with locked(tmp_path), pytest.raises(SettingsError, match="another process fills"):
        fill(tmp_path, Runs())


def test_run_grid__damaged_files_are_named(tmp_path):
    fill(tmp_path, Runs())
    (tmp_path / "grid.json").write_text("{")
    with pytest.raises(SettingsError, match="grid.json' cannot be read"):
        fill(tmp_path, Runs())
    (tmp_path / "cells.csv").write_text("a,b\n1,2,3\n")
    with pytest.raises(SettingsError, match="cells.csv' is not a table of cells"):
        read_cells(tmp_path)
