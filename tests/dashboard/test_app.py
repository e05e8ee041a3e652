"""The thumbnail and image routes: right bytes, caching, clean 404s, and no way out of the studies folder."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.store import open_study
from dashboard.addresses import served_studies
from dashboard.app import ROUTES
from dashboard.components import plot
from dashboard.server.routes import FOR_EVER

ROOT = Path(__file__).parents[2]


@pytest.fixture
def client(studies):
    return TestClient(Starlette(routes=ROUTES))


def test_thumbnail__is_the_stored_jpeg(client, studies):
    study = open_study(studies / "demo")
    answer = client.get("/" + served_studies.picture_url(study, 3))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == FOR_EVER
    assert answer.content == study.thumbnail(3)


def test_thumbnail__etag_saves_the_second_transfer(client):
    first = client.get("/thumb/demo/3")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/thumb/demo/3", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/thumb/demo/9999999",
        "/thumb/demo/-1",
        "/thumb/demo/x",
        "/thumb/nothere/0",
        "/thumb/%2e%2e/demo/0",
        "/thumb/demo%2f..%2f..%2fdemo/0",
        "/thumb/..%2f..%2fetc/0",
        "/thumb/%2fetc/0",
        "/thumb/demo%00/0",
        "/thumb/.hidden/0",
        "/thumb//0",
        "/image/demo/9999999",
        "/image/nothere/0",
    ],
)
def test_pictures__anything_else_is_a_clean_404(client, path):
    answer = client.get(path)
    assert answer.status_code == 404
    assert "Traceback" not in answer.text


def test_pictures__a_link_that_the_owner_made_is_followed(client, studies, full_study):
    (studies / "linked").symlink_to(full_study)
    assert served_studies.entries(studies)[1].name == "linked"
    assert client.get("/thumb/linked/0").status_code == 200


def test_image__full_size_original(client):
    answer = client.get("/image/demo/0")
    assert answer.status_code == 200
    assert Image.open(io.BytesIO(answer.content)).size == (48, 48)


def test_image__missing_original_gives_a_picture_that_says_so(client, monkeypatch):
    def gone(*_):
        raise FileNotFoundError("moved")

    monkeypatch.setattr("core.store.Study.image", gone)
    answer = client.get("/image/demo/0")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert Image.open(io.BytesIO(answer.content)).format == "PNG"


def test_nested_study__name_with_spaces_and_accents(client, studies):
    (studies / "run 2").mkdir()
    (studies / "demo").rename(studies / "run 2" / "été")
    (entry,) = served_studies.entries(studies)
    assert entry.name == "run 2/été"
    study = served_studies.open_current(entry.path)
    assert client.get("/" + served_studies.picture_url(study, 0)).status_code == 200


def test_entries__demo_first_and_hidden_folders_left_out(studies):
    for name in ("zebra", "alpha", ".trash", "empty"):
        (studies / name).mkdir()
    for name in ("zebra", "alpha", ".trash"):
        (studies / name / "progress.json").write_text("{}")
    assert [entry.name for entry in served_studies.entries(studies)] == ["demo", "alpha", "zebra"]


def test_library__is_where_charts_look_for_it(client):
    answer = client.get("/" + plot.library())
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == FOR_EVER
    assert b"Plotly" in answer.content


@pytest.mark.slow
def test_app__is_up_before_pandas_is_loaded():
    script = "import sys, dashboard.app; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT).returncode == 0
