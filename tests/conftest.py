"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(autouse=True, scope="session")
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Jobs of tests are remembered in a folder of the tests, and no study is trusted that does not ask."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PEREGRINE_STATE", str(tmp_path_factory.mktemp("state")))
        patch.delenv("PEREGRINE_TRUST_STUDIES", raising=False)
        yield


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted encoder is a `python:` one: it runs only where studies are trusted."""
    monkeypatch.setenv("PEREGRINE_TRUST_STUDIES", "1")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def study_path(tmp_path: Path) -> Callable[..., Path]:
    """A factory of small complete studies: `study_path(n_val=20)` (see tests/synthetic.py)."""
    from tests.synthetic import make_study

    def make(name: str = "study", **options: object) -> Path:
        return make_study(tmp_path / name, **options)  # pyright: ignore[reportArgumentType]

    return make


@pytest.fixture(scope="session")
def shared_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small complete study for tests that only read."""
    from tests.synthetic import make_study

    return make_study(tmp_path_factory.mktemp("studies") / "shared")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., object]:
    """Runs a command in this process: `run("info", study)` (see tests/command_line.py)."""
    from tests.command_line import runner

    return runner(capsys)


@pytest.fixture
def given(tmp_path: Path) -> tuple[str, ...]:
    """Words that make a study of 40 sharp representations of 2 classes, quickly and without pictures."""
    from tests.command_line import QUICK, sharp_representations

    np.save(tmp_path / "raw.npy", sharp_representations(40, 2))
    rows = [f"{row},{'cat' if row % 2 else 'dog'}" for row in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["image_id,label", *rows]) + "\n")
    named = ("--images", str(tmp_path / "rows.csv"), "--representations", str(tmp_path / "raw.npy"))
    return (*named, *QUICK)
