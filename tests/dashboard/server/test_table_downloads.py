"""Tables sent in parts: the same rows as `export` writes, clean 404s, and no way out."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow.parquet as pq
import pytest
from pandas.testing import assert_frame_equal
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.publish import streaming
from core.publish.export_files import export_table, read_table
from core.store import open_study
from dashboard.app import ROUTES
from dashboard.server.table_downloads import address
from tests.dashboard.conftest import all_text
from tests.synthetic import make_study


@pytest.fixture
def client(studies):
    return TestClient(Starlette(routes=ROUTES))


PROMISED = ("images", "features", "quality", "probe", "neighbours", "metrics", "skipped")


@pytest.mark.parametrize("rows", [7, 65_536])
@pytest.mark.parametrize("table", PROMISED)
def test_csv__is_what_export_writes(client, studies, tmp_path, monkeypatch, table, rows):
    monkeypatch.setattr(streaming, "ROWS", rows)
    study = open_study(studies / "demo")
    export_table(study, table, tmp_path / "table.csv")
    answer = client.get("/" + address(study, table, "csv"))
    assert answer.status_code == 200
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.content == (tmp_path / "table.csv").read_bytes()


@pytest.mark.parametrize("table", PROMISED)
def test_parquet__holds_the_same_rows(client, studies, monkeypatch, table):
    monkeypatch.setattr(streaming, "ROWS", 7)
    study = open_study(studies / "demo")
    answer = client.get("/" + address(study, table, "parquet"))
    assert_frame_equal(pd.read_parquet(io.BytesIO(answer.content)), read_table(study, table))


def test_parquet__comes_in_parts(studies, monkeypatch):
    monkeypatch.setattr(streaming, "ROWS", 50)
    parts = list(streaming.stream_table(open_study(studies / "demo"), "images", "parquet"))
    assert len(parts) >= 3
    assert pq.ParquetFile(io.BytesIO(b"".join(parts))).num_row_groups == 3  # of 120 images


def test_tables_of__promised_first_then_the_rest(studies):
    study = open_study(studies / "demo")
    found = streaming.tables_of(study)
    names = [one.name for one in found]
    assert names[0] == "images" and "row_stats" in names and "quality_metrics" not in names
    assert {one.name: one.rows for one in found}["images"] == study.n_images
    for one in found:
        assert b"".join(streaming.stream_table(study, one.name, "csv"))


def test_tables_of__few_train_images_are_all_neighbours(tmp_path):
    study = open_study(make_study(tmp_path / "few", n_train=4, n_val=12, n_classes=2, pictures=False))
    listed = {one.name: one.rows for one in streaming.tables_of(study)}
    assert listed["neighbours"] == len(read_table(study, "neighbours")) == 12 * 4


@pytest.mark.parametrize(
    "path",
    [
        "/table/demo/nothing.csv",
        "/table/demo/images.exe",
        "/table/demo/images",
        "/table/demo/..%2f..%2fimages.csv",
        "/table/..%2f/images.csv",
        "/table/nothere/images.csv",
        "/table/demo/.csv",
    ],
)
def test_anything_else_is_a_clean_404(client, path):
    answer = client.get(path)
    assert answer.status_code == 404 and "Traceback" not in answer.text


def test_table_that_is_gone__404(unread, client, studies):
    (studies / "demo" / "quality.parquet").unlink()
    assert client.get("/table/demo/quality.csv").status_code == 404
    assert client.get("/table/demo/images.csv").status_code == 200


def test_overview__lists_them(studies, open_page):
    app = open_page(study="demo")
    app.session_state["downloads"] = True
    app.run()
    assert not app.exception
    said = all_text(app)
    assert "| quality |" in said and "table/demo/quality.parquet" in said
