"""The thumbnail and image routes: right bytes, caching, clean 404s, and no way out of the studies folder."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.data import decode, picture_limits
from core.store import open_study
from dashboard.app import ROUTES
from dashboard.components import plot
from dashboard.server import routes
from dashboard.server.routes import FOR_EVER
from dashboard.state import served_studies

ROOT = Path(__file__).parents[2]
N_WAITING = 45  # more than the server has threads for everything else


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


def test_pictures__what_a_browser_has_is_answered_before_any_work(client, monkeypatch):
    paths = [f"/{kind}/demo/0" for kind in ("thumb", "image")]
    tags = [client.get(path).headers["etag"] for path in paths]

    def never(*_):
        raise AssertionError("decoded for nothing")

    for name in ("image", "thumbnail", "thumbnail_image"):
        monkeypatch.setattr(f"core.store.Study.{name}", never)
    for path, tag in zip(paths, tags, strict=True):
        assert client.get(path, headers={"If-None-Match": tag}).status_code == 304


def test_image__too_many_large_ones_at_once(client, monkeypatch):
    """Who waits too long is told so, and nothing else waits behind those who wait."""
    monkeypatch.setattr(picture_limits, "AT_ONCE", {1: 1})
    monkeypatch.setattr(decode, "TURNS", turns := picture_limits.Turns())
    with turns.turn(2):
        monkeypatch.setattr(routes, "WAIT", 0.0)
        refused = client.get("/image/demo/0")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "0")
        assert Image.open(io.BytesIO(refused.content)).format == "PNG"
        monkeypatch.setattr(routes, "WAIT", 60.0)
        with ThreadPoolExecutor(1) as thread:  # this one may have an event loop, of a browser
            asked = thread.submit(asyncio.run, _thumbnail_behind_pictures(turns))
            shown, waited = asked.result()
    assert shown == 200 and waited == {200: N_WAITING}


async def _thumbnail_behind_pictures(turns: picture_limits.Turns) -> tuple[int, Counter[int]]:
    """The status of a thumbnail that is asked for while pictures wait for a turn, and then theirs."""
    transport = httpx.ASGITransport(Starlette(routes=ROUTES))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        waiting = [asyncio.create_task(client.get("/image/demo/0")) for _ in range(N_WAITING)]
        async with asyncio.timeout(20):
            shown = await client.get("/thumb/demo/1")
        turns.slots[1].release()
        statuses = Counter([(await task).status_code for task in waiting])
        turns.slots[1].acquire()
        return shown.status_code, statuses


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
