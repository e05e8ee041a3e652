"""What leaves this machine names no folder of it: a home folder holds its user's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.answers.requests import add_answer
from core.common.private_paths import relative_paths
from core.measures.slice import Slice
from core.publish.export_files import export_table
from core.publish.report import write_report
from core.publish.streaming import stream_table
from core.store import Study
from core.study.progress import Progress
from core.study.writer import write_study
from dashboard.app import ROUTES
from tests.command_line import analyzed, runner
from tests.data.pictures import picture
from tests.small import write_small_study

HOME = "home of jo"


@pytest.mark.slow
def test_tables_report_and_answers__of_a_study(tmp_path, capsys, monkeypatch):
    images = tmp_path / HOME / "photos"
    for number in range(16):
        path = images / ("train" if number < 10 else "val") / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number))
    (images / "train" / "a" / "broken.png").write_bytes(b"no picture")
    study = analyzed(runner(capsys), tmp_path / HOME / "studies" / "mine", images)
    for table in ("images", "skipped"):
        export_table(study, table, tmp_path / f"{table}.csv")
        text = (tmp_path / f"{table}.csv").read_text()
        assert HOME not in text and "train/a/" in text
        assert b"".join(stream_table(study, table, "csv")).decode() == text
    frame = pd.read_csv(tmp_path / "images.csv")
    assert frame["path"].tolist() == frame["image_id"].tolist()
    write_report([study], tmp_path / "report.html")
    assert HOME not in (tmp_path / "report.html").read_text()
    bare = write_small_study(tmp_path / HOME / "studies" / "bare", features=False)
    text = write_report([bare], tmp_path / "bare.html").read_text()
    assert "Run: python -m core probe &#39;bare&#39;" in text and str(tmp_path) not in text
    monkeypatch.setenv("PEREGRINE_STUDIES", str(study.path.parent))
    client = TestClient(Starlette(routes=ROUTES))
    for address in ("thumb/x/0", "thumb/mine/99", "overlay/mine/0?features=400", "table/mine/none.csv",
                    "points/mine?colour=none", "image/mine/-1"):  # fmt: skip
        answer = client.get(f"/{address}")
        assert answer.status_code == 404 and HOME not in answer.text and str(tmp_path) not in answer.text


def test_ids_that_are_paths__lose_the_folder_that_the_paths_lose_and_come_back(tmp_path):
    home = f"/data/{HOME}"
    ids = [f"{home}/{disk}/dog/{number}.png" for disk in "ab" for number in range(4)]
    with write_study(tmp_path / "study") as writer:
        with writer.step("embed", {}) as step:
            label = ["dog", "cat"] * 4
            step.table("images", pd.DataFrame({"image_id": ids, "path": ids, "split": "val", "label": label}))
            step.vector("representations", np.ones((8, 2), np.float32))
        with writer.step("probe", {}) as step:
            step.table("probe", pd.DataFrame({"image_id": ids, "split": "val", "true": label}))
    study = Study(tmp_path / "study")
    for table in ("images", "probe"):
        export_table(study, table, tmp_path / f"{table}.csv", slice=Slice.parse("label=dog"))
        frame = pd.read_csv(tmp_path / f"{table}.csv")
        assert frame["image_id"].tolist() == [one.removeprefix(f"{home}/") for one in ids[::2]]
        export_table(study, table, tmp_path / f"{table}.csv")
        assert HOME not in (text := (tmp_path / f"{table}.csv").read_text())
        assert b"".join(stream_table(study, table, "csv")).decode() == text
    images = pd.read_csv(tmp_path / "images.csv")
    assert [study.row_of(one) for one in images["image_id"]] == list(range(8))
    assert images["path"].tolist() == images["image_id"].tolist()
    for key, name in (("path", "one"), ("image_id", "two")):
        images[[key]].assign(predicted="dog").to_csv(tmp_path / "mine.csv", index=False)
        add_answer(study.path, str(tmp_path / "mine.csv"), name, {"device": "cpu"}, Progress.silent())
        assert Study(study.path).answering(name).table("probe")["correct"].tolist() == [True, False] * 4


def test_relative_paths__below_the_folder_elsewhere_and_missing():
    paths = pd.Series(["/data/jo/photos/a/1.png", "/disk/b/2.png", "c/3.png", None], dtype="str")
    expected = pd.Series(["a/1.png", "b/2.png", "c/3.png", None], dtype="str")
    pd.testing.assert_series_equal(relative_paths(paths, str(Path("/data/jo/photos"))), expected)
    alone = relative_paths(paths, "")  # of a list of images that has no root
    assert alone.dropna().tolist() == ["a/1.png", "b/2.png", "c/3.png"]
