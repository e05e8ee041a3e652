"""Popovers that keys opened: the focus goes in, stays in, and comes back to the button."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from core.store import open_study
from tests.browser.harness import settle
from tests.sampling import sample

pytestmark = pytest.mark.browser
INSIDE = """() => { const one = document.activeElement;
return Boolean(one?.closest("[data-testid=stPopoverBody]")) && one.getClientRects().length > 0; }"""
OPENED_BY_KEYS = [
    ("image?study=seen&image={image}", "Notes"),
    ("feature?study=seen&feature=1", "Name and notes"),
    ("images?study=seen", "Tag"),
    ("images?study=seen", "Note"),
    ("images?study=seen", "More filters"),
    ("heatmaps?study=seen", "Display"),
]


def test_saved_note__gives_the_focus_back_to_its_button(visitor, address, served):
    image = open_study(served / "demo").images["image_id"].iat[4]
    page = visitor().open(f"{address}/image?study=demo&image={image}")
    button = page.get_by_role("button", name="Notes")
    for note in ("first", "second"):  # a popover that was open before is the same
        settle(page)
        button.focus()
        page.keyboard.press("Enter")
        page.wait_for_function(INSIDE)
        page.get_by_role("textbox", name="Note").fill(note)
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)
        expect(button).to_be_focused()
        expect(page.locator("[data-testid=stMain]").get_by_text(note, exact=True)).to_be_visible()


@pytest.mark.exhaustive("the note that is saved takes the same way")
@pytest.mark.parametrize(("path", "name"), sample(OPENED_BY_KEYS, 2))
def test_popover__takes_the_focus_keeps_it_and_escape_gives_it_back(visitor, address, served, path, name):
    image = open_study(served / "seen").images["image_id"].iat[0]
    page = visitor().open(f"{address}/{path.format(image=image)}")
    button = page.locator("[data-testid=stMain] [data-testid=stPopoverButton]").filter(has_text=name).first
    settle(page)
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function(INSIDE)
    settle(page)
    for key in ("Tab", "Tab", "Tab", "Tab", "Tab", "Tab", "Shift+Tab"):
        assert page.evaluate(INSIDE)
        page.keyboard.press(key)
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("stPopoverBody")).to_have_count(0)
    expect(button).to_be_focused()
