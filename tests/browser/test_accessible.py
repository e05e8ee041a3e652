"""Screen readers and keyboards: axe-core finds nothing on any view, and everything can be reached."""

from __future__ import annotations

import pytest

from tests.browser.axe import violations
from tests.browser.harness import settle
from tests.browser.test_dashboard import TILE

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("axe looks at each page in test_every_page.py")]
FOCUSED = """() => {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  const name = at?.getAttribute('aria-label') ?? at?.textContent?.trim() ?? '';
  return [at?.tagName ?? '', name, String(at?.className ?? '')];
}"""


def test_axe__an_opened_image(reader, address):
    page = reader().open(f"{address}/images?study=seen")
    page.locator(TILE).first.click()
    page.wait_for_selector("[role=dialog] >> text=True class")
    settle(page)
    page.wait_for_timeout(500)
    assert violations(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe__the_panels_of_the_sidebar(reader, address, theme):
    page = reader(color_scheme=theme).open(f"{address}/images?study=demo")
    for panel, inside in (("Manage", "Duplicate"), ("Views", "Save view")):
        page.get_by_test_id("stSidebar").get_by_role("button", name=panel).click()
        page.get_by_role("button", name=inside).wait_for()
        settle(page)
        page.wait_for_timeout(500)
        assert violations(page) == []
        page.keyboard.press("Escape")


def test_axe__finds_what_is_wrong(reader, address):
    """The check itself can fail."""
    page = reader().open(f"{address}/?study=seen")
    page.evaluate("document.querySelector('h1').innerHTML = '<button></button>'")
    assert "button-name" in [rule for _, rule, _ in violations(page)]


def test_keyboard__tab_reaches_filters_buttons_and_tiles(reader, address):
    page = reader().open(f"{address}/images?study=demo")
    page.locator(TILE).first.wait_for()
    page.locator("h1").click()
    reached: list[tuple[str, str, str]] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(tuple(page.evaluate(FOCUSED)))
        if "tile" in reached[-1][2].split():
            break
    names = " | ".join(name for _, name, _ in reached)
    assert "tile" in reached[-1][2].split(), names
    assert "More filters" in names and "Search" in names


def test_keyboard__a_dialog_keeps_and_gives_back_the_focus(reader, address):
    page = reader().open(f"{address}/images?study=demo")
    page.locator(TILE).first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=dialog] >> text=True class")
    settle(page)
    for _ in range(25):
        page.keyboard.press("Tab")
        assert page.evaluate(
            "['BODY', 'IFRAME'].includes(document.activeElement.tagName) ||"
            " !!document.activeElement.closest('[role=dialog], [data-testid=stTooltipContent]')"
        )
    page.keyboard.press("Escape")
    page.wait_for_selector("[role=dialog]", state="detached")
