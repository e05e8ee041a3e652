"""How long a fit of a basis takes, by what earlier ones of the study took."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from core.bases.fit_times import seconds_per_operation
from core.bases.kinds import KINDS
from core.bases.requests import add_basis
from core.config import BasisConfig
from core.store import open_study
from core.study.jobs import PROGRESS
from core.study.progress import Progress


@pytest.fixture
def folder(shared_study: Path, tmp_path: Path) -> Path:
    return shutil.copytree(shared_study, tmp_path / "study")


def fit(folder: Path, name: str, **settings: object) -> None:
    config = BasisConfig(kind="pca", seeds=1, **settings)  # type: ignore[arg-type]
    with Progress.for_command(folder) as progress:
        add_basis(folder, name, config, progress, device="cpu")


def took(folder: Path, **seconds: float) -> None:
    """Set what the steps of a study took, as a slower machine would have kept it."""
    path = folder / PROGRESS
    record = json.loads(path.read_text())
    assert {"basis-small", "basis-large"} <= set(record["took"])  # each fit kept its own time
    path.write_text(json.dumps(record | {"took": {f"basis-{name}": s for name, s in seconds.items()}}))


def test_pace__is_that_of_the_largest_fit_of_the_kind_whose_time_is_known(folder):
    fit(folder, "small", size=4, k=2)
    fit(folder, "large", size=8, k=2)
    study, n = open_study(folder), 100
    width = study.array("representations").shape[1]
    operations = [KINDS["pca"].fit_operations(n, width, size, 2) for size in (4, 8)]
    took(folder, small=3.0, large=10.0)
    assert seconds_per_operation(study, "pca", "pooled", n) == pytest.approx(10 / operations[1])
    took_of_small = json.loads((folder / PROGRESS).read_text()) | {"took": {"basis-small": 3.0}}
    (folder / PROGRESS).write_text(json.dumps(took_of_small))
    assert seconds_per_operation(study, "pca", "pooled", n) == pytest.approx(3 / operations[0])
    assert seconds_per_operation(study, "pca", "positions", n) is None  # of other vectors
    assert seconds_per_operation(study, "nmf", "pooled", n) is None
    (folder / PROGRESS).unlink()  # a study of before kept none
    assert seconds_per_operation(study, "pca", "pooled", n) is None


def test_pace__a_training_of_other_steps_tells_nothing(folder):
    fit(folder, "short", size=4, k=2, steps=10)
    assert seconds_per_operation(open_study(folder), "pca", "pooled", 100) is None
