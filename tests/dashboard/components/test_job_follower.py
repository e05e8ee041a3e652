"""One follower for every job that a page waits for, one button for every command that it starts."""

from __future__ import annotations

import ast

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.conftest import write_progress
from tests.rules import ROOT


@pytest.fixture
def app(studies) -> AppTest:
    def page(folder: str) -> None:
        from pathlib import Path

        import streamlit as st

        from core.study.jobs import read_job
        from dashboard.components.job_follower import follow

        job = read_job(Path(folder))
        if job is None or not job.running:
            st.title("nothing runs")
            return
        follow(
            Path(folder),
            lambda job: st.caption(f"at {job.stage}"),
            on_done=lambda job: st.session_state.update(ended=None if job is None else job.state),
            stop=lambda: (Path(folder) / "stop").exists(),
        )

    return AppTest.from_function(page, kwargs={"folder": str(studies / "demo")})


def test_follow__shows_the_running_job(app, studies):
    write_progress(studies / "demo", stage="probe")
    app.run()
    assert [caption.value for caption in app.caption] == ["at probe"] and not app.title


def test_follow__a_page_without_a_job_runs_no_follower(app, studies):
    write_progress(studies / "demo", state="done")
    app.run()
    assert app.title[0].value == "nothing runs" and "ended" not in app.session_state


def test_follow__when_the_job_has_ended_the_page_runs_again(app, studies, monkeypatch):
    from core.study import jobs
    from dashboard.components import job_follower

    write_progress(studies / "demo", stage="probe")

    def ends_meanwhile(folder):
        write_progress(folder, state="failed", error="no memory")
        return jobs.read_job(folder)

    monkeypatch.setattr(job_follower, "read_job", ends_meanwhile)
    app.run()
    assert not app.exception
    assert app.session_state["ended"] == "failed"
    assert app.title[0].value == "nothing runs"


@pytest.mark.parametrize("refused", [None, "it may run code"])
def test_start_button__starts_the_command_or_says_why_not(studies, monkeypatch, refused):
    from dashboard.jobs import launcher

    given = []
    monkeypatch.setattr(launcher, "refusal", lambda command: refused)
    monkeypatch.setattr(launcher, "start", lambda command, folder: given.append((command, folder)))

    def page() -> None:
        from pathlib import Path

        from core.study.commands import MakeReport
        from dashboard.components.job_follower import run_button, start_button

        start_button(MakeReport(Path("demo")), "Make it", key="make", folder=Path("here"), about="a file")
        run_button(MakeReport(Path("demo")), key="it")

    app = AppTest.from_function(page).run()
    button = app.button(key="make")
    assert button.disabled == (refused is not None) and button.help == (refused or "a file")
    assert [one.value for one in app.caption] == ["It may run code\\."] * (refused is not None)
    if refused is None:
        button.click().run()
        ((command, folder),) = given
        assert command.name == "report" and folder.name == "here"


def test_start_button__waits_while_a_command_runs_in_its_folder(studies):
    def page(folder: str) -> None:
        from pathlib import Path

        import streamlit as st

        from core.study.commands import RunStep
        from dashboard.components.job_follower import start_button

        reason = start_button(RunStep("map", Path(folder)), "Compute it", key="make")
        st.caption(reason or "")

    app = AppTest.from_function(page, kwargs={"folder": str(studies / "demo")})
    write_progress(studies / "demo", stage="map")
    button = app.run().button(key="make")
    assert button.disabled and "has ended" in button.help
    assert app.caption[0].value == button.help  # seen without pointing at it
    write_progress(studies / "demo", state="done")
    assert not app.run().button(key="make").disabled


@pytest.mark.parametrize("path", sorted((ROOT / "dashboard").rglob("*.py")), ids=lambda path: path.stem)
def test_start_button__no_caller_drops_the_reason_why_it_waits(path):
    statements = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Expr)]
    called = [node.value.func for node in statements if isinstance(node.value, ast.Call)]
    assert "start_button" not in [name.id for name in called if isinstance(name, ast.Name)]


def test_is_run_now__only_for_the_very_command_while_it_runs(studies):
    from core.study.commands import ExplainError
    from dashboard.components.job_follower import is_run_now

    mine, other = (ExplainError(studies / "demo", name) for name in ("a.png", "b.png"))
    assert not is_run_now(mine)
    write_progress(studies / "demo", command=["python", "-m", "core", *mine.words])
    assert not is_run_now(other)
    assert is_run_now(mine)
    write_progress(studies / "demo", state="done", command=["python", "-m", "core", *mine.words])
    assert not is_run_now(mine)
