"""Where features of an image look: a job finds out what is not stored, and is about that image alone."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

from core.pictures.decomposition import stored
from core.study import uploads
from core.study.commands import Command
from core.study.jobs import Job
from dashboard.jobs import launcher
from tests.dashboard.conftest import all_text


def opened(open_page, study, row: int):
    image = str(study.images["image_id"].iat[row])
    return open_page("image", study="seen", image=image, image_part="Crops in words")


def incomplete(study) -> list[int]:
    """The rows of images of which it is not stored where each feature looks."""
    return [
        row
        for row in np.flatnonzero(study.is_val).tolist()
        if any(part["box"] is None for part in stored(study, row)["features"])
    ]


def report(folder: Path, state: str, error: str | None = None) -> None:
    record = {"state": state, "error": error, "pid": os.getpid(), "updated": time.time(), "command": []}
    (folder / uploads.PROGRESS).write_text(json.dumps(record))


@pytest.fixture
def jobs(worded, tmp_path, monkeypatch, trusted):
    """Jobs that end at once, with a result where one is set."""
    monkeypatch.setattr(uploads.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(uploads, "wait_for_page", lambda folder: None)
    end: dict = {"state": "done", "error": None, "result": None}

    def start(command: Command, *, folder: Path) -> Job:
        record = {
            "state": end["state"],
            "error": end["error"],
            "pid": os.getpid(),
            "updated": time.time(),
            "command": [],
        }
        (folder / uploads.PROGRESS).write_text(json.dumps(record))
        if end["result"]:
            (folder / uploads.RESULT).write_text(json.dumps(end["result"]))
        end["arguments"] = command.words
        return Job(folder=folder, command=())

    monkeypatch.setattr(launcher, "start_job", start)
    return end


@pytest.mark.parametrize("state", ["done", "failed"])
def test_look_again__leaves_its_result_or_the_reason_and_no_folder(state, jobs, worded, open_page):
    row = incomplete(worded)[0]
    jobs |= {"state": state, "error": "no *encoder*" if state == "failed" else None}
    if state == "done":
        parts = stored(worded, row)
        jobs["result"] = parts | {"size": [64, 48], "n_features": 4321}
    app = opened(open_page, worded, row)
    app.button(key="decompose_again").click().run()
    assert not app.exception
    if state == "done":
        assert "**4321**" in all_text(app)
    else:
        assert "No *encoder*" in app.error[0].value.replace("\\", "")
    assert list(uploads.uploads_folder().iterdir()) == []


def test_look_again__a_running_job_is_of_its_image_alone(jobs, worded, open_page):
    row, other = incomplete(worded)[:2]
    jobs |= {"state": "running", "result": stored(worded, row) | {"size": [64, 48], "n_features": 4321}}
    app = opened(open_page, worded, row)
    app.button(key="decompose_again").click().run()
    assert not app.exception and app.button(key="decompose_stop")

    def shows(one: int, key: str) -> str:
        app.query_params["image"] = str(worded.images["image_id"].iat[one])
        app.run()
        assert not app.exception
        assert [button.key for button in app.button if str(button.key).startswith("decompose_")] == [key]
        return all_text(app)

    shows(other, "decompose_again")
    shows(row, "decompose_stop")
    (folder,) = uploads.uploads_folder().iterdir()
    (folder / uploads.PROGRESS).write_text(
        json.dumps({"state": "done", "updated": time.time(), "command": []})
    )
    assert "4321" not in shows(other, "decompose_again")
    app.query_params["image"] = str(worded.images["image_id"].iat[row])
    assert "**4321**" in all_text(app.run())
