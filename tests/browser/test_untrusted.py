"""Studies of a stranger in a real Chromium: every view works, and no click runs what they name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.common.processes import host_name, process_started
from core.study.jobs import read_job
from tests.browser.harness import dashboard, settle
from tests.browser.test_every_page import VIEWS
from tests.dashboard.jobs.hostile import apply_setting, apply_sidecar
from tests.manifests import edited_manifest
from tests.sampling import pairs_of, sample

pytestmark = pytest.mark.browser
RUNS = [("try_picture", "code"), ("image", "sidecar")]  # pages that would ask the encoder


@pytest.fixture(scope="module")
def place(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies of a stranger: `code` names a shell command, `sidecar` does beside its weights, `progress` in
    progress.json, and `pid` names a process.
    """
    folder: Path = tmp_path_factory.mktemp("strangers")
    studies = folder / "studies"
    shutil.copytree(served / "seen", studies / "code")
    shutil.copytree(studies / "code", studies / "sidecar")
    apply_setting(studies / "code", "a shell command as encoder", folder / "mark")
    apply_sidecar(studies / "sidecar", "a shell command", folder / "mark")
    (folder / "precious.txt").write_text("mine")
    command = ["python", "-m", "core", "export", str(studies / "code"), "captions", "-o"]
    leave(studies / "progress", state="failed", command=[*command, str(folder / "precious.txt")])
    return folder


def leave(study: Path, **record: object) -> None:
    """A progress file as somebody else would write it."""
    study.mkdir(exist_ok=True)
    whole = {"stage": "embed", "stages_done": [], "updated": time.time(), "error": "stopped"} | record
    (study / "progress.json").write_text(json.dumps(whole))


@pytest.fixture(scope="module")
def address(chrome: object, place: Path) -> Iterator[str]:
    with dashboard(place / "studies", PEREGRINE_ROOTS=str(place)) as url:
        yield url


@pytest.mark.parametrize(("view", "study"), sample([*RUNS, *pairs_of(VIEWS, ("code", "sidecar"))], 2))
def test_view__works_and_runs_nothing(reader, address, place, view, study):
    page = reader().open(f"{address}/{view if view != 'overview' else ''}?study={study}")
    assert page.locator("[data-testid=stException]").count() == 0
    assert not (place / "mark").exists()


def test_further_steps__of_a_stranger(visitor, address, place):
    with edited_manifest(place / "studies" / "code") as manifest:
        for step in ("failures", "concepts"):
            for item in manifest["steps"].pop(step)["outputs"]:
                manifest["items"].pop(item)
    page = visitor().open(f"{address}/new_study?study=code")
    expect(page.get_by_text("Further steps of code")).to_be_visible()
    runs = page.get_by_role("button", name="Run", exact=True)
    expect(runs.first).to_be_disabled()  # concepts: it reads images and the encoder
    expect(runs.nth(1)).to_be_enabled()  # failures: it reads what the study stores
    assert not (place / "mark").exists()


def test_jobs__nothing_of_a_progress_file_is_run_or_stopped(visitor, address, place):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=True)
    try:
        started = process_started(other.pid)
        known = {"pid": other.pid, "pid_started": started, "host": host_name(), "command": []}
        leave(place / "studies" / "pid", state="running", **known)
        job = read_job(place / "studies" / "pid")
        assert job is not None and job.running
        page = visitor().open(f"{address}/new_study")
        expect(page.get_by_text("progress", exact=False).first).to_be_visible()
        settle(page)
        expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
        expect(page.get_by_role("button", name="Resume")).to_have_count(0)
        assert other.poll() is None and (place / "precious.txt").read_text() == "mine"
    finally:
        other.kill()
        other.wait()
        os.remove(place / "studies" / "pid" / "progress.json")
