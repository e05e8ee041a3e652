"""What we write, read by others: every export, the array API and the trackers have the numbers of the page.

Each file is read by the software that people take it to; what is not installed is skipped.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.answers.requests import add_answer
from core.charts.table_file import provenance
from core.cli import main
from core.errors import SettingsError
from core.measures.headline import headline
from core.publish import trackers
from core.publish.export_files import COLUMNS, export_table, note_on_train_images
from core.publish.streaming import stream_table
from core.store import Study, open_study
from core.study.progress import Progress
from tests.manifests import rename_to_head

WHERE = "split=val label=ant,bee"
OF_IMAGES = ("images", "probe", "quality")
ANSWERS = ("head", "probe")


def in_pandas(path: Path) -> pd.DataFrame:
    return {".csv": pd.read_csv, ".parquet": pd.read_parquet, ".json": pd.read_json}[path.suffix](path)


def in_polars(path: Path) -> pd.DataFrame:
    polars = pytest.importorskip("polars")
    read = {".csv": polars.read_csv, ".parquet": polars.read_parquet, ".json": polars.read_json}
    options = {"infer_schema_length": None} if path.suffix != ".parquet" else {}
    return pd.DataFrame(read[path.suffix](path, **options).to_dict(as_series=False))


def in_duckdb(path: Path) -> pd.DataFrame:
    rows = pytest.importorskip("duckdb").sql(f"SELECT * FROM '{path}'")
    return pd.DataFrame(rows.fetchall(), columns=rows.columns)


def in_numpy(path: Path) -> pd.DataFrame:
    return pd.DataFrame(np.load(path, allow_pickle=False))


READERS: dict[str, tuple[Callable[[Path], pd.DataFrame], tuple[str, ...]]] = {
    "pandas": (in_pandas, (".csv", ".parquet", ".json")),
    "polars": (in_polars, (".csv", ".parquet", ".json")),
    "duckdb": (in_duckdb, (".csv", ".parquet", ".json")),
    "numpy": (in_numpy, (".npy",)),
}


@pytest.fixture(scope="module")
def folder(shared_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose head is right on every second image."""
    study = Study(shutil.copytree(shared_study, tmp_path_factory.mktemp("others") / "demo"))
    names, labels = study.class_names, study.images["label"]
    predicted = [names[names.index(label) - row % 2] for row, label in enumerate(labels)]
    mine = pd.DataFrame({"image_id": study.images["image_id"], "predicted": predicted})
    mine.to_csv(study.path.parent / "mine.csv", index=False)
    add_answer(study.path, str(study.path.parent / "mine.csv"), "mine", {"device": "cpu"}, Progress.silent())
    rename_to_head(study.path, "mine")
    return study.path


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Every value is the same; a gap is a gap, whatever a format calls it."""
    assert list(found.columns) == list(expected.columns) and len(found) == len(expected)
    for name in expected:
        values, read = expected[name], found[name]
        if pd.api.types.is_string_dtype(values) and pd.api.types.infer_dtype(values) != "boolean":
            assert ["" if pd.isna(one) else str(one) for one in read] == values.fillna("").tolist()
        else:
            numbers = [one.astype(object).where(one.notna(), np.nan).astype(float) for one in (read, values)]
            assert_allclose(*numbers, rtol=1e-6, equal_nan=True)


def of_page(study: Study, table: str) -> pd.DataFrame:
    """The rows and columns that a page shows of the images of WHERE, or the measures of them."""
    narrowed = study.where(WHERE)
    if table == "metrics":
        return narrowed.table("quality_metrics")
    frame = study.table(table)
    held = [name for name in COLUMNS[table] if name in frame]
    return frame.loc[narrowed.inside, held].reset_index(drop=True)


@pytest.mark.slow
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("reader", READERS)
def test_exports__are_read_with_the_numbers_of_the_page(reader, answer, folder, tmp_path):
    read, endings = READERS[reader]
    study = open_study(folder, answer)
    accuracy = headline(study, study.where(WHERE).inside)["accuracy"]
    for table in (*OF_IMAGES, "metrics"):
        for ending in endings:
            out = tmp_path / f"{table}{ending}"
            words = ["export", str(folder), table, "--where", WHERE, "--answer", answer, "-o", str(out)]
            assert main(words) == 0
            same(read(out), of_page(study, table))
            if table == "probe":
                assert read(out)["correct"].astype(float).mean() == pytest.approx(accuracy)


def test_exports__say_what_they_are_of(folder, tmp_path):
    facts = {"study": "demo", "answer": "head", "basis": "units", "filter": WHERE}
    for ending in (".csv", ".json", ".npy", ".parquet"):
        words = ["export", str(folder), "probe", "--where", WHERE, "-o", str(tmp_path / f"a{ending}")]
        assert main(words) == 0
        if ending != ".parquet":
            assert json.loads((tmp_path / f"a{ending}-about").read_text()) == facts
    assert pd.read_parquet(tmp_path / "a.parquet").attrs == facts
    (tmp_path / "page.parquet").write_bytes(b"".join(stream_table(open_study(folder), "images", "parquet")))
    read = pd.read_parquet(tmp_path / "page.parquet")
    assert read.attrs == facts | {"filter": ""} == provenance(open_study(folder))
    assert b"PANDAS_ATTRS" in (pq.read_schema(tmp_path / "page.parquet").metadata or {})
    same(read, open_study(folder).table("images"))


def test_a_note_on_train_images__is_of_the_probe_alone(folder):
    assert note_on_train_images(open_study(folder), "probe") == ""
    assert note_on_train_images(open_study(folder, "probe"), "probe")


def test_json__says_what_it_is_of(folder, run):
    report = json.loads(run("inspect", folder, "--where", "label=ant", "--json").out)
    assert (report["answer"], report["basis"], report["filter"]) == ("head", "units", "split=val label=ant")
    assert report["accuracy"] == open_study(folder).where("label=ant").summary("probe")["top1"]


def test_the_array_api__gives_the_rows_of_the_page(folder, tmp_path):
    study = open_study(folder)
    inside, raw = study.where(WHERE).inside, study.array("representations")
    export_table(study, "representations", tmp_path / "raw.npy", slice=study.where(WHERE).slice)
    assert_array_equal(np.load(tmp_path / "raw.npy"), raw[inside])
    assert_array_equal(np.asarray(raw)[inside], raw[inside])
    assert_array_equal(raw[inside, 3], np.load(tmp_path / "raw.npy")[:, 3])
    with pytest.raises(IndexError):
        raw[inside[study.is_val]]  # a mask of the evaluation images names no rows of all


def in_tensorboard(out: Path) -> dict[str, dict[str, Any]]:
    """The numbers and the parameters of each run."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    runs = {}
    for folder in out.iterdir():
        events = accumulator.EventAccumulator(str(folder))
        events.Reload()
        numbers = {name: [one.value for one in events.Scalars(name)] for name in events.Tags()["scalars"]}
        assert {len(values) for values in numbers.values()} == {1}
        texts = {
            name.removesuffix("/text_summary"): events.Tensors(name)[0].tensor_proto.string_val[0].decode()
            for name in events.Tags()["tensors"]
        }
        runs[folder.name] = {name: values[0] for name, values in numbers.items()} | texts
    return runs


