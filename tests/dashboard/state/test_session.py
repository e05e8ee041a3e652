"""The filter in the address, from page to page and through the browser's history."""

from __future__ import annotations

import pytest
import streamlit as st

from dashboard.state import session


class Address(dict):
    """The address of a browser, as Streamlit gives it to a run."""

    def get_all(self, name: str) -> list[str]:
        return [self[name]] if name in self else []


@pytest.fixture
def run(monkeypatch):
    """Run a page at an address; gives the filter that the page then has, and that the address holds."""
    monkeypatch.setattr(st, "session_state", {})

    def visit(page: str, where: str | None = None) -> str:
        address = Address({} if where is None else {"where": where})
        monkeypatch.setattr(st, "query_params", address)
        session.enter_page(page)
        assert address.get("where", "") == session.filter_text()
        return session.filter_text()

    return visit


def test_filter__goes_along_and_a_new_visit_has_none(run):
    assert run("images") == ""
    assert run("images", "label=ant") == "label=ant"
    assert run("map") == "label=ant"  # a click in the sidebar leaves it out
    assert run("map", "label=bee") == "label=bee"
    assert run("images") == "label=bee"


def test_filter__is_put_in_again_where_the_history_holds_the_page_without_it(run):
    run("images", "label=ant")
    assert run("map") == "label=ant"
    assert run("map", "label=ant") == "label=ant"
    assert run("map") == "label=ant"  # one step back: the address before the filter went along
    assert run("images", "label=ant") == "label=ant"


def test_filter__stays_cleared_on_the_way_back(run):
    run("images", "label=ant")
    run("map")
    session.set_filter("")
    assert run("map") == ""
    assert run("map", "label=ant") == "label=ant"  # back
    assert run("map") == ""  # forward again


def test_filter__set_by_hand_is_gone_one_step_back(run):
    run("map")
    session.set_filter("label=ant")
    assert run("map", "label=ant") == "label=ant"
    assert run("map") == ""
