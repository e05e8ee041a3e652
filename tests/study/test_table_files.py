"""Tables of a study: nothing parses one whose checksum is not that of the manifest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from core.errors import StudyError
from core.publish.streaming import stream_table
from core.store import Study, open_study
from core.study import table_files
from core.study.writer import write_study
from tests.manifests import edited_manifest

PARSERS = ("read_schema", "read_table", "read_metadata", "ParquetFile")
DOORS: dict[str, Callable[[Study], object]] = {
    "table": lambda study: study.table("images"),
    "column": lambda study: study.column("images", "label"),
    "stream": lambda study: next(stream_table(study, "images", "csv")),
    "range": lambda study: study.value_range("images", "score"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with write_study(tmp_path / "study") as writer, writer.step("embed", {}) as step:
        columns = {"image_id": ["a", "b"], "label": ["x", "y"], "split": ["train", "val"]}
        step.table("images", pd.DataFrame({**columns, "score": [0.5, 2.0]}))
    return tmp_path / "study"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reads a table, in order: a checksum, the footer, pyarrow."""
    calls: list[str] = []

    def noted(of: object, name: str) -> None:
        real = getattr(of, name)
        monkeypatch.setattr(of, name, lambda *a, **more: (calls.append(name), real(*a, **more))[1])

    for name in PARSERS:
        noted(pq, name)
    for name in ("file_sha256", "read_footer"):
        noted(table_files, name)
    return calls


@pytest.mark.parametrize("door", DOORS)
def test_checksum__comes_before_anything_that_parses(folder, calls, door):
    DOORS[door](open_study(folder))
    assert calls[0] == "file_sha256" and len(calls) > 1 and calls.count("file_sha256") == 1


@pytest.mark.parametrize("door", DOORS)
def test_checksum__another_than_the_manifest_says_and_nothing_is_parsed(folder, calls, door):
    path = folder / "images.parquet"
    path.write_bytes(path.read_bytes() + b"!")
    study = open_study(folder)
    if door == "range":
        assert study.value_range("images", "score") == (None, None)
    else:
        with pytest.raises(StudyError, match=r"images\.parquet has changed"):
            DOORS[door](study)
    assert calls == ["file_sha256"]


def test_checksum__is_read_once_for_as_long_as_the_file_is_the_same(folder, calls):
    for _ in range(3):
        assert open_study(folder).table("images")["score"].tolist() == [0.5, 2.0]
    assert calls.count("file_sha256") == 1
    path = folder / "images.parquet"
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    open_study(folder).table("images")
    assert calls.count("file_sha256") == 2


def test_table_that_a_step_replaces__is_no_damage(folder):
    study = open_study(folder)
    with edited_manifest(folder) as manifest:
        del manifest["items"]["images"]
    (folder / "images.parquet").write_bytes(b"half of the next table")
    with pytest.raises(StudyError, match="changed since it was opened"):
        study.table("images")
    assert study.has("images")


def test_value_range__is_that_of_the_numbers(folder):
    study = open_study(folder)
    assert study.value_range("images", "score") == (0.5, 2.0)
    assert study.value_range("images", "label") == (None, None)
