"""The entry point: where a user's own modules are looked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = (
    "import sys; from core.__main__ import run; sys.argv = ['peregrine']; run(); print(*sys.path, sep='\\n')"
)


def search_path(*options: str, folder: Path) -> list[str]:
    command = [sys.executable, *options, "-c", CODE]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_installed_command_finds_modules_of_the_working_directory_last(tmp_path: Path):
    """As `peregrine` starts: without the working directory, which may hold a `core` of somebody else."""
    path = search_path("-P", folder=tmp_path)
    assert path[-1] == str(tmp_path) and path.count(str(tmp_path)) == 1


def test_a_working_directory_that_python_searches_anyway_is_not_added(tmp_path: Path):
    path = search_path(folder=tmp_path)
    assert str(tmp_path) not in path  # it is there as the empty text, in front
