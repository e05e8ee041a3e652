"""The tour of the demo: six steps over existing pages, its place in the link, and never in the way."""

from __future__ import annotations

import shutil
from urllib.parse import parse_qs

import pytest

from dashboard.panels import tour
from tests.dashboard.conftest import MAIN, all_text


def links(app) -> dict[str, str]:
    """Labels of the card's links, and the query each of them opens."""
    found = {one.label: one.proto.query_string for one in app.get("page_link")}
    return {label: query for label, query in found.items() if "tour=" in query}


def buttons(app) -> list[str]:
    return [one.key for one in app.button if str(one.key).startswith("tour")]


def test_steps__are_six_pages_that_exist():
    pages = [step.name for step in tour.STEPS]
    assert len(pages) == len(set(pages)) == 6
    assert all((MAIN.parent / "views" / f"{page}.py").is_file() for page in pages)


@pytest.mark.exhaustive("the other tests of this file walk the tour")
@pytest.mark.slow
def test_overview__offers_the_tour_of_the_demo_alone(studies, open_page):
    shutil.copytree(studies / "demo", studies / "mine")
    assert buttons(open_page(study="demo")) == ["tour_start"]
    assert buttons(open_page(study="mine")) == []


def test_start_and_close(studies, open_page):
    app = open_page(study="demo")
    app.button(key="tour_start").click().run()
    assert app.query_params["tour"] in ("1", ["1"])
    assert "1 of 6" in all_text(app) and buttons(app) == ["tour_close"]
    app.button(key="tour_close").click().run()
    assert "tour" not in app.query_params and buttons(app) == ["tour_start"]


@pytest.mark.parametrize("number", range(1, 7))
def test_step__says_its_sentence_and_leads_on(number, studies, open_page):
    step = tour.STEPS[number - 1]
    app = open_page(step.name, study="demo", tour=str(number))
    assert not app.exception and step.tour in all_text(app)
    led = {label: parse_qs(query)["tour"] for label, query in links(app).items()}
    wanted = {"Back": [str(number - 1)]} if number > 1 else {}
    if number < 6:
        wanted[f"Next: {tour.STEPS[number].title}"] = [str(number + 1)]
    assert {label: led[label] for label in wanted} == wanted


def test_another_page__leads_back(studies, open_page):
    app = open_page("images", study="demo", tour="3")
    assert parse_qs(links(app)["Back to the tour"])["tour"] == ["3"]


@pytest.mark.exhaustive("the other tests of this file walk the tour")
@pytest.mark.slow
@pytest.mark.parametrize("text", ["0", "7", "x", "-1"])
def test_unknown_step__there_is_no_card(text, studies, open_page):
    app = open_page("features", study="demo", tour=text)
    assert not app.exception and "of 6" not in all_text(app)
