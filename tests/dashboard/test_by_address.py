"""The dashboard over studies in an object store: the pages of the same studies in a folder, and read only."""

from __future__ import annotations

import re

import pytest

from core.common.assets import state_folder
from core.jobs.commands import MakeReport, RunStep
from dashboard.addresses import served_studies
from dashboard.addresses.pages import PAGES
from dashboard.jobs import launcher
from tests.object_server import upload

pytestmark = pytest.mark.slow


def texts(app, name: str) -> list[str]:
    """What a page says, but for commands and why their buttons are off."""
    kinds = ("title", "header", "markdown", "caption", "metric", "info", "warning")
    lines = [f"{kind}: {one.value}" for kind in kinds for one in app.get(kind)]
    lines = [line.replace(name, "STUDY") for line in lines if "The button is off" not in line]
    return [re.sub(r"\\?\. Run.*", "", line) for line in lines]


def test_every_page_is_as_on_disk_and_says_that_it_is_read_only(
    bucket, worded_study, open_page, monkeypatch, trusted
):
    upload(worded_study, f"{bucket}/studies/worded")
    made = []
    for folder, name in ((worded_study.parent, worded_study.name), (f"{bucket}/studies", "worded")):
        monkeypatch.setenv("PEREGRINE_STUDIES", str(folder))
        pages = {view: open_page(view, study=name) for view in PAGES if view != "new_study"}
        assert not any(app.exception or app.error for app in pages.values())
        made.append({view: texts(app, name) for view, app in pages.items()})
    near, far = made
    differ = {view: set(lines) ^ set(far[view]) for view, lines in near.items() if lines != far[view]}
    assert not differ
    app = open_page("new_study", study="worded")
    assert any("is read by its address, and nothing is written there" in one.value for one in app.caption)


def test_nothing_that_would_write_is_started(bucket, worded_study, monkeypatch, started, trusted):
    upload(worded_study, f"{bucket}/studies/worded")
    monkeypatch.setenv("PEREGRINE_STUDIES", f"{bucket}/studies")
    study = served_studies.open_current(served_studies.resolve(served_studies.studies_folder(), "worded"))
    reason = launcher.run(RunStep("quality", study.path))
    assert reason is not None and "is read by its address, and nothing is written there" in reason
    assert launcher.run(MakeReport(study.path)) is None  # into a folder of this machine
    ((command, folder),) = started
    assert command.words[:2] == ["report", "s3://bucket/studies/worded"] and folder.is_relative_to(
        state_folder()
    )
    assert served_studies.name_of(study) == "worded"


def test_a_store_that_does_not_answer_is_one_line(bucket, worded_study, open_page, monkeypatch):
    from core.common.remote import objects

    monkeypatch.setattr(objects, "FIRST_WAIT", 0.001)
    monkeypatch.setenv("PEREGRINE_STUDIES", f"{bucket}/studies")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    objects._opened.cache_clear()
    app = open_page("overview")
    assert not app.exception
    assert app.error[0].value.startswith("cannot read 's3") and "\n" not in app.error[0].value
