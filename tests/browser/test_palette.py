"""Ctrl+K in a real Chromium: go to anything by what it is called."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import expect

from core.store import open_study
from tests.browser.harness import settle

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("panels/test_palette.py finds the same places")]


def go(page, text: str) -> None:
    page.keyboard.press("Control+k")
    field = page.locator("[role=dialog] input").first
    expect(field).to_be_focused()  # one types at once
    page.keyboard.type(text)
    page.wait_for_timeout(300)
    page.keyboard.press("Enter")
    expect(page.locator("[role=dialog]")).to_have_count(0)


def focused_option(page):
    return page.locator("[role=option][data-focused]")


def test_enter__takes_the_first_name_that_has_the_text(visitor, address, served):
    page = visitor().open(f"{address}/images?study=demo")
    named = [name for name in open_study(served / "demo").images["image_id"] if "00008" in name]
    assert len(named) > 1
    go(page, "00008")
    page.wait_for_url(f"**/image?*image={quote(named[0], safe='')}*")
    settle(page)
    go(page, "no such thing")
    page.wait_for_url("**/images?*search=no*")
    settle(page)
    go(page, "sparse auto")
    page.wait_for_url("**/features?*features_as=Bases*")


def test_names_numbers_and_words(visitor, address, served):
    study = open_study(served / "seen")
    image = str(study.images["image_id"].iat[int(study.is_val.nonzero()[0][0])])
    one = visitor()
    page = one.open(f"{address}/images?study=seen")
    for text, where in (
        ("Predicting errors", "**/predicting_errors?*"),
        ("#3", "**/feature?*feature=3*"),
        (image, f"**/image?*image={quote(image, safe='')}*"),
        ("a red ball", "**/images?*search=a+red*"),
        ("a blue ball", "**/images?*search=a+blue*"),  # from a page whose field shows the address
        ("feature 5", "**/feature?*feature=5*"),
        ("Class bee", "**/features?*where=label*bee*"),
    ):
        go(page, text)
        page.wait_for_url(where)
        settle(page)
        assert one.query()["study"] == ["seen"]
        assert page.locator("[data-testid=stException]").count() == 0


def test_an_image__from_the_page_of_an_image_that_an_arrow_key_led_to(visitor, address, served):
    names = open_study(served / "demo").images["image_id"].tolist()
    page = visitor().open(f"{address}/image?study=demo&image={quote(names[0], safe='')}")
    settle(page)
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: quote(names[0], safe="") not in url)
    settle(page)
    go(page, names[0])
    page.wait_for_url(f"**/image?*image={quote(names[0], safe='')}*")
    settle(page)
    assert parse_qs(urlsplit(page.url).query)["image"] == [names[0]]


def test_escape__closes_it_and_leaves_the_page(visitor, address):
    page = visitor().open(f"{address}/images?study=seen")
    before = page.url
    page.keyboard.press("Control+k")
    expect(page.locator("[role=dialog]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("[role=dialog]")).to_have_count(0)
    settle(page)
    assert page.url == before


def test_part_of_names__offers_these_images_and_the_search(visitor, address):
    one = visitor()
    page = one.open(f"{address}/images?study=demo")
    for leave, where in (
        (lambda dialog: dialog.locator("button.tile").first, "**/image?*image=train%2F000080*"),
        (
            lambda dialog: dialog.get_by_role("button", name="Search the images for"),
            "**/images?*search=00008*",
        ),
    ):
        page.keyboard.press("Control+k")
        dialog = page.locator("[role=dialog]")
        expect(dialog.locator("input").first).to_be_focused()
        page.keyboard.type("00008")
        expect(focused_option(page)).to_contain_text("000008")
        page.keyboard.press("ArrowUp")  # to "Find: …"
        expect(focused_option(page)).to_have_text("Find: 00008")
        page.keyboard.press("Enter")
        expect(dialog.locator("button.tile")).to_have_count(11)  # 000008, which only holds it, is last
        settle(page)
        leave(dialog).click()
        page.wait_for_url(where)
        expect(dialog).to_have_count(0)
        settle(page)


def test_keys__reach_the_pictures_and_turn_no_page_behind(visitor, address, served):
    study = open_study(served / "demo")
    image = str(study.images["image_id"].iat[100])
    page = visitor().open(f"{address}/image?study=demo&image={quote(image, safe='')}")
    expect(page.get_by_role("button", name="Next", exact=False).first).to_be_enabled()
    page.keyboard.press("Control+k")
    dialog = page.locator("[role=dialog]")
    expect(dialog.locator("input").first).to_be_focused()
    page.keyboard.type("00008")
    expect(focused_option(page)).to_contain_text("000008")
    page.keyboard.press("ArrowUp")  # to "Find: …"
    expect(focused_option(page)).to_have_text("Find: 00008")
    page.keyboard.press("Enter")
    expect(dialog.locator("button.tile")).to_have_count(11)
    settle(page)
    page.keyboard.press("Tab")
    expect(dialog.locator("button.tile").first).to_be_focused()
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Search the images for")).to_be_focused()
    before = page.url
    page.keyboard.press("ArrowRight")
    settle(page)
    assert page.url == before
    page.keyboard.press("Shift+Tab")
    expect(dialog.locator("button.tile").first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(dialog.locator("button.tile").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    settle(page)
    assert "image=train%2F00008" in page.url != before


def test_notes_of_the_open_image__by_keys_alone(visitor, address, served):
    study = open_study(served / "demo")
    image, other = (str(study.images["image_id"].iat[row]) for row in (5, 83))
    page = visitor().open(f"{address}/image?study=demo&image={quote(image, safe='')}")
    go(page, "note and tags")
    note = page.get_by_role("textbox", name="Note")
    expect(note).to_be_visible()
    settle(page)
    assert page.evaluate("() => document.activeElement.closest('[data-testid=stPopoverBody]') !== null")
    for _ in range(6):
        page.keyboard.press("Tab")
        if note.evaluate("(field) => field === document.activeElement"):
            break
    page.keyboard.type("by keys")
    page.keyboard.press("Control+Enter")
    expect(note).to_have_count(0)
    settle(page)
    expect(page.get_by_test_id("stMain").get_by_role("button", name="Notes").first).to_be_focused()
    go(page, other)
    page.wait_for_url(f"**/image?*image={quote(other, safe='')}*")
