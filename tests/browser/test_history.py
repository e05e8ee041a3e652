"""Back and Forward in a real Chromium: between every two places they lead to the address that was left."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from dashboard.state.pages import PAGES
from tests.browser.harness import IDLE, NO_PLACEHOLDER, settle, until, visit
from tests.sampling import EVERYTHING

pytestmark = pytest.mark.browser
MAIN = "[data-testid=stMain]"
DIALOG = "[role=dialog]"
LAST = 8  # addresses that are compared
QUICK = 1  # places that a usual run goes to from each place


def rest(page) -> None:
    """Wait until the run that an action started has ended."""
    page.wait_for_timeout(120)
    page.wait_for_selector(IDLE)
    until(page, NO_PLACEHOLDER)
    page.wait_for_selector(f"{MAIN} h1")


def entries(page) -> tuple[list[str], int]:
    """The last addresses of the browser's history, and which of them is shown, counted from the end: -1 is
    the last. A browser that has held fifty forgets the oldest.
    """
    urls, at = page.evaluate("[navigation.entries().map((one) => one.url), navigation.currentEntry.index]")
    return urls[-LAST:], at - len(urls)


def by_sidebar(title: str) -> Callable[[Any], None]:
    return lambda page: visit(page, title)


def by_palette(text: str) -> Callable[[Any], None]:
    def go(page) -> None:
        page.keyboard.press("Control+k")
        field = page.locator(f"{DIALOG} input")
        field.wait_for()
        field.fill(text)
        page.keyboard.press("Enter")
        page.wait_for_selector(DIALOG, state="detached")

    return go


def first_card(page) -> None:
    page.locator(f"{MAIN} .card").first.click()


def confusion(page) -> None:
    visit(page, "Errors")
    page.locator("h1:has-text('Errors')").wait_for()
    rest(page)
    page.locator(MAIN).get_by_role("radio", name="Confusions", exact=True).click()
    rest(page)
    first_card(page)


def first_finding(page) -> None:
    visit(page, "Overview")
    page.wait_for_url(re.compile(r"/\?"))
    rest(page)
    page.locator(".st-key-overview_first a.card").first.click()


# Every page but those of one feature and one image, then these, and two places that are reached by cards.
PLACES: dict[str, Callable[[Any], None]] = {
    page.name: by_sidebar(page.title) for page in PAGES.values() if page.group or page.name == "new_study"
}
PLACES |= {"feature": by_palette("#5"), "image": by_palette("val/cat/0070.png")}
CARDS = {"confusion": confusion, "first_finding": first_finding}
# A usual run goes from every third place, and opens the dashboard once for all of them.
SOURCES = [[name] for name in [*PLACES, *CARDS]] if EVERYTHING else [[*PLACES, *CARDS][::3]]
WITHIN = {"confusion": "errors", "first_finding": "images"}  # the page that a card's place is a part of


def test_places__are_all_pages():
    assert set(PLACES) == set(PAGES)


def targets(source: str, at: int) -> list[str]:
    """The places to go to from one: all others, or a few that differ from source to source."""
    others = [name for name in PLACES if name != WITHIN.get(source, source)]
    return others if EVERYTHING else [others[(at * QUICK + step) % len(others)] for step in range(QUICK)]


@pytest.mark.exhaustive("test_back__after_a_filter… goes back in the same way")
@pytest.mark.parametrize("sources", SOURCES, ids=lambda sources: sources[0])
def test_back_and_forward__from_places_to_every_page(reader, address, sources):
    page = reader().open(f"{address}/images?study=seen&where={quote('correct=false')}")
    for source in sources:
        (PLACES | CARDS)[source](page)
        rest(page)
        settle(page)
        at_source, heading = page.url, page.locator("h1").first.inner_text()
        names = targets(source, [*PLACES, *CARDS].index(source))
        for name in names:
            before, index = entries(page)
            PLACES[name](page)
            page.wait_for_url(re.compile(rf"/{name if name != 'overview' else ''}\?"))
            rest(page)
            after, there = entries(page)
            expected = [*before[: len(before) + index + 1], page.url]
            assert there == -1 and after[-len(expected) :] == expected[-LAST:], (
                f"one step from {source} to {name}"
            )
            page.go_back()
            rest(page)
            assert page.url == at_source, f"Back from {name}"
            expect(page.locator("h1").first).to_have_text(heading)
            assert entries(page) == (after, -2), f"Back from {name} leaves what lies ahead"
        page.go_forward()
        rest(page)
        assert page.url == after[there], f"Forward to {names[-1]}"
        assert entries(page) == (after, there)


@pytest.mark.exhaustive("test_back__after_a_filter… goes back in the same way")
def test_back__from_a_feature_that_a_card_opened(reader, address):
    page = reader().open(f"{address}/?study=seen")
    visit(page, "Features")
    page.locator("h1:has-text('Features')").wait_for()
    rest(page)
    at_features = page.url
    first_card(page)
    page.wait_for_url(re.compile(r"/feature\?"))
    rest(page)
    ahead = entries(page)[0]
    page.go_back()
    rest(page)
    assert page.url == at_features and entries(page) == (ahead, -2)
    page.go_back()
    rest(page)
    assert page.url == f"{address}/?study=seen" and entries(page)[0] == ahead


def test_back__after_a_filter_and_an_image_in_a_dialog(reader, address):
    page = reader().open(f"{address}/images?study=seen")
    page.locator(MAIN).get_by_role("radio", name="Misclassified", exact=True).click()
    page.wait_for_url(re.compile("where="))
    rest(page)
    filtered = page.url
    page.locator(".tile").first.click()
    page.locator(DIALOG).get_by_role("link", name="Open the page of this image").click()
    page.wait_for_url(re.compile(r"/image\?"))
    rest(page)
    page.go_back()
    page.locator(DIALOG).wait_for()
    rest(page)
    page.go_back()
    page.wait_for_selector(DIALOG, state="detached")
    rest(page)
    assert page.url == filtered
    page.go_back()
    rest(page)
    assert page.url == f"{address}/images?study=seen"
    assert page.locator(MAIN).get_by_role("radio", name="All", exact=True).is_checked()


@pytest.mark.exhaustive("test_back__after_a_filter… goes back in the same way")
def test_address__names_the_study_from_the_first_page_on(reader, address):
    page = reader().open(f"{address}/images")
    assert page.url == f"{address}/images?study=demo"
    page.locator(MAIN).get_by_role("radio", name="Misclassified", exact=True).click()
    page.wait_for_url(re.compile("where="))
    rest(page)
    assert page.url == f"{address}/images?study=demo&where=correct%3Dfalse"


def test_search__stays_from_page_to_page_until_it_is_cleared(visitor, address):
    text = "ant"
    one = visitor()
    page = one.open(f"{address}/images?study=seen")
    field = page.get_by_role("textbox", name="Search", exact=True)
    clear = page.get_by_role("button", name="Clear", exact=True)

    def is_searched(there: bool = True) -> None:
        expect(field).to_have_value(text if there else "")
        expect(clear).to_have_count(int(there))
        assert one.query().get("search") == ([text] if there else None)

    field.fill(text)
    field.press("Enter")
    rest(page)
    is_searched()
    for go in ("Errors", "Images", "Images", "Map", "Overview", "Map", "Images"):
        visit(page, go)
        rest(page)
        if go in ("Images", "Map"):
            is_searched()
    by_palette("Features")(page)
    rest(page)
    by_palette("Images")(page)
    rest(page)
    is_searched()
    page.go_back()
    rest(page)
    page.go_forward()
    rest(page)
    is_searched()
    page.reload()
    rest(page)
    is_searched()
    clear.click()
    rest(page)
    is_searched(False)
    visit(page, "Errors")
    rest(page)
    visit(page, "Map")
    rest(page)
    is_searched(False)
