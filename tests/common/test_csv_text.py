"""CSV files in which no cell is a formula."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.common.csv_text import as_written, csv_text, harmless, write_csv
from core.publish.export_files import export_table
from core.publish.streaming import stream_table
from core.store import open_study
from core.study.writer import write_study
from tests import small

FORMULAS = [
    "=1+1",
    '=HYPERLINK("http://x")',
    "+A1",
    "-A1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1+1",
    "-",
    "--1",
]
MARKED = [mark + text for mark in ("", "'", "''") for text in FORMULAS]
SOUND = ["", "a", "a=b", "'tis", "-0.5", "+3", "-1e-7", "12_40", " =1", "ü", "1-2", "train/dog/1.png"]

ROOT = Path(__file__).parents[2]


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("text", MARKED)
def test_a_formula_gets_an_apostrophe_and_comes_back(text):
    assert harmless(text) == f"'{text}" and as_written(harmless(text)) == text


@pytest.mark.parametrize("text", SOUND)
def test_other_texts_stay(text):
    assert harmless(text) == text and as_written(text) == text


@pytest.mark.parametrize("value", [-1, -0.5, np.float32(-2), None, np.nan, True, pd.NA])
def test_what_is_no_text_stays(value):
    assert harmless(value) is value and as_written(value) is value


def test_frame__numbers_names_and_gaps(rng):
    frame = pd.DataFrame({"=cmd|calc": FORMULAS[:3], "score": [-0.5, np.nan, -1e-9], "n": [-3, 0, 2]})
    frame["kind"] = pd.Categorical(["@x", "b", "@x"])
    frame["mixed"] = pd.Series([-1.5, "=1", None], dtype=object)
    frame["right"] = pd.array([True, None, False], "boolean")
    rows = cells(csv_text(frame))
    assert rows[0] == ["'=cmd|calc", "score", "n", "kind", "mixed", "right"]
    assert rows[1] == ["'=1+1", "-0.5", "-3", "'@x", "-1.5", "True"]
    assert rows[2][1:] == ["", "0", "b", "'=1", ""]
    back = pd.read_csv(io.StringIO(csv_text(frame))).map(as_written).rename(columns=as_written)
    assert back["=cmd|calc"].tolist() == FORMULAS[:3] and back["score"].iloc[[0, 2]].tolist() == [-0.5, -1e-9]
    assert back.columns.tolist() == frame.columns.tolist()
    assert csv_text(frame.iloc[:0]) == csv_text(frame).splitlines()[0] + "\n"


def test_frame__without_formulas_is_written_as_pandas_would(rng, tmp_path):
    frame = pd.DataFrame({"name": SOUND, "x": rng.normal(size=len(SOUND)).astype(np.float32)})
    assert csv_text(frame) == frame.to_csv(index=False, lineterminator="\n")
    write_csv(frame, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes().decode() == csv_text(frame)


@pytest.fixture
def hostile(tmp_path):
    """A study whose ids, labels, column names and cells are formulas."""
    small.write_small_study(tmp_path / "study")
    study = open_study(tmp_path / "study")
    images, attributes = study.images, study.table("attributes")
    ids = pd.Series([f"=HYPERLINK({n})" for n in range(len(images))])
    with write_study(study.path) as writer, writer.step("embed", {"images": "x", "encoder": "none"}) as step:
        step.table("images", images.assign(image_id=ids, path=ids, label="@dog"))
        step.table("attributes", attributes.assign(image_id=ids).rename(columns={"background": "=cmd|calc"}))
        small._write_representations(step)
    return open_study(study.path)


@pytest.mark.parametrize("table", ["images", "attributes"])
def test_exports_and_downloads__hold_no_formula(hostile, tmp_path, table):
    export_table(hostile, table, tmp_path / "t.csv")
    exported = (tmp_path / "t.csv").read_text()
    assert exported == b"".join(stream_table(hostile, table, "csv")).decode()
    written = [cell for row in cells(exported) for cell in row]
    assert "'=HYPERLINK(3)" in written and not any(cell.startswith(tuple("=+-@")) for cell in written)
    back = pd.read_csv(tmp_path / "t.csv").map(as_written).rename(columns=as_written)
    assert back["image_id"].tolist() == hostile.table(table)["image_id"].tolist()
    assert back.columns.tolist() == hostile.columns(table)
    export_table(hostile, table, tmp_path / "t.parquet")  # no spreadsheet runs these
    assert pd.read_parquet(tmp_path / "t.parquet")["image_id"].tolist()[3] == "=HYPERLINK(3)"


def test_no_other_place_writes_csv():
    """Every .csv goes through one function (training's rows through `harmless`)."""
    sources = [path for part in ("core", "dashboard") for path in sorted((ROOT / part).rglob("*.py"))]
    writing = re.compile(r"to_csv\(|csv\.(Dict)?[wW]riter\(")
    writers = [path.relative_to(ROOT).as_posix() for path in sources if writing.search(path.read_text())]
    logs = ["core/training/files.py", "core/training/step_log.py"]  # numbers and names of our own alone
    assert writers == ["core/common/csv_text.py", *logs]
