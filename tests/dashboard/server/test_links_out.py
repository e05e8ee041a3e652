"""Links inside a study that lead out of it: no route and no page follows one. One to a study is followed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.errors import StudyError
from dashboard.app import ROUTES
from dashboard.state import served_studies
from tests.dashboard.conftest import all_text, write_progress

pytestmark = pytest.mark.usefixtures("unread")

LINKED = (
    *("manifest.json", "images.parquet", "thumbnails", "thumbnails/00000.npy", "representations/00000.npy"),
    *("requested_heatmaps", "concept_cache", "slices.json", "log.txt", "deep/er/link"),
)


@pytest.fixture
def client(studies: Path) -> TestClient:
    return TestClient(Starlette(routes=ROUTES))


def replace_by_link(study: Path, name: str, outside: Path) -> None:
    """Move a part of a study out of it and leave a link in its place."""
    outside.mkdir(exist_ok=True)
    place, target = study / name, outside / Path(name).name
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        shutil.move(place, target)
    place.symlink_to(target)


@pytest.mark.parametrize("name", LINKED)
def test_link_out_of_a_study__is_followed_by_no_route(client, studies, tmp_path, name):
    replace_by_link(studies / "demo", name, tmp_path / "outside")
    for path in (
        "/thumb/demo/0",
        "/image/demo/0",
        "/table/demo/images.csv",
        "/points/demo?kind=pca&by=label",
    ):
        answer = client.get(path + "&theme=light&where=" * path.startswith("/points"))
        assert answer.status_code == 404, path
        assert f"'{name}' is a link" in answer.text


def test_link_out_of_a_study__to_nothing_or_to_itself(studies):
    folder = studies / "demo"
    (folder / "dangling").symlink_to(studies / "nothing")
    with pytest.raises(StudyError, match="'dangling'"):
        served_studies.open_current(folder)
    (folder / "dangling").unlink()
    (folder / "loop").symlink_to("loop")
    assert served_studies.link_out(folder) is None


def test_pipe_in_a_study__is_not_waited_for(studies):
    os.mkfifo(studies / "demo" / "pipe")
    with pytest.raises(StudyError, match="'pipe'"):
        served_studies.open_current(studies / "demo")


def test_link_out_of_a_study__beside_a_name_that_begins_alike(studies):
    shutil.copytree(studies / "demo", studies / "demo2")
    (studies / "demo" / "more").symlink_to(studies / "demo2" / "thumbnails")
    assert served_studies.link_out(studies / "demo") == studies / "demo" / "more"


def test_links_within_a_study_and_to_a_study__are_followed(client, studies, full_study, tmp_path):
    shutil.copytree(full_study, tmp_path / "far")
    shutil.move(tmp_path / "far" / "thumbnails", tmp_path / "far" / "moved")
    (tmp_path / "far" / "thumbnails").symlink_to("moved")
    (studies / "linked").symlink_to(tmp_path / "far")
    assert client.get("/thumb/linked/0").status_code == 200
    assert client.get("/table/linked/images.csv").status_code == 200


def test_page__says_which_link(studies, tmp_path, open_page):
    replace_by_link(studies / "demo", "thumbnails", tmp_path / "outside")
    app = open_page("overview", study="demo")
    assert not app.exception
    assert "'thumbnails' is a link" in all_text(app)


@pytest.mark.parametrize("finished", [True, False], ids=["study", "begun"])
def test_page__shows_no_log_that_is_a_link(studies, tmp_path, open_page, finished):
    (tmp_path / "diary.txt").write_text("a page of a diary")
    folder = studies / "demo"
    (folder / "log.txt").unlink(missing_ok=True)
    (folder / "log.txt").symlink_to(tmp_path / "diary.txt")
    write_progress(folder, state="failed", error="stopped")
    if not finished:
        (folder / "manifest.json").unlink()
    for view in ("overview", "new_study"):
        app = open_page(view, study="demo")
        assert not app.exception
        assert "diary" not in all_text(app)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may list everything")
def test_folder_that_cannot_be_listed__is_no_hindrance(studies):
    (studies / "demo" / "closed").mkdir(mode=0o000)
    assert served_studies.link_out(studies / "demo") is None
