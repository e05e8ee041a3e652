"""Texts that serve as keys: a study that holds others says so, and no page looks them up."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from core.errors import StudyError
from core.store import open_study
from core.study.table_files import KEYS, wrong_key
from core.study.writer import write_study

SOUND = {"group": ["12", "12+40"], "mask": ["core", "spurious"], "tail": ["lower"], "verdict": ["undecided"]}


@pytest.mark.parametrize("column", KEYS)
@pytest.mark.parametrize("text", ["<b>core</b>", "", "core\n", "12_", "1" * 30, None, "Core"])
def test_wrong_key(column: str, text: str | None) -> None:
    tables, _ = KEYS[column]
    for name in tables:
        assert wrong_key(name, pd.DataFrame({column: SOUND[column]})) is None
        assert column in (wrong_key(name, pd.DataFrame({column: [*SOUND[column], text]})) or "")
    assert wrong_key("attributes", pd.DataFrame({column: [text]})) is None  # what a data set says


def test_study_with_another_key__the_table_is_damaged(tmp_path: Path) -> None:
    with write_study(tmp_path / "s") as writer, writer.step("features", {}) as step:
        step.table("features", pd.DataFrame({"feature": [0], "tail": ["<b>upper"]}))
    study = open_study(tmp_path / "s")
    with pytest.raises(StudyError, match="features.parquet.*'<b>upper'"):
        study.table("features")
    assert "tail" in study.damage["features"]
