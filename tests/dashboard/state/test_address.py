"""What a session wrote into the address, where the browser's next run does not know of it yet."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import streamlit as st

from dashboard.state import address, session
from tests.dashboard.state.test_session import Address

APPLIED = ["label=ant"]


class Parts(Address):
    def get_all(self, name: str) -> list[str]:
        return list(self[name]) if isinstance(self.get(name), list) else super().get_all(name)


class Context(SimpleNamespace):
    """As much of Streamlit's context of a run as the address needs."""


@pytest.fixture
def run(monkeypatch):
    """Begin a run of the browser: on a page, with the query that it knows."""
    monkeypatch.setattr(st, "session_state", {})

    def begin(page: str = "images", *, back: bool = False, **query: str) -> Context:
        context = Context(page_script_hash=page, is_history_navigation=back)
        monkeypatch.setattr(st, "query_params", Parts(query))
        monkeypatch.setattr(address, "get_script_run_ctx", lambda **_: context)
        address.query()
        return context

    return begin


def applied(run, *, is_drawn: bool = False) -> None:
    run(study="demo")
    address.drawn()
    context = run(study="demo")
    address.write(session.WHERE, APPLIED)
    if is_drawn:
        address.drawn()
    assert st.query_params.get_all("where") == APPLIED and context is not None


@pytest.mark.parametrize("is_drawn", [False, True])
def test_query__of_the_past_is_brought_up_to_date(run, is_drawn):
    applied(run, is_drawn=is_drawn)
    for query in ({}, {}, {"where": APPLIED[0]}, {}):
        run(study="demo", **query)
        assert st.query_params == {"study": "demo", "where": APPLIED[0]}
    address.write(session.WHERE, [])
    run(study="demo", where=APPLIED[0])
    assert st.query_params == {"study": "demo"}


def test_query__that_the_history_leads_to_holds(run):
    applied(run, is_drawn=True)
    run(study="demo", where=APPLIED[0])
    run(study="demo", back=True)
    assert st.query_params == {"study": "demo"}
    run(study="demo")
    assert st.query_params == {"study": "demo"}
    run(study="demo", where=APPLIED[0], back=True)
    run(study="demo", where=APPLIED[0])
    assert st.query_params == {"study": "demo", "where": APPLIED[0]}


def test_link_to_another_page__of_before_takes_along_what_was_written(run):
    applied(run)
    run("errors", study="demo")
    assert st.query_params == {"study": "demo", "where": APPLIED[0]}
    applied(run)
    run("errors", study="demo", where="label=bee")  # another filter, which the link names
    assert st.query_params == {"study": "demo", "where": "label=bee"}
    applied(run, is_drawn=True)
    run("errors", study="demo")  # drawn with the filter in mind: it leaves it out on purpose
    assert st.query_params == {"study": "demo"}


def test_widget_that_shows_another_value__is_another_one(monkeypatch):
    monkeypatch.setattr(st, "session_state", {})
    choices: list[object] = []
    first = session.show_in_widget("filter", "All", choices.append)
    assert first["key"] == "filter" and st.session_state["filter"] == "All"
    st.session_state["filter"] = "Correct"  # the reader chose it
    first["on_change"]()
    assert session.show_in_widget("filter", "Correct", choices.append)["key"] == "filter"
    second = session.show_in_widget("filter", "All", choices.append)
    assert second["key"] != "filter" and st.session_state[second["key"]] == "All"
    first["on_change"]()  # what the browser still says of the one before
    assert choices == ["Correct"]


def test_widget__is_sent_again_what_it_holds_where_it_did_not_take_what_was_sent(monkeypatch):
    monkeypatch.setattr(st, "session_state", {"tab": "Causes"})
    monkeypatch.setattr(st, "query_params", Address())
    sent: list[str] = []
    monkeypatch.setattr(session, "set_widget", lambda name, value: sent.append(name))
    st.session_state[session._SENT] = {"tab": "Worst slices"}
    session.enter_page("errors")  # the run that sent it
    assert sent == []
    session.enter_page("errors")
    assert sent == ["tab"]
    session.enter_page("errors")
    assert sent == ["tab"]
