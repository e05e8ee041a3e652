"""`make test`, with a stand-in for the environment's Python that notes what it is asked to run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RECORDER = """#!/bin/sh
echo "$@" >> calls.txt
case "$*" in *pytest*"$FAILING"*) exit 1;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Make a folder in which everything is installed, as far as make can see."""
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (binaries / "python").write_text(RECORDER)
    (binaries / "python").chmod(0o755)
    for stamp in (".installed", ".installed-dev"):
        (tmp_path / ".venv" / stamp).touch()
    return tmp_path


@pytest.mark.parametrize(("failing", "code"), [("--dist", 2), ("nothing", 0)])
def test_make_test__runs_every_test_once_and_ends_red_if_one_fails(checkout: Path, failing: str, code: int):
    environment = {"PATH": os.environ["PATH"], "FAILING": failing}
    ended = subprocess.run(["make", "test"], cwd=checkout, env=environment, capture_output=True, timeout=60)
    assert ended.returncode == code, ended.stderr
    (call,) = (checkout / "calls.txt").read_text().splitlines()
    assert " -m pytest " in f" {call}" and " -m slow" not in call and " -m not" not in call


def test_every_test_file_that_the_makefile_names_is_there():
    named = re.findall(r"tests/[\w/]+\.py", (ROOT / "Makefile").read_text())
    assert len(named) > 20
    assert [name for name in named if not (ROOT / name).is_file()] == []