def in_mlflow(out: Path) -> dict[str, dict[str, Any]]:
    mlflow = pytest.importorskip("mlflow")
    mlflow.set_tracking_uri(f"sqlite:///{out.resolve() / 'mlflow.db'}")
    runs = mlflow.search_runs(experiment_names=["peregrine"], output_format="list")
    return {run.info.run_name: {**run.data.metrics, **run.data.params} for run in runs}


@pytest.mark.slow
@pytest.mark.parametrize(("tracker", "runs_of"), [("tensorboard", in_tensorboard), ("mlflow", in_mlflow)])
def test_trackers__have_a_run_each_with_the_numbers_of_the_page(
    tracker, runs_of, folder, tmp_path, monkeypatch
):
    pytest.importorskip(tracker)
    monkeypatch.setattr(trackers, "find_browser", _none)
    studies = [open_study(folder, answer) for answer in ANSWERS]
    studies += [study.where(WHERE) for study in studies]
    for study in [*studies, *studies[:1]]:  # one of them again
        trackers.track(study, tracker, tmp_path, features=0)
    runs = runs_of(tmp_path)
    assert len(runs) == len(studies)
    for study in studies:
        facts = provenance(study)
        (run,) = [one for one in runs.values() if facts.items() <= one.items()]
        shown = headline(study, study.is_val if study.chosen is None else study.chosen)
        assert run["images/accuracy"] == pytest.approx(shown["accuracy"], abs=1e-6)
        assert run["images/n"] == shown["n"]


def _none() -> str:
    raise SettingsError("none here")
