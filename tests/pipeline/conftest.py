"""A study for tests that interrupt or damage a copy of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.cli import main
from tests.command_line import write_given


@pytest.fixture(scope="session")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Options of `analyze` for a small study."""
    return write_given(tmp_path_factory.mktemp("analysis"))


@pytest.fixture(scope="session")
def analysed(analysis: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study that they make; no test writes to it."""
    study: Path = tmp_path_factory.mktemp("analysed") / "study"
    assert main(["analyze", str(study), *analysis]) == 0
    return study
