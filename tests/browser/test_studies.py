"""Studies duplicated, renamed and deleted below the selector; the address follows."""

from __future__ import annotations

import re
import shutil

import pytest
from playwright.sync_api import expect

from core.store import open_study
from tests.browser.harness import settle

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("tests/study/test_study_folders.py does the same")]


def opened(page):
    page.get_by_test_id("stSidebar").get_by_role("button", name="Manage").click()
    page.get_by_label("Name", exact=True).wait_for()
    settle(page)


def test_studies__are_duplicated_renamed_and_deleted(visitor, address, served):
    for left in ("demo copy", "renamed"):  # of a first try
        shutil.rmtree(served / left, ignore_errors=True)
    one = visitor()
    page = one.open(f"{address}/images?study=demo&where=label%3Dbee")
    opened(page)
    page.get_by_role("button", name="Duplicate").click()
    expect(page).to_have_url(re.compile("study=demo\\+copy"))
    assert one.query()["study"] == ["demo copy"] and one.query()["where"] == ["label=bee"]
    assert open_study(served / "demo copy").digest == open_study(served / "demo").digest

    expect(page.locator(".st-key-study_menu_body")).to_have_count(0)
    opened(page)
    page.get_by_label("Name", exact=True).fill("renamed")
    page.get_by_role("button", name="Rename").click()
    expect(page).to_have_url(re.compile("study=renamed"))
    assert one.query()["study"] == ["renamed"]
    expect(page.get_by_test_id("stAlert")).to_have_text(["infoRenamed 'demo copy' to 'renamed'."])
    assert not (served / "demo copy").exists() and (served / "renamed").is_dir()

    opened(page)
    page.get_by_label("To delete it, type renamed").fill("demo")
    page.get_by_role("button", name="Delete").click()
    page.wait_for_selector("text=Nothing was deleted")
    assert (served / "renamed").is_dir()
    settle(page)
    page.get_by_label("To delete it, type renamed").fill("renamed")
    page.get_by_role("button", name="Delete").click()
    page.wait_for_function("() => !location.search.includes('renamed')")
    expect(page.locator("h1")).to_have_text("Images")
    assert one.query()["study"] == ["demo"]
    expect(page.get_by_test_id("stAlert")).to_have_text(["infoDeleted 'renamed'."])
    expect(page.locator(".st-key-study_menu_body")).to_have_count(0)
    assert not (served / "renamed").exists() and (served / "demo").is_dir()
