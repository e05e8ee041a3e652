"""Opening a study ahead: one on which the last server ended is left out, the others are served."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.common.assets import state_folder
from dashboard.cache import highlight_reads, score_reads
from dashboard.jobs import opened_ahead
from dashboard.server import warm_up
from dashboard.state import served_studies

ENDED = {"pid": 2**22 + 1, "started": "1"}  # more than any process has


@pytest.fixture(autouse=True)
def of_a_new_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened_ahead, "_left_out", set())


@pytest.fixture
def opened(studies: Path, second: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the studies that are opened; their pages' numbers are not computed."""
    opened: list[str] = []
    monkeypatch.setattr(served_studies, "open_current", lambda path: opened.append(path.name))
    monkeypatch.setattr(warm_up, "MODULES", ())
    for module, name in (
        *((highlight_reads, one) for one in ("class_accuracy", "worst_confusion", "finding")),
        (score_reads, "lowest"),
    ):
        monkeypatch.setattr(module, name, lambda study, population: markers())
    monkeypatch.setattr("core.measures.slice_comparison.with_split", lambda study, where: where)
    return opened


def markers() -> list[Path]:
    return sorted(state_folder().glob("opened_ahead/*.json"))


def leave_marker(study: Path, record: object = ENDED) -> Path:
    """As a server leaves it that ended while it opened the study."""
    with opened_ahead.marked(study):
        [path] = markers()
    path.write_text(json.dumps(record))
    return path


def test_load__keeps_a_marker_only_while_the_first_study_is_opened(opened, monkeypatch):
    seen: list[int] = []
    monkeypatch.setattr(served_studies, "open_current", lambda path: seen.append(len(markers())))
    warm_up.load()
    assert seen == [1] and markers() == []


def test_load__leaves_out_the_study_on_which_the_last_server_ended(opened, studies):
    path = leave_marker(studies / "demo")
    warm_up.load()
    assert opened == ["second"] and opened_ahead.was_left_out(studies / "demo")
    assert not opened_ahead.was_left_out(studies / "second")
    assert markers() == [path]  # the next start leaves it out as well
    opened_ahead.shown(studies / "demo")
    assert markers() == []


def test_load__the_marker_of_a_server_that_runs_is_none_of_an_ended_one(opened, studies):
    with opened_ahead.marked(studies / "demo"):
        warm_up.load()
    assert opened == ["demo"] and not opened_ahead.was_left_out(studies / "demo")


@pytest.mark.parametrize("record", [[], {}, {"pid": "x", "started": None}])
def test_marker_of_nonsense__leaves_out_or_is_none(opened, studies, record):
    leave_marker(studies / "demo", record)
    warm_up.load()
    assert len(opened) == 1


def test_load__without_a_place_for_markers_opens_nothing_ahead(opened, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PEREGRINE_STATE", str(tmp_path / "file" / "state"))
    warm_up.load()
    assert opened == []


def test_page__of_a_study_that_was_left_out_says_why(studies, monkeypatch, open_page):
    path = leave_marker(studies / "demo")
    opened_ahead.first_to_open([studies / "demo"])
    app = open_page("overview", study="demo")
    assert not app.exception and len(app.warning) == 1
    assert "verify" in app.code[0].value and not path.exists()  # it was shown
