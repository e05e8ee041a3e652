"""Evaluation images that train has, too: listed, counted, and said where their labels differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.measures.leaks import COLUMNS, leakage, leaks_of_slice
from core.measures.slice import Slice
from core.publish.export_files import read_table
from core.publish.summary import info
from core.store import Study
from core.study.writer import write_study

IDS = ["t0", "t1", "t2", "v0", "v1", "v2", "v3"]
LABELS = ["a", "b", "a", "a", "a", "b", "a"]
# v0 repeats t0 pixel by pixel, v1 nearly t1, v2 repeats v1; v3 is like none
EXACT = [None, None, None, "t0", None, None, None]
NEAR = [None, None, None, "t0", "t1", "v1", None]


@pytest.fixture
def study(tmp_path: Path) -> Study:
    with write_study(tmp_path / "study") as writer, writer.step("embed", {}) as step:
        split = ["train"] * 3 + ["val"] * 4
        step.table("images", pd.DataFrame({"image_id": IDS, "path": IDS, "split": split, "label": LABELS}))
        repeated = {"duplicate_of": pd.array(EXACT, "str"), "near_duplicate_of": pd.array(NEAR, "str")}
        step.table("pictures", pd.DataFrame({"image_id": IDS, "brightness": 0.5, **repeated}))
        step.summary = {"n_images": 7, "pictures": {"n_exact": 1, "n_near": 3}}
    return Study(tmp_path / "study")


def test_leaks__have_the_train_image_and_whether_it_is_the_same(study):
    table = leaks_of_slice(study, np.ones(7, bool))
    assert list(table.columns) == list(COLUMNS)
    rows = table[["image_id", "train_image", "train_label", "exact"]].to_numpy().tolist()
    assert rows == [["v0", "t0", "a", True], ["v1", "t1", "b", False], ["v2", "t1", "b", False]]
    assert list(leaks_of_slice(study, np.arange(7) == 4)["image_id"]) == ["v1"]
    assert study.where("label=b").table("leaks")["image_id"].tolist() == ["v2"]


def test_leakage__is_counted_with_labels_that_differ(study):
    record = leakage(study)
    assert record is not None and (record.kind, record.n, record.of) == ("leakage_of_labels", 3, 4)
    assert record.value == 1  # v1 is a, and its train image b
    assert leakage(study.where("leak=false")) is None
    assert Slice.parse("leak=false").mask(study).sum() == 4


def test_info_and_export__say_the_same(study):
    report = info(study)
    assert (report["n_duplicates"], report["n_near_duplicates"], report["n_leaks"]) == (1, 3, 3)
    assert list(read_table(study, "leaks")["image_id"]) == ["v0", "v1", "v2"]


def test_no_duplicates__no_leakage(tmp_path):
    with write_study(tmp_path / "old") as writer, writer.step("embed", {}) as step:
        step.table("images", pd.DataFrame({"image_id": IDS, "path": IDS, "split": "val", "label": LABELS}))
    old = Study(tmp_path / "old")
    assert leakage(old) is None and leaks_of_slice(old, np.ones(7, bool)).empty
    assert info(old)["n_leaks"] is None
