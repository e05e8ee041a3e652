"""Fixtures that every test may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


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
