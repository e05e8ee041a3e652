"""A column of a study is in memory once, whoever reads it: ten studies of a million images fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.answers.requests import add_answer
from core.errors import StudyError
from core.measures.evaluate import result_column
from core.measures.facets import further_facets
from core.measures.slice import Slice
from core.store import Study, open_study
from core.study.progress import Progress
from core.study.writer import write_study
from dashboard.cache import reads


@pytest.fixture
def study(studies: Path, tmp_path: Path) -> Study:
    """The complete study with a second answer, which says the first class of every image."""
    whole = open_study(studies / "demo")
    told = pd.DataFrame({"image_id": whole.images["image_id"], "predicted": whole.class_names[0]})
    told.to_csv(tmp_path / "told.csv", index=False)
    add_answer(whole.path, str(tmp_path / "told.csv"), None, {"device": "cpu"}, Progress.silent())
    return open_study(whole.path)


def test_columns_are_shared_by_pages_filters_and_answers(study):
    answered = study.answering("told")
    ways = [study, study.where(Slice(split="train")), study.evaluation, answered, answered.where(Slice())]
    q = result_column(study, "q_score")
    for one in ways:
        assert np.shares_memory(result_column(one, "q_score"), q), type(one)
        assert np.shares_memory(one.kept("quality")["q_score"].to_numpy(), q)
    assert np.shares_memory(reads.images(study)["q_score"].to_numpy(), q)
    assert np.shares_memory(reads.images(answered)["q_score"].to_numpy(), q)


def test_what_pages_count_by_keeps_no_further_copy(study):
    reads.images(study).frame()
    kept = set(study.kept_columns)
    assert "q_score" in further_facets(study)
    assert {*study.kept_columns} == kept


def test_an_answer_changes_only_its_own_columns(study):
    answered, first = study.answering("told"), study.class_names[0]
    for table in ("images", "probe", "quality"):
        whole, read = study.table(table), answered.table(table)
        assert list(read.columns) == answered.columns(table) and len(read) == len(whole)
        assert read["split"].equals(whole["split"]) and read["image_id"].equals(whole["image_id"])
        if table != "images":
            assert (read["predicted"] == first).all()
            assert (read["correct"] == (study.images["label"] == first)).all()
            assert not read["confidence"].equals(whole["confidence"])
    assert answered.table("quality")["q_score"].equals(study.table("quality")["q_score"])
    assert answered.table("probe", ["true"])["true"].tolist() == study.images["label"].tolist()


def test_has_values__is_what_reading_says_and_reads_nothing(study):
    for one in (study, study.answering("told"), study.where(Slice(split="train"))):
        for table in ("images", "quality", "probe"):
            study.kept_columns.clear()
            held = {name: one.has_values(table, name) for name in one.columns(table)}
            assert not study.kept_columns
            assert held == one.table(table).notna().any().to_dict()


@pytest.mark.parametrize("value", [np.nan, None])
def test_has_values__of_a_column_without_any(tmp_path, value):
    with write_study(tmp_path / "study") as writer, writer.step("embed", {}) as step:
        scores = pd.Series([value] * 2, dtype=float)
        about = {"image_id": ["a", "b"], "split": ["train", "val"], "label": ["x", "y"]}
        step.table("images", pd.DataFrame({**about, "score": scores}))
    (shutil.copytree(tmp_path / "study", tmp_path / "damaged") / "images.parquet").write_bytes(b"nothing")
    study, damaged = (open_study(tmp_path / name) for name in ("study", "damaged"))
    assert study.has_values("images", "image_id") and not study.has_values("images", "score")
    assert damaged.has_values("images", "score")  # whoever reads it is told what is wrong
    with pytest.raises(StudyError, match=r"images\.parquet has changed"):
        damaged.column("images", "score")


def test_rows_held__are_those_of_the_names_that_the_study_has(study):
    names = study.images["image_id"].tolist()
    assert study.rows_held([names[7], "elsewhere.png", names[3], names[7]]) == {names[3]: 3, names[7]: 7}
    assert study.row_of(names[5]) == 5
    with pytest.raises(StudyError, match=r"'elsewhere\.png'"):
        study.row_of("elsewhere.png")
