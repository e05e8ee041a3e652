"""Traces in slices, in the names of features, in exports and in the command `notes`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from core.cli import main
from core.errors import SliceError
from core.measures import saved_slices
from core.measures.evaluate import may_depend_on_traces, of_results, slice_columns
from core.measures.slice import Slice
from core.measures.slice_words import feature_words
from core.publish.export_files import export_table, read_table
from core.store import Study
from core.study import trace_changes
from tests import small


@pytest.fixture
def study(tmp_path: Path) -> Study:
    study = small.write_small_study(tmp_path / "study")
    ids = study.images["image_id"].tolist()
    trace_changes.set_tags(study, ids[0], ["doubtful", "to check"])
    trace_changes.set_tags(study, ids[2], ["to check"])
    trace_changes.mark_wrong_label(study, ids[2], "cat")
    trace_changes.mark_wrong_label(study, ids[3])
    trace_changes.set_note(study, ids[1], "=1+1")
    trace_changes.name_feature(study, 1, "night sky")
    trace_changes.set_feature_tags(study, 1, ["background"])
    return study


def rows(study: Study, text: str) -> list[int]:
    return np.flatnonzero(Slice.parse(text).mask(study)).tolist()


def test_tags_and_doubts_are_conditions(study: Study) -> None:
    assert rows(study, "tag=doubtful") == [0]
    assert rows(study, 'tag="to check"') == [0, 2]
    assert rows(study, 'tag="to check",doubtful') == [0, 2]
    assert rows(study, "wrong_label=true") == [2, 3]
    assert rows(study, 'wrong_label=true tag="to check"') == [2]
    both = rows(study, "wrong_label=false") + rows(study, "wrong_label=true")
    assert sorted(both) == rows(study, "wrong_label=false,true") == list(range(study.n_images))


def test_the_mask_follows_the_traces_at_once(study: Study) -> None:
    trace_changes.set_tags(study, study.images["image_id"].iat[4], ["doubtful"])
    assert rows(study, "tag=doubtful") == [0, 4]
    saved_slices.save(study.path, "mine", Slice.parse("tag=doubtful"))
    assert rows(study, "@mine") == [0, 4]


def test_the_text_form_and_the_words(study: Study) -> None:
    where = Slice.parse('tag="to check" wrong_label=true split=val')
    assert Slice.parse(str(where)) == where
    assert where.describe() == "evaluation images, tagged to check, whose label is marked as wrong"
    assert not of_results(where, study)
    assert may_depend_on_traces(where) and may_depend_on_traces(Slice(saved=("x",)))
    assert not may_depend_on_traces(Slice(labels=("dog",), extras={"background": ("sand",)}))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("tag=doubtfull", "no image has the tag 'doubtfull'.*Did you mean 'doubtful'"),
        ("tag=1..3", "no range"),
        ("wrong_label=maybe", "no wrong_label 'maybe'"),
    ],
)
def test_conditions_that_cannot_be_met(study: Study, text: str, why: str) -> None:
    with pytest.raises(SliceError, match=why):
        rows(study, text)


def test_the_studys_own_column_goes_before(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert slice_columns(study)["tag"] == "traces"
    monkeypatch.setattr(Study, "columns", lambda self, name: ["image_id", "tag"])
    assert slice_columns(study)["tag"] == "images"


def test_a_name_stands_for_the_words(study: Study) -> None:
    words = feature_words(study, named=False)
    assert feature_words(study) == words | {1: ["night sky"]}
    trace_changes.name_feature(study, 1, "")
    assert feature_words(study) == words


def test_export(study: Study, tmp_path: Path) -> None:
    ids = study.images["image_id"].tolist()
    images = read_table(study, "traces_images")
    assert images.columns.tolist() == ["image_id", "label", "note", "tags", "wrong_label", "right_label"]
    assert set(images["image_id"]) == set(ids[:4])
    by_id = images.set_index("image_id")
    assert by_id.loc[ids[0], "tags"] == "doubtful, to check"
    assert by_id.loc[ids[2], "wrong_label"] == "cat"
    assert by_id.loc[ids[2], "label"] == study.images["label"][2]
    assert read_table(study, "traces_features").to_dict("records") == [
        {"feature": 1, "name": "night sky", "note": "", "tags": "background"}
    ]
    marked = read_table(study, "traces_images", slice=Slice.parse("wrong_label=true"))
    assert set(marked["image_id"]) == {ids[2], ids[3]}
    for extension in (".csv", ".parquet", ".json", ".npy"):
        assert export_table(study, "traces_images", tmp_path / f"images{extension}") == 4
        assert export_table(study, "traces_features", tmp_path / f"features{extension}") == 1
    with open(tmp_path / "images.csv", newline="") as file:
        notes = {row["image_id"].lstrip("'"): row["note"] for row in csv.DictReader(file)}
    assert notes[ids[1]] == "'=1+1", "no formula for a spreadsheet"
    assert pd.read_parquet(tmp_path / "images.parquet").set_index("image_id").loc[ids[1], "note"] == "=1+1"


def test_export_without_traces(tmp_path: Path) -> None:
    study = small.write_small_study(tmp_path / "study")
    for table in ("traces_images", "traces_features"):
        for extension in (".csv", ".parquet", ".json", ".npy"):
            assert export_table(study, table, tmp_path / f"{table}{extension}") == 0


def test_an_image_that_left_the_study_is_still_exported(study: Study) -> None:
    path = study.path / "traces.json"
    body = json.loads(path.read_text())
    body.pop("checksum")
    body["images"]["gone.jpg"] = {"note": "kept"}
    path.write_text(json.dumps(body))
    assert "gone.jpg" in read_table(study, "traces_images")["image_id"].tolist()
    assert_array_equal(rows(study, "tag=doubtful"), [0])


def test_command(study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    ids = study.images["image_id"].tolist()
    assert main(["notes", str(study.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"image {ids[0]}: #doubtful  #to check" in lines
    assert f"image {ids[2]}: wrong label {study.images['label'][2]} (cat)  #to check" in lines
    assert f"image {ids[1]}: =1+1" in lines
    assert "feature 1: night sky  #background" in lines
    assert main(["notes", str(study.path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [row["tags"] for row in report["images"] if row["image_id"] == ids[0]] == [
        ["doubtful", "to check"]
    ]
    (study.path / "traces.json").write_text("{")
    assert main(["notes", str(study.path)]) == 0
    said = capsys.readouterr()
    assert "feature 1: night sky  #background" in said.out.splitlines()
    assert said.err.count("\n") == 1 and "traces.json.last" in said.err
    (study.path / "traces.json.last").unlink()
    assert main(["notes", str(study.path)]) != 0
    assert "traces.json" in capsys.readouterr().err


def test_command_without_notes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small.write_small_study(tmp_path / "study")
    assert main(["notes", str(tmp_path / "study")]) == 0
    assert capsys.readouterr().out.startswith("no notes yet")
