"""The study and the filter in the address, from page to page and through the browser's history."""

from __future__ import annotations

import numpy as np
import pytest
import streamlit as st

from core.charts.kept_figures import KeptFigure
from core.store import open_study
from dashboard.state import my_figures, session


class Address(dict):
    """The address of a browser, as Streamlit gives it to a run."""

    def get_all(self, name: str) -> list[str]:
        return [self[name]] if name in self else []


@pytest.fixture
def run(monkeypatch):
    """Run a page at an address; gives the address that it has then."""
    monkeypatch.setattr(st, "session_state", {})

    def visit(page: str, **query: str) -> dict[str, str]:
        address = Address(query)
        monkeypatch.setattr(st, "query_params", address)
        session.enter_page(page)
        session.enter_study(["demo", "other"])
        return dict(address)

    return visit


def test_filter__is_what_the_address_says_also_on_the_way_back(run):
    assert run("images", study="demo", where="label=ant") == {"study": "demo", "where": "label=ant"}
    assert run("map", study="demo") == {"study": "demo"}
    assert session.filter_text() == ""
    run("images", study="demo", where="label=ant")
    assert session.link_query("demo") == {"study": "demo", "where": "label=ant"}
    session.set_filter("")
    assert session.link_query("demo") == {"study": "demo"}


def test_study__is_named_by_every_address(run):
    assert run("images") == {"study": "demo"}
    assert run("map", study="other") == {"study": "other"}
    assert run("map") == {"study": "other"}
    assert not session.pop_notices()
    for name in ("gone", "../../etc", "%2e%2e/demo", "../demo", "demo/../.."):
        assert run("map", study=name) == {"study": "other"}
        (notice,) = session.pop_notices()
        assert repr(name) in notice


def test_study__chosen_otherwise_is_no_stale_link(run):
    run("images", study="demo", image="val/1", picked="val/2", where="label=ant")
    session.choose_study("other")
    assert run("images", **st.query_params) == {"study": "other", "where": "label=ant"}
    assert not session.pop_notices()


@pytest.mark.parametrize("leave", ["the selector", "a link", "another page"])
def test_opened_image__of_another_study_or_page_stands_in_no_gallery_of_before(leave, run, full_study):
    study = open_study(full_study)
    run("images", study="demo")
    session.open_image(study, 85, np.array([1, 85, 90]))
    opened = session.opened_image(study)
    assert opened is not None and opened.position == "2 of 3"
    if leave == "the selector":
        session.choose_study("other")
    elif leave == "another page":
        session.go("image", image=str(study.images["image_id"].iat[85]))
    run("image", study="demo" if leave == "another page" else "other", image=study.images["image_id"].iat[85])
    opened = session.opened_image(study)
    assert opened is not None and opened.position == f"86 of {study.n_images}"


def test_opened_image__on_the_way_back_stands_in_the_gallery_it_was_opened_from(run, full_study):
    study = open_study(full_study)
    name = str(study.images["image_id"].iat[85])
    run("images", study="demo")
    session.open_image(study, 85, np.array([1, 85, 90]))
    assert session.opened_image(study).position == "2 of 3"  # pyright: ignore[reportOptionalMemberAccess]
    session.go("feature", feature="3")
    run("feature", study="demo", feature="3")
    run("images", study="demo", image=name)
    for _ in range(2):
        opened = session.opened_image(study, np.arange(80, 120))
        assert opened is not None and (opened.position, opened.following) == ("2 of 3", 90)
    session.close_image()
    run("images", study="demo", image=name)
    opened = session.opened_image(study, np.arange(80, 120))
    assert opened is not None and opened.position == "6 of 40"


def test_opened_image__outside_the_filter_says_so(run, full_study):
    study = open_study(full_study)
    name = str(study.images["image_id"].iat[85])
    lists = np.arange(5), np.arange(40)
    for where, is_outside in (("label=ant", True), ("", False)):
        run("image", study="demo", image=name, **({"where": where} if where else {}))
        opened = session.opened_image(study, *lists)
        assert opened is not None and (opened.previous, opened.following) == (84, 86)
        assert (session.OUTSIDE in opened.position) == is_outside
    run("image", study="demo", image=str(study.images["image_id"].iat[20]), where="label=ant")
    opened = session.opened_image(study, *lists)
    assert opened is not None and opened.position == "21 of 40"


def test_study__chosen_on_the_page_of_an_image_opens_its_overview(run):
    run("image", study="demo", image="val/1", where="label=ant")
    session.choose_study("other")
    target = session.take_target()
    assert target == session.Target("overview", {"study": "other", "where": "label=ant"})
    run("map", study="demo")
    session.choose_study("other")
    assert session.take_target() is None


@pytest.fixture
def visit(run):
    """Run a page as `main.py` does; gives what links to Images take along beside the study."""

    def visited(page: str, **query: str) -> dict[str, object]:
        run(page, study="demo", **query)
        session.enter_search()
        session.leave_page()
        return {name: part for name, part in session.page_query("images", "demo").items() if name != "study"}

    return visited


@pytest.mark.parametrize("part", ["search", "like", "picture"])
def test_search__goes_along_within_a_study_and_a_filter(part, visit):
    searched = {"where": "label=bee", part: ["a dog"]}
    assert visit("images", where="label=bee", **{part: "a dog"}) == searched
    assert visit("errors", where="label=bee") == searched
    assert "a dog" in session.href("map", "demo").replace("+", " ")
    assert session.page_query("features", "demo") == {"study": "demo", "where": "label=bee"}
    assert part not in session.page_query("images", "other")
    assert part not in session.page_query("images", "demo", "label=ant")
    beside = session.page_query("images", "demo", parts={"images_sort": "Confidence"})
    assert part not in beside and beside["images_sort"] == "Confidence"
    assert visit("images", where="label=bee") == {"where": "label=bee"}  # cleared
    assert visit("errors", where="label=bee") == {"where": "label=bee"}


@pytest.mark.parametrize("elsewhere", [{}, {"where": "label=ant"}])
def test_search__ends_where_another_filter_is_chosen_on_another_page(elsewhere, visit):
    visit("images", search="a dog")
    chosen_beside = visit("images", search="a dog", where="label=bee")
    assert chosen_beside == {"where": "label=bee", "search": ["a dog"]}
    assert visit("errors", **elsewhere) == elsewhere
    assert visit("errors", where="label=bee") == {"where": "label=bee"}


def test_my_figures__the_folder_that_the_browser_knows_from_before_a_reload_is_taken_back(run):
    run("figures", study="demo")
    figure = KeptFigure("demo_roc", "One", "{}", "x\n", 336, 240)
    my_figures.mark(figure)
    before = my_figures.name()
    run("figures", study="demo")
    st.session_state.clear()
    for unknown in ("", "../jobs", "0" * 32):
        my_figures.take_back(unknown)
        assert my_figures.name() == "" and my_figures.figures() == {}
    my_figures.take_back(before)
    assert list(my_figures.figures().values()) == [figure] and my_figures.count() == 1
