"""What several workers of a test run need, made by the first that asks for it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder in which `make` was called, in this process or in that of another worker; only read it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has a folder of its own in that of the run
    folder, done = base / f"shared_{name}", base / f"shared_{name}.done"
    with FileLock(base / f"shared_{name}.lock"):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a worker that failed
            folder.mkdir()
            make(folder)
            done.touch()
    _unchanged.setdefault(folder, _times(folder))
    return folder


_unchanged: dict[Path, dict[Path, int]] = {}


def _times(folder: Path) -> dict[Path, int]:
    """When files were last added to each folder, or taken away."""
    folders = (at for at in (folder, *folder.glob("*"), *folder.glob("*/*")) if at.is_dir())
    return {at: at.stat().st_mtime_ns for at in folders}


def written_to() -> list[Path]:
    """The shared folders in which something was written since this was asked last: no test may do so, for
    another worker reads there at the same moment."""
    changed = [folder for folder, times in _unchanged.items() if folder.exists() and _times(folder) != times]
    _unchanged.update((folder, _times(folder)) for folder in changed)
    return changed


_of_this_run: list[pytest.TempPathFactory] = []


def begin_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    """From now on `once_a_run` makes folders of this run."""
    _of_this_run[:] = [tmp_path_factory]


def once_a_run(name: str, make: Callable[[Path], object]) -> Path | None:
    """As `made_once`; None outside of a run of tests."""
    return made_once(_of_this_run[0], name, make) if _of_this_run else None
