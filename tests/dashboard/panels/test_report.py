"""What others can open without Peregrine: a report and pages."""

import streamlit as st

from core.publish import server_token
from core.publish.server_token import HOSTS, TOKEN, entrance
from core.store import open_study
from core.study import write_access
from core.study.trace_changes import name_feature
from dashboard.jobs import launcher
from dashboard.panels.exports import _say
from dashboard.state import visitor
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


def test_share__shows_the_link_to_this_page_and_where_it_leads_nobody_else_what_to_start(
    studies, open_page, monkeypatch
):
    def codes() -> list[str]:
        app = open_page("overview", study="demo", where="correct=false")
        app.session_state["report"] = True
        return [one.value for one in app.run().code]

    def asked_at(origin: str) -> str:
        monkeypatch.setattr(type(st.context), "url", property(lambda _: f"{origin}/overview"))
        return entrance(origin, "a-token-of-guests", {"study": "demo", "where": "correct=false"})

    monkeypatch.setattr(visitor, "_guest_token", "a-token-of-guests")  # as a server registers it
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.delenv(HOSTS, raising=False)
    for origin in ("http://localhost:8501", "http://behind.example"):  # who leaves it out may do everything
        link = asked_at(origin)
        assert codes()[0] == link and "--host 0.0.0.0" in codes()[1]
    monkeypatch.setenv(TOKEN, "a token of 16 characters")
    link = asked_at("http://127.0.0.1:8501")
    assert codes()[0] == link and len(codes()) == 2
    monkeypatch.setenv(HOSTS, "lab.example")  # a name under which others come
    assert codes() == [link.replace("127.0.0.1", "lab.example")]
    assert codes() == codes() and asked_at("https://proxy.example") == codes()[0]
    monkeypatch.setattr(write_access, "_is_guest", lambda: True)
    assert codes() == []


def test_link__of_a_server_for_others_leads_to_its_address(monkeypatch):
    """Its owner may look at it by the name localhost, which leads a colleague to a machine of theirs."""
    monkeypatch.setattr(visitor, "_guest_token", "a-token-of-guests")
    monkeypatch.setattr(type(st.context), "url", property(lambda _: "http://localhost:8501/"))
    monkeypatch.setattr(server_token, "machine_address", lambda: "10.0.0.7")
    monkeypatch.delenv(HOSTS, raising=False)
    options = {"server.address": "0.0.0.0", "server.port": 8502}
    monkeypatch.setattr(visitor.config, "get_option", options.get)
    assert visitor.guest_link({}) == "http://10.0.0.7:8502/?enter#a-token-of-guests"


def test_progress__says_which_part_of_which_step_is_done(studies, open_page, started, trusted):
    app = open_page("overview", study="demo")
    app.session_state["report"] = True
    app.run().button(key="report_Make the pages").click().run()
    record = {"stage": "page", "stages_done": ["pictures", "charts"], "stages_total": 3}
    write_progress(started[0][1], done=5, total=15, unit="chapters", **record)
    (bar,) = [one.proto for one in app.run().get("progress")]
    assert bar.value == int(100 * (2 + 5 / 15) / 3) and "5 of 15" in bar.text and "3 of 3" in bar.text


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
