"""Saved views: a page with its filter and choices is kept under a name, opened from elsewhere, removed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from core.store import open_study
from core.study.trace_changes import remove_view, save_view
from core.study.traces import read_traces
from tests.browser.harness import settle

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("a view is a link, which test_links.py opens")]


def test_view__is_saved_opened_from_another_page_and_removed(reader, address, served) -> None:
    page = reader().open(f"{address}/features?study=demo&where=label%3Dbee&features_as=Table")
    settle(page)

    def menu() -> None:
        page.get_by_role("button", name="Views", exact=True).click()
        page.wait_for_selector(".st-key-views_menu_body")

    menu()
    page.get_by_label("Save this page as").fill("bees in a table")
    page.get_by_label("Save this page as").press("Enter")
    page.get_by_role("button", name="Save view").click()
    page.get_by_role("button", name="bees in a table", exact=True).wait_for()
    assert read_traces(served / "demo").views == {
        "bees in a table": "features?where=label%3Dbee&features_as=Table"
    }
    page.get_by_test_id("stMain").get_by_text("Cards", exact=True).click()
    settle(page)
    save_view(open_study(served / "demo"), "bees", "features?where=label%3Dbee")  # as cards
    page.get_by_role("button", name="bees in a table", exact=True).click()
    page.wait_for_url("**/features?*features_as=Table*")
    settle(page)
    for view, shown in (("bees", "Cards"), ("bees in a table", "Table")):
        page.get_by_role("button", name=view, exact=True).click()
        expect(page.get_by_role("radio", name=shown, exact=True)).to_be_checked()
        settle(page)
    remove_view(open_study(served / "demo"), "bees")
    page.goto(f"{address}/errors?study=demo")
    settle(page)
    menu()
    page.get_by_role("button", name="bees in a table", exact=True).click()
    page.wait_for_url("**/features?*")
    settle(page)
    assert "where=label%3Dbee" in page.url and "features_as=Table" in page.url and "study=demo" in page.url
    page.keyboard.press("Control+k")
    page.get_by_role("dialog").get_by_role("combobox").fill("View bees")
    page.get_by_role("option", name="View bees in a table").wait_for()
    page.keyboard.press("Escape")
    page.goto(f"{address}/errors?study=demo")
    settle(page)
    menu()
    page.get_by_role("button", name="Remove", exact=True).hover()
    page.get_by_text("Remove the view bees in a table").wait_for()
    page.get_by_role("button", name="Remove", exact=True).click()
    page.get_by_text("None is saved in this study yet").wait_for()
    assert read_traces(served / "demo").views == {}
