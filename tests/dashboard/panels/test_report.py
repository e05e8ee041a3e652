"""What others can open without Peregrine: a report and pages."""

import streamlit as st

from core.publish.server_token import GUEST_TOKEN, entrance
from core.store import open_study
from core.study import write_access
from core.study.trace_changes import name_feature
from dashboard.jobs import launcher
from dashboard.panels.exports import _say
from tests.dashboard.conftest import write_progress


def test_a_study_is_published_and_reported_from_the_overview(studies, open_page, started, trusted):
    app = open_page("overview", study="demo")
    app.session_state["report"] = True
    for name in ("report", "pages"):
        app.run().button(key=f"report_Make the {name}").click().run()
    assert [folder.parent for _, folder in started] == [launcher.home()] * 2
    assert [command.words[-1] for command, _ in started] == [
        f"--output={folder / name}"
        for (_, folder), name in zip(started, ("report.html", "site.zip"), strict=True)
    ]
    assert [command.name for command, _ in started] == ["report", "publish"]


def test_share__shows_the_read_only_link_or_how_to_get_one(studies, open_page, monkeypatch):
    def codes() -> list[str]:
        app = open_page("overview", study="demo")
        app.session_state["report"] = True
        return [one.value for one in app.run().code]

    assert any(GUEST_TOKEN.replace("GUEST_", "") in one and "--host" in one for one in codes())
    monkeypatch.setattr(write_access, "_is_guest", lambda: False)  # as a server with two tokens registers it
    monkeypatch.setenv(GUEST_TOKEN, "a-token-of-guests")
    monkeypatch.setattr(
        type(st.context), "url", property(lambda _: "http://lab.example:8501/overview?study=demo")
    )
    assert codes() == [entrance("http://lab.example:8501", "a-token-of-guests")]
    monkeypatch.setattr(write_access, "_is_guest", lambda: True)
    assert codes() == []


def test_a_report_made_before_a_feature_was_named_stays_and_says_so(studies, open_page, started, trusted):
    def kind(app) -> str:
        texts = {_say(one, value=0.0): one for one in _say.by_kind}
        return next((kind for text, kind in texts.items() if text in {one.value for one in app.caption}), "")

    app = open_page("overview", study="demo")
    app.session_state["report"] = True
    app.run().button(key="report_Make the report").click().run()
    folder = started[0][1]
    write_progress(folder, state="done")
    (folder / "report.html").write_text("<html>")
    assert "Make the report again" in {button.label for button in app.run().button} and kind(app) == "now"
    name_feature(open_study(studies / "demo"), 3, "wheels")
    app.run().button(key="report_Make the report again").click().run()
    assert kind(app) == "before" and started[1][1] != folder
    write_progress(started[1][1], state="done")
    (started[1][1] / "report.html").write_text("<html>")
    assert kind(app.run()) == "now"
