"""Tables that pages offer as CSV: numbers are numbers, with one minus sign, under names that say enough."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.charts import table_file
from core.charts.table_file import TableFile
from core.measures.slice import Slice
from core.store import open_study
from dashboard.components import chart
from tests.sampling import sample

TEXT_OF_NUMBER = re.compile(r"[<>≤≥]?\s*[+\-−]?\d[\d.,]*\s*(%|points?)?\s*(\(.*\))?\s*[*†]?")
NAME = re.compile(r"[\w.-]+")
PAGES = (
    ("compare", {"compare_with": ["second"], "compare_words_open": "true"}),
    ("predicting_errors", {}),
    ("masks", {"study": "seen"}),
    ("features", {"features_as": "Table"}),
    ("features", {"features_as": "Plot"}),
    ("errors", {"slices_view": "Table", "where": "split=val"}),
    ("errors", {"slices_view": "Chart", "where": "split=val"}),
    ("images", {"beside": "true", "picked": "two"}),
)


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[TableFile]]:
    """The files that a page offers."""
    made: list[TableFile] = []

    def note(*parts, **named) -> TableFile:
        made.append(TableFile(*parts, **named))
        return made[-1]

    monkeypatch.setattr(chart, "TableFile", note)
    yield made


def text_numbers(table: pd.DataFrame) -> list[str]:
    """Columns of text all of whose cells are formatted numbers."""
    odd = []
    for name in table.select_dtypes(include=["object", "string"]):
        cells = [str(cell) for cell in table[name].dropna() if str(cell)]
        if cells and all(TEXT_OF_NUMBER.fullmatch(cell) for cell in cells):
            odd.append(f"{name}: {cells[0]}")
    return odd


def test_text_numbers__are_noticed():
    cells = ["+0.045 (+0.028 to +0.063) *", "\N{MINUS SIGN}2.0 points (\N{MINUS SIGN}10.0 to +6.0)", "64.0 %"]
    assert len(text_numbers(pd.DataFrame({"change": cells, "name": ["a", "3b", "000.png"]}))) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("page", "query"), sample(PAGES, 3))
def test_every_file__holds_numbers_and_says_of_what(studies, second, seen, open_page, offered, page, query):
    study = query.get("study", "demo")
    if "picked" in query:
        query = query | {"picked": open_study(studies / study).images["image_id"].iloc[:2].tolist()}
    app = open_page(page, **({"study": study, "where": "label=bee"} | query))
    assert not app.exception and offered
    for file in offered:
        table = pd.read_csv(io.BytesIO(file.content()))
        frame: Any = file.frame() if callable(file.frame) else file.frame
        assert text_numbers(table) == [], file.table
        assert {"study", "slice"} <= set(table.columns) and len(table) == len(frame)
        assert "\N{MINUS SIGN}" not in "".join(
            map(str, table.select_dtypes(include="number").to_numpy().ravel())
        )
        assert NAME.fullmatch(file.stem) and file.stem.startswith(study) and file.table in file.stem
        for name in frame.select_dtypes(include="number"):
            np.testing.assert_allclose(table[str(name)], frame[name].astype(float), rtol=1e-6)  # float32
    named = [file for file in offered if file.among is not None]
    assert page in ("images", "errors") or any("class-bee" in file.stem for file in named)
    for file in named:
        assert set(pd.read_csv(io.BytesIO(file.content()))["slice"].dropna()) <= {str(file.among)}


def test_compare__file_is_named_after_both_studies(second, open_page, offered):
    open_page("compare", study="demo", compare_with=["second"], where="label=bee")
    assert "demo-vs-second_compare_class-bee" in [file.stem for file in offered]


def test_name__of_any_study_and_slice_is_a_file_name():
    long = Slice(labels=tuple(f"class/{n}" for n in range(60)))
    stem = table_file.file_stem(["a b/c", "ü"], "x", long)
    assert stem.startswith("a-b-c-vs-ü_x_class-class-0") and len(stem) == table_file.LONGEST
    stem = table_file.file_stem(["ü"], "x", Slice(labels=("猫" * 100,)))
    assert stem.endswith("猫" * 70) and 230 < len(stem.encode()) <= 240


def test_content__keeps_columns_that_are_there(full_study, tmp_path):
    study = open_study(shutil.copytree(full_study, tmp_path / "demo"))
    file = TableFile((study.name,), "t", pd.DataFrame({"study": ["other"], "value": [-0.5]}))
    assert file.content().decode().splitlines() == ["study,value,slice", "other,-0.5,"]
