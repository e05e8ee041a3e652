"""A click before the browser has heard what the last one did: chips, address and numbers still agree."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from core.measures import saved_slices
from core.measures.slice import Slice
from tests.browser.harness import settle

pytestmark = pytest.mark.browser
MAIN = "[data-testid=stMain]"
BAR = ".st-key-filter_bar"
STATES = {None: "All", "correct=false": "Misclassified", "correct=true": "Correct"}


# Messages of the server wait in `window.held` while that is a list.
HOLD = """window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", (event) => {
      if (!window.held) return;
      event.stopImmediatePropagation();
      window.held.push(() => this.dispatchEvent(new MessageEvent("message", { data: event.data })));
    });
  }
};"""
LET_THROUGH = "() => { const kept = window.held; window.held = null; kept.forEach((send) => send()); }"


@contextmanager
def held(page: Page) -> Iterator[None]:
    """Hold the answers of the server back for the block, and until it has answered all of it."""
    page.evaluate("window.held = []")
    yield
    page.wait_for_timeout(1500)
    page.evaluate(LET_THROUGH)


@pytest.fixture
def visit_slowly(visitor, address) -> Callable[[str], Page]:
    """Open a page whose answers can be held back."""

    def visit(name: str) -> Page:
        one = visitor()
        one.run_first(HOLD)
        return one.open(f"{address}/{name}?study=demo")

    return visit


@pytest.fixture
def slices(served) -> Iterator[None]:
    saved_slices.save(served / "demo", "mistakes", Slice.parse("correct=false"))
    yield
    saved_slices.delete(served / "demo", "mistakes")


def come_to_rest(page: Page) -> None:
    page.wait_for_timeout(500)
    settle(page)


def assert_filter(page: Page, where: str | None) -> None:
    """Check that address, buttons, chip and number of images say one and the same."""
    come_to_rest(page)
    assert parse_qs(urlsplit(page.url).query).get("where") == ([where] if where else None)
    expect(page.locator(BAR).get_by_role("radio", name=STATES[where], exact=True)).to_be_checked()
    chip = page.locator(BAR).get_by_role("radio", name=re.compile("^mistakes"))
    expect(chip).to_be_checked(checked=where == "correct=false")
    n_images = page.locator(BAR).get_by_text(re.compile(r"^\d+( of \d+)? images$|^\d+ of \d+$"))
    expect(n_images).to_have_text(re.compile(" of " if where else "images"))


def apply(page: Page) -> None:
    page.locator(".st-key-slice_apply button").click()


def open_slices(page: Page) -> None:
    page.get_by_role("button", name="Slices").last.click()
    page.locator(".st-key-slice_apply button").wait_for()
    come_to_rest(page)


@pytest.mark.parametrize("pause", [0, 150, 600])
def test_apply_and_at_once_escape__keeps_the_filter(visit_slowly, slices, pause):
    page = visit_slowly("images")
    assert_filter(page, None)
    open_slices(page)
    with held(page):
        apply(page)
        page.wait_for_timeout(pause)
        page.keyboard.press("Escape")
    assert_filter(page, "correct=false")
    page.go_back()
    assert_filter(page, None)
    page.go_forward()
    assert_filter(page, "correct=false")


def test_apply_on_a_slow_page__keeps_the_filter(visit_slowly, slices):
    page = visit_slowly("images")
    come_to_rest(page)
    devtools = page.context.new_cdp_session(page)
    for pause in (0, 300, 900):
        open_slices(page)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        apply(page)
        page.wait_for_timeout(pause)
        page.keyboard.press("Escape")
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": 1})
        assert_filter(page, "correct=false")
        page.locator(".st-key-filter_clear button").click()
        assert_filter(page, None)


def test_chip_pressed_twice__lifts_the_filter(visit_slowly, slices):
    page = visit_slowly("images")
    come_to_rest(page)
    chip = page.locator(BAR).get_by_role("radio", name=re.compile("^mistakes"))
    chip.click()
    assert_filter(page, "correct=false")
    chip.click()
    assert_filter(page, None)
    open_slices(page)
    apply(page)
    assert_filter(page, "correct=false")
    page.keyboard.press("Escape")
    chip.click()
    assert_filter(page, None)


def test_apply_and_at_once_another_page__takes_the_filter_along(visit_slowly, slices):
    page = visit_slowly("images")
    come_to_rest(page)
    open_slices(page)
    with held(page):
        apply(page)
        page.evaluate("document.querySelector('.st-key-link_errors a').click()")
    page.wait_for_url(re.compile("/errors"))
    come_to_rest(page)
    where = parse_qs(urlsplit(page.url).query).get("where")
    n_images = page.locator(BAR).get_by_text(re.compile(r"^\d+( of \d+)? images$|^\d+ of \d+$"))
    expect(n_images).to_have_text(re.compile(" of " if where else "images"))


def test_part_of_a_page__is_the_one_whose_tab_is_lit(visit_slowly):
    """Two clicks, the second one before the browser has heard of the first."""
    page = visit_slowly("errors")
    come_to_rest(page)
    tabs = page.locator(MAIN).get_by_role("radio")
    names = tabs.all_inner_texts()
    for first, second in (("Worst slices", "Compare two"), ("Confusions", "Worst slices")):
        assert {first, second} <= set(names)
        with held(page):
            tabs.get_by_text(first, exact=True).click()
            page.wait_for_timeout(100)
            tabs.get_by_text(second, exact=True).click()
        come_to_rest(page)
        lit = page.locator(f"{MAIN} [role=radio][aria-checked=true]").all_inner_texts()
        assert second in lit and first not in lit
        shown = page.url
        page.reload()
        come_to_rest(page)
        assert page.url == shown
        assert second in page.locator(f"{MAIN} [role=radio][aria-checked=true]").all_inner_texts()


def test_link_with_a_popover_open__is_followed_by_one_click(visit_slowly, slices):
    page = visit_slowly("images")
    for name in ("errors", "map"):
        page.get_by_role("button", name="More filters").last.click()
        page.locator("[data-testid=stPopoverBody]").wait_for()
        come_to_rest(page)
        page.locator(f".st-key-link_{name} a").click(delay=60)
        page.wait_for_url(re.compile(f"/{name}"))
        come_to_rest(page)
        assert urlsplit(page.url).path == f"/{name}"
        assert page.locator("[data-testid=stPopoverBody]").count() == 0


def test_palette__has_what_was_typed_before_its_field_was_there(visitor, address):
    one = visitor()
    one.run_first(HOLD)
    page = one.page
    page.goto(f"{address}/images?study=seen", wait_until="domcontentloaded")
    page.keyboard.press("Control+k")
    page.keyboard.type("Featx")
    page.keyboard.press("Backspace")
    field = page.locator("[role=dialog] input").first
    expect(field).to_have_value("Feat")
    page.keyboard.type("ures")
    expect(field).to_have_value("Features")
    page.keyboard.press("Enter")
    page.wait_for_url("**/features*")
    come_to_rest(page)
    with held(page):
        page.keyboard.press("Control+k")
        page.keyboard.type("Ma")
    expect(page.locator("[role=dialog] input").first).to_have_value("Ma")
    page.keyboard.press("Escape")


def test_palette__has_each_letter_typed_while_its_field_comes(visitor, address):
    page = visitor().open(f"{address}/images?study=demo")
    text = "abcdefghijklmnopqrstuvwxyz" * 2
    for delay in (0, 15, 40):  # so that some letters fall before the field, some into it, and some in between
        page.keyboard.press("Control+k")
        page.keyboard.type(text, delay=delay)
        field = page.locator("[role=dialog] input").first
        expect(field).to_have_value(text)
        come_to_rest(page)
        expect(field).to_have_value(text)
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")  # the first closes the list
        expect(page.locator("[role=dialog]")).to_have_count(0)
        come_to_rest(page)
