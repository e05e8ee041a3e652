"""Exports: the promised columns, every format read back, what is missing, nothing half-written."""

from __future__ import annotations

import errno
import io
import json
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal

from core.cli import build_parser
from core.common.formatting import json_text
from core.errors import SettingsError, StudyError
from core.measures.slice import Slice
from core.publish import export_files
from core.publish.export_files import (
    COLUMNS,
    COMPUTED_TABLES,
    EXTENSIONS,
    STORED_AS,
    TABLES,
    WRITERS,
    export_table,
    note_on_train_images,
    read_table,
)
from core.publish.meanings import TABLES as TABLE_MEANINGS
from core.publish.meanings import meaning, table_meaning
from core.publish.streaming import stream_table, tables_of
from core.store import Study, open_study
from core.study import trace_changes
from core.study.steps import step_of
from core.study.writer import write_study
from tests import small

PROMISED = {
    "images": "image_id, path, split, label",
    "features": "feature, mean, std, activation_rate, tail, discriminative, top_class, purity",
    "quality": "image_id, split, q_score, n_firing, n_firing_discriminative, norm, max_activation, "
    "q_all_features, hoyer, knn_similarity, predicted, confidence, margin, energy, correct",
    "skipped": "path, reason",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return small.write_small_study(tmp_path_factory.mktemp("export") / "study")


def read(path: Path) -> pd.DataFrame:
    if path.suffix == ".npy":
        return pd.DataFrame(np.load(path, allow_pickle=False))
    if path.suffix == ".json":
        return pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("table", PROMISED)
def test_promised_columns_in_order(table: str, extension: str, study: Study, tmp_path: Path) -> None:
    out = tmp_path / f"{table}{extension}"
    n_rows = export_table(study, table, out)
    frame = read(out)
    assert ", ".join(frame.columns) == PROMISED[table]
    assert len(frame) == n_rows == len(study.table(table))
    about = [] if extension == ".parquet" else [f"{out.name}-about"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, *about]
    endings = {f".{part}" for name in about for part in name.split(".")[1:]}
    assert not endings & set(EXTENSIONS)  # `datasets` would take it for a second table


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_numbers_come_back(extension: str, study: Study, tmp_path: Path) -> None:
    out = tmp_path / f"quality{extension}"
    export_table(study, "quality", out)
    frame = read(out)
    assert_allclose(frame["q_score"].astype(float), small.Q_SCORES)
    assert frame["image_id"].tolist() == small.image_ids()
    correct = frame["correct"].tolist()
    assert correct[:2] == [True, False] and correct[7] is not True and correct[7] != 1


def test_npy_keeps_truths_and_whole_numbers_beside_gaps(tmp_path: Path) -> None:
    frame = pd.DataFrame({"correct": [True, False, None], "all": [True, False, True]})
    whole = {"age": [7, None, 9], "long": [2**60 + 1, None, 3]}
    frame = frame.assign(flag=pd.array([True, None, False], "boolean"))
    frame = frame.assign(**{name: pd.array(values, "Int64") for name, values in whole.items()})
    WRITERS[".npy"](frame, tmp_path / "t.npy")
    read_back = np.load(tmp_path / "t.npy", allow_pickle=False)
    assert_array_equal(read_back["correct"], [1, 0, np.nan])
    assert_array_equal(read_back["flag"], [1, np.nan, 0])
    assert_array_equal(read_back["age"], [7, np.nan, 9])
    assert read_back["long"].tolist() == [str(2**60 + 1), "", "3"] and read_back["all"].dtype == bool


def test_json_has_infinity_as_text(tmp_path: Path) -> None:
    WRITERS[".json"](pd.DataFrame({"score": [1.5, np.inf, -np.inf, np.nan]}), tmp_path / "s.json")
    written = [row["score"] for row in json.loads((tmp_path / "s.json").read_text())]
    assert written == [1.5, "Infinity", "-Infinity", None]
    assert pd.read_json(tmp_path / "s.json")["score"].tolist()[:3] == [1.5, np.inf, -np.inf]
    assert json.loads(json_text({"score": np.float64(np.inf), "none": np.nan})) == {
        "score": "Infinity",
        "none": None,
    }


def test_whole_numbers_beside_gaps_are_whole_in_every_format(tmp_path: Path) -> None:
    ids = list("abc")
    with write_study(tmp_path / "study") as writer, writer.step("embed", {}) as step:
        step.table("images", pd.DataFrame({"image_id": ids, "path": ids, "split": "val", "label": "x"}))
        step.table("attributes", pd.DataFrame({"visit": pd.array([7, None, 9], "Int64"), "image_id": ids}))
    study = Study(tmp_path / "study")
    assert study.table("attributes")["visit"].dtype == "Int64"
    assert study.where("visit=9").n_chosen == 1 and study.where("visit=7..8").n_chosen == 1
    for extension in EXTENSIONS:
        export_table(study, "attributes", tmp_path / f"a{extension}")
        visits: Any = pd.to_numeric(read(tmp_path / f"a{extension}")["visit"])
        assert visits.dropna().tolist() == [7, 9]
    assert (tmp_path / "a.csv").read_text().splitlines()[1:3] == ["7,a", ",b"]
    assert b"".join(stream_table(study, "attributes", "csv")) == (tmp_path / "a.csv").read_bytes()


def test_json_has_dates_as_dates(tmp_path: Path) -> None:
    WRITERS[".json"](pd.DataFrame({"seen": pd.to_datetime(["2024-01-02"])}), tmp_path / "d.json")
    assert json.loads((tmp_path / "d.json").read_text())[0]["seen"].startswith("2024-01-02T00:00")


def test_json_has_null_for_missing(study: Study, tmp_path: Path) -> None:
    export_table(study, "quality", tmp_path / "q.json")
    records = json.loads((tmp_path / "q.json").read_text())
    assert records[6]["q_score"] is None and records[7]["correct"] is None


def test_representations_are_raw_and_in_order(study: Study, tmp_path: Path) -> None:
    assert export_table(study, "representations", tmp_path / "raw.npy") == 8
    raw = np.load(tmp_path / "raw.npy", allow_pickle=False)
    assert raw.dtype == np.float32
    assert_array_equal(raw, small.raw_representations())


def test_representations_of_a_slice(study: Study, tmp_path: Path) -> None:
    export_table(study, "representations", tmp_path / "raw.npy", slice=Slice(labels=("dog",)))
    assert_array_equal(np.load(tmp_path / "raw.npy"), small.raw_representations()[[0, 1, 5]])


def test_representations_stream(tmp_path: Path) -> None:
    """A half-precision study of 32 MB as float32 passes through a few MB of memory."""
    rows = np.random.default_rng(0).random((4096, 256)).astype(np.float16)
    with write_study(tmp_path / "large") as writer, writer.step("embed", {}) as step:
        ids = [str(number) for number in range(8 * 4096)]
        step.table("images", pd.DataFrame({"image_id": ids, "path": ids, "split": "val", "label": None}))
        array = step.array("representations")
        for chunk in range(8):
            array.put(chunk, rows + chunk)
        step.finish_array("representations", 8)
    study = Study(tmp_path / "large")
    tracemalloc.start()
    export_table(study, "representations", tmp_path / "raw.npy")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6
    raw = np.load(tmp_path / "raw.npy", mmap_mode="r")
    assert raw.shape == (8 * 4096, 256) and raw.dtype == np.float32
    assert_array_equal(raw[-1], (rows + 7)[-1].astype(np.float32))


def test_neighbours_by_hand(study: Study, tmp_path: Path) -> None:
    assert export_table(study, "neighbours", tmp_path / "n.csv") == 10
    frame = read(tmp_path / "n.csv")
    assert tuple(frame.columns) == COLUMNS["neighbours"]
    assert frame["image_id"].tolist()[:3] == ["val/3.jpg", "val/3.jpg", "val/4.jpg"]
    assert frame["rank"].tolist()[:3] == [1, 2, 1]
    assert frame["neighbour"].tolist()[:4] == ["train/0.jpg", "train/1.jpg", "train/2.jpg", "train/0.jpg"]


def test_slice_keeps_rows_in_order(study: Study, tmp_path: Path) -> None:
    export_table(study, "quality", tmp_path / "q.csv", slice=Slice.parse("correct=false"))
    assert read(tmp_path / "q.csv")["image_id"].tolist() == ["train/1.jpg", "val/3.jpg", "val/6.jpg"]


def test_note_on_train_images__says_what_their_scores_lack(shared_study: Path) -> None:
    study = open_study(shared_study)
    table = study.table("quality")
    train = (table["split"] == "train").to_numpy(bool)
    assert (
        table.loc[train, "knn_similarity"].isna().all() and table.loc[~train, "knn_similarity"].notna().all()
    )
    said = note_on_train_images(study, "quality")
    assert (
        "with the train images are empty, and correct, confidence, margin and energy are optimistic" in said
    )
    assert "are empty" not in note_on_train_images(study, "probe")
    assert note_on_train_images(study, "quality", slice=Slice(split="val")) == ""
    assert note_on_train_images(study, "images") == ""


def test_help_names_every_table(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["export", "--help"])
    listed = capsys.readouterr().out.split("TABLE  ")[1].split("options:")[0]
    assert set(re.findall(r"[\w-]+", listed)).issuperset(TABLES)


def test_slice_of_a_table_without_images(study: Study, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'features' has no rows per image"):
        export_table(study, "features", tmp_path / "f.csv", slice=Slice(split="val"))


def test_unlabelled_study_exports(tmp_path: Path) -> None:
    study = small.write_small_study(tmp_path / "flat", labels=False)
    for extension in EXTENSIONS:
        assert export_table(study, "images", tmp_path / f"i{extension}") == 8
        assert export_table(study, "quality", tmp_path / f"q{extension}") == 8
    assert read(tmp_path / "i.csv")["label"].isna().all()


@pytest.mark.parametrize(
    ("table", "name", "message"),
    [
        ("qualty", "q.csv", "no table 'qualty'. Did you mean 'quality'.*representations"),
        ("quality", "q.xlsx", "'.xlsx'; quality can be written as .csv, .parquet, .json, .npy"),
        ("quality", "q", "no extension"),
        ("representations", "raw.csv", "representations can be written as .npy"),
    ],
)
def test_unknown_table_or_format(table: str, name: str, message: str, study: Study, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=message):
        export_table(study, table, tmp_path / name)


@pytest.mark.parametrize(
    "table", [name for name in TABLES if name not in ("images", "skipped", "attributes", *COMPUTED_TABLES)]
)
def test_missing_table_names_its_command(table: str, tmp_path: Path) -> None:
    with write_study(tmp_path / "early") as writer, writer.step("embed", {}) as step:
        step.table(
            "images", pd.DataFrame({"image_id": ["a"], "path": ["a"], "split": ["val"], "label": ["x"]})
        )
    if table == "representations":  # the step that makes them is done, and made none
        message = "no representations"
    else:
        message = f"Run: python -m core {step_of(STORED_AS.get(table, table)) or table} {tmp_path / 'early'}"
    with pytest.raises(StudyError, match=re.escape(message)):
        export_table(Study(tmp_path / "early"), table, tmp_path / "x.npy")


def test_full_disk_leaves_the_old_file(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "q.csv"
    out.write_text("old")

    def fill_up(frame: pd.DataFrame, path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setitem(export_files.WRITERS, ".csv", fill_up)
    with pytest.raises(OSError, match="No space left"):
        export_table(study, "quality", out)
    assert out.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_makes_the_folder_but_not_over_a_folder(study: Study, tmp_path: Path) -> None:
    assert export_table(study, "images", tmp_path / "new" / "i.csv") == 8
    (tmp_path / "taken.csv").mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        export_table(study, "images", tmp_path / "taken.csv")


def test_tables_of_the_neighbours_say_what_they_hold() -> None:
    assert {"neighbours", "principal_scores"} <= TABLE_MEANINGS.keys()


NAMED = ("n01440764", "n02099601", "n99999999")
SHOWN = {"n01440764": "tench", "n02099601": "golden retriever"}


@pytest.fixture
def of_ids(tmp_path: Path) -> Study:
    """Four images whose classes are WordNet ids, one without a label, with a note, and an answer's table."""
    ids = [f"train/{number}.png" for number in range(4)]
    images = pd.DataFrame({"image_id": ids, "path": ids, "split": "train"})
    images["label"] = pd.array([*NAMED, None], dtype="str")
    probe = pd.DataFrame({"image_id": ids, "predicted": pd.array([NAMED[1]] * 4, dtype="str")})
    with write_study(tmp_path / "ids") as writer:
        with writer.step("embed", {}) as step:
            step.table("images", images)
            step.table("head_classes", pd.DataFrame({"output": [0], "name": ["a"]}))
        with writer.step("probe", {}, ("images",)) as step:
            step.table("probe", probe)
    study = Study(tmp_path / "ids")
    trace_changes.set_note(study, ids[0], "a note")
    return study


def test_classes_that_are_wordnet_ids__have_their_names_beside_them(of_ids, tmp_path) -> None:
    export_table(of_ids, "images", tmp_path / "images.csv")
    read = pd.read_csv(tmp_path / "images.csv")
    assert list(read.columns) == ["image_id", "path", "split", "label", "label_name"]
    assert read["label"].fillna("").tolist() == [*NAMED, ""]
    assert read["label_name"].fillna("").tolist() == ["tench", "golden retriever", "n99999999", ""]
    assert read_table(of_ids, "probe")["predicted_name"].tolist() == ["golden retriever"] * 4
    assert "label_name" not in read_table(of_ids, "labels")
    for table in ("images", "probe", "traces_images"):
        content = b"".join(stream_table(of_ids, table, "parquet"))
        streamed = pd.read_parquet(io.BytesIO(content))
        assert_frame_equal(streamed, read_table(of_ids, table), check_dtype=False)


def test_names_beside_classes__only_where_they_differ(study: Study) -> None:
    assert not [name for name in read_table(study, "images") if name.endswith("_name")]


def test_every_table_that_is_listed_says_what_it_holds(of_ids) -> None:
    listed = [one.name for one in tables_of(of_ids)]
    assert listed[0] == "images" and {"traces_images", "head_classes"} <= set(listed)
    assert "traces_features" not in listed  # there are none
    for table in (*listed, "answer_knn", *COLUMNS):
        assert table_meaning(table) or table in ("labels", "answers", "bases"), table
    assert meaning("true_name") == meaning("label_name") != "" == meaning("file_name")
