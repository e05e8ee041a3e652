"""A real Chromium walks the dashboard: every view, the keyboard, links, and names that try to be markup."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from dashboard.state.pages import HOME
from tests.browser.harness import settle

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("tests/dashboard draws the same tiles and links")]
TILE = ".tile"


def test_overview__its_name_as_an_address_leads_to_it(reader, address):
    page = reader().open(f"{address}/{HOME}?where=label%3Dbee")
    page.wait_for_selector("text=Active features")
    assert page.locator("[role=dialog]").count() == 0
    assert urlsplit(page.url).path == "/" and "where=label" in page.url


TEXT_BOX = """(one) => {
  const text = document.createRange();
  text.selectNodeContents(one);
  return text.getBoundingClientRect().toJSON();
}"""  # of the words themselves, which may stand out of their element


def test_overview__a_headline_s_name_and_its_help_lie_beside_each_other(reader, address):
    """Also behind words as wide as "not defined", where the card leaves no room for the name."""
    one = reader()
    one.page.set_viewport_size({"width": 1280, "height": 800})
    page = one.open(f"{address}/?study=demo")
    label = page.locator(".st-key-overview_headline [data-testid=stMetricLabel]").last
    assert label.inner_text().startswith("Grad-CAM overlap")
    value = page.locator(".st-key-overview_headline [data-testid=stMetricValue]").last
    value.evaluate("one => { one.textContent = 'not defined' }")  # as of an empty slice
    words = label.locator("p").evaluate(TEXT_BOX)
    icon = label.locator("[data-testid=stTooltipIcon]").bounding_box()
    assert words["x"] + words["width"] <= icon["x"] + 1 or words["y"] + words["height"] <= icon["y"] + 1


def test_overview__pictures_follow_the_numbers_at_once(reader, address):
    one = reader()
    one.page.set_viewport_size({"width": 1440, "height": 900})
    page = one.open(f"{address}/?study=seen")
    picture = page.locator(".st-key-overview_places img").first
    picture.wait_for()
    settle(page)
    numbers = page.locator(".st-key-overview_headline").bounding_box()
    assert page.locator(".st-key-overview_headline [data-testid=stMetric]").count() == 3
    assert numbers["y"] + numbers["height"] < picture.bounding_box()["y"] < numbers["y"] + 160


def test_gallery__pictures_load_and_a_click_opens_one(visitor, address):
    one = visitor()
    page = one.open(f"{address}/images")
    page.wait_for_function(
        _in_gallery("[...tiles].slice(0, 6).every(t => t.querySelector('img').naturalWidth > 0)")
    )
    page.locator(TILE).nth(2).click()
    page.wait_for_selector("[role=dialog] >> text=True class")
    assert len(one.query()["image"]) == 1
    page.keyboard.press("Escape")
    page.wait_for_selector("[role=dialog]", state="detached")
    settle(page)
    assert "image" not in one.query()


def test_gallery__keyboard_alone(reader, address):
    one = reader()
    page = one.open(f"{address}/images")
    page.locator(TILE).first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=dialog] >> text=True class")
    assert _position(page) == 2
    settle(page)
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("[role=dialog] >> text=/^3 of/")
    settle(page)
    page.keyboard.press("ArrowLeft")
    page.wait_for_selector("[role=dialog] >> text=/^2 of/")


def test_gallery__marks_live_in_the_link(reader, visitor, address):
    one = reader()
    page = one.open(f"{address}/images")
    page.locator(TILE).nth(1).click(modifiers=["Control"])
    settle(page)
    page.locator(TILE).nth(3).click(modifiers=["Shift"])
    page.wait_for_selector("text=3 marked")
    assert len(one.query()["picked"]) == 3
    again = visitor()
    other = again.open(page.url)
    other.wait_for_selector("text=3 marked")
    expect(other.locator(f"{TILE}[aria-pressed=true]")).to_have_count(3)


def test_gallery__a_rerun_keeps_the_tiles(visitor, address):
    page = visitor().open(f"{address}/images")
    page.locator(TILE).nth(1).wait_for()
    page.wait_for_timeout(1000)  # the page may be drawn twice while it loads on a busy machine
    settle(page)
    page.evaluate(_in_gallery("tiles[0].seenBefore = true"))
    page.locator(TILE).nth(1).click(modifiers=["Control"])
    page.wait_for_selector("text=1 marked")
    settle(page)
    assert page.evaluate(_in_gallery("tiles[0].seenBefore")) is True


QUICK_READER = """rounds => new Promise((done) => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const turns = Array(rounds).fill(['2', '1']).flat();
  const began = performance.now();
  let turned = 0;
  const next = () => {
    const shown = new URLSearchParams(location.search).get('images_gallery_page') ?? '1';
    const there = !turned || shown === turns[turned - 1];
    const rests = all('[data-testid=stApp]')[0].dataset.testScriptState === 'notRunning';
    if (performance.now() - began > 60000) return done(turned);
    if (there && rests) {
      if (turned === turns.length) return done(turned);
      const buttons = all('[data-testid=stPagination] button');
      buttons.find((one) => one.textContent.trim() === turns[turned]).click();
      turned += 1;
    }
    setTimeout(next, 4);
  };
  next();
})"""


def test_gallery__a_quick_reader_keeps_the_connection(visitor, address):
    one = visitor()
    lost: list[str] = []
    one.page.on("console", lambda said: lost.append(said.text) if "MISS" in said.text else None)
    page = one.open(f"{address}/images")  # two pages
    assert page.evaluate(QUICK_READER, 15) == 30
    settle(page)
    assert not lost
    page.get_by_test_id("stPagination").get_by_role("button", name="2").click()
    page.wait_for_selector("text=49 to 80 of 80")


def _in_gallery(expression: str) -> str:
    """A browser function over `tiles`, the tiles of all galleries on the page (they live in shadow roots)."""
    return (
        "() => { const hosts = [...document.querySelectorAll('*')].filter(e => e.shadowRoot);"
        " const tiles = hosts.flatMap(host => [...host.shadowRoot.querySelectorAll('.tile')]);"
        f" return {expression}; }}"
    )


def _position(page) -> int:
    return int(page.locator("[role=dialog]").get_by_text(" of ").first.inner_text().split(" of ")[0])
