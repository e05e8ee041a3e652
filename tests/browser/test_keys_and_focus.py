"""Keys, focus and places: what a reader presses goes where it should, and nobody loses a place."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from core.common.captions import headline
from core.store import open_study
from core.study.traces import read_traces
from tests.browser.harness import settle, visit
from tests.sampling import sample

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("test_every_page.py has each page, without keys")]
TILE = "button.tile"
FOCUSED = """() => { let one = document.activeElement;
while (one?.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
return one?.dataset?.id ?? one?.tagName; }"""


RING = """() => {
  const style = getComputedStyle(document.activeElement);
  return [document.activeElement.textContent, style.outlineStyle, parseFloat(style.outlineWidth)];
}"""


def opened(one, address, served, *, query=""):
    study = open_study(served / "seen")
    rows = np.flatnonzero(study.is_val)
    image = study.images["image_id"].iat[int(rows[1])]
    page = one.open(f"{address}/images?study=seen&image={image}{query}")
    page.wait_for_selector("[role=dialog]")
    settle(page)
    return page, study, rows


@pytest.mark.parametrize("clicked", sample(["Heatmap", "Facts"], 1))
def test_arrows__go_to_the_next_image_after_a_choice_was_clicked(visitor, address, served, clicked):
    one = visitor()
    page, study, rows = opened(one, address, served)
    dialog = page.locator("[role=dialog]")
    dialog.get_by_role("radio", name=clicked).or_(dialog.get_by_role("button", name=clicked)).first.click()
    settle(page)
    for row in rows[1:3]:  # the title follows
        if row == rows[2]:
            page.keyboard.press("ArrowRight")
        title = headline(study.images.iloc[row].to_dict() | study.table("probe").iloc[row].to_dict())
        expect(dialog.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(dialog.get_by_role("heading", name="Image", exact=True)).to_have_css("clip-path", "inset(50%)")
    expect(dialog.get_by_text("3 of 40")).to_be_visible()
    assert one.query()["image"] == [study.images["image_id"].iat[int(rows[2])]]
    page.keyboard.press("ArrowLeft")
    expect(dialog.get_by_text("2 of 40")).to_be_visible()


def test_link_of_an_open_image__keeps_its_place_in_the_filter(visitor, address, served):
    study = open_study(served / "seen")
    rows = np.flatnonzero(study.is_val & (study.images["label"] == "bee").to_numpy(bool))
    image = study.images["image_id"].iat[int(rows[2])]
    one = visitor()
    page = one.open(f"{address}/images?study=seen&where=label%3Dbee&image={image}")
    expect(page.locator("[role=dialog]").get_by_text(f"3 of {len(rows)}")).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect(page.locator("[role=dialog]").get_by_text(f"4 of {len(rows)}")).to_be_visible()
    assert one.query()["image"] == [study.images["image_id"].iat[int(rows[3])]]


@pytest.mark.parametrize("walked", sample([2, 0], 1))
def test_escape__puts_the_focus_on_the_tile_of_the_image_seen_last(visitor, address, walked):
    page = visitor().open(f"{address}/images?study=seen")
    page.locator(TILE).first.wait_for()
    settle(page)
    page.locator(".st-key-link_images a").click()
    settle(page)
    page.keyboard.press("ArrowRight")  # a link has the focus: the first picture gets it
    first = page.evaluate(FOCUSED)
    page.keyboard.press("ArrowRight")
    tile = page.evaluate(FOCUSED)
    assert first.isdecimal() and int(tile) == int(first) + 1
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=dialog]")
    settle(page)
    for at in range(walked):
        page.keyboard.press("ArrowRight")
        page.locator("[role=dialog]").get_by_text(f"{at + 3} of ").wait_for()
        settle(page)
    page.keyboard.press("Escape")
    page.wait_for_selector("[role=dialog]", state="detached")
    page.wait_for_timeout(600)
    settle(page)
    assert int(page.evaluate(FOCUSED)) == int(tile) + walked
    page.keyboard.press("ArrowRight")
    assert int(page.evaluate(FOCUSED)) == int(tile) + walked + 1


def test_tour__does_not_lengthen_the_address(visitor, address):
    one = visitor()
    page = one.open(f"{address}/?study=demo")
    page.get_by_role("button", name="Take the tour").click()
    for number in range(2, 7):
        page.get_by_role("link", name="Next:").click()
        page.wait_for_selector(f"text={number} of 6")
        settle(page)
        found = one.query()
        assert found["tour"] == [str(number)] and found.get("study", ["demo"]) == ["demo"]


def test_one_feature__is_that_of_the_filter(visitor, address, served):
    study = open_study(served / "seen")
    means = study.vector("class_means")
    for label in ("bee", "cat"):
        page = visitor().open(f"{address}/heatmaps?study=seen&where=label%3D{label}&heat_of=One+feature")
        page.locator(TILE).first.wait_for()
        shown = page.get_by_role("combobox", name="Feature").input_value()
        number = int("".join(part for part in shown.split("(")[0] if part.isdecimal()))
        column = means[:, study.class_names.index(label)]
        assert column[number] >= np.sort(column)[-5]


def test_sidebar_links__show_the_focus(reader, address):
    """Also that of the open page."""
    page = reader().open(f"{address}/images?study=seen")
    page.get_by_test_id("stSidebar").get_by_role("link", name="Overview", exact=True).focus()
    for title in ("Images", "Map"):
        page.keyboard.press("Tab")
        text, style, width = page.evaluate(RING)
        assert text.endswith(title) and style == "solid" and width >= 2


def test_class_list__closes_after_a_choice_and_opens_again_by_keys(reader, address):
    page = reader().open(f"{address}/images?study=demo")
    field = page.locator(".st-key-filter_labels input")
    field.click()
    page.get_by_role("option", name="bee", exact=True).click()
    page.wait_for_url(re.compile("where=label%3Dbee$"))
    expect(page.get_by_role("listbox")).to_have_count(0)
    settle(page)
    expect(field).to_be_focused()
    page.keyboard.type("an")
    expect(page.get_by_role("listbox")).to_be_visible()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("where=label%3Dant%2Cbee$"))
    expect(page.get_by_role("listbox")).to_have_count(0)
    settle(page)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("listbox")).to_be_visible()


def test_sidebar__its_links_keep_their_places_on_every_page(reader, address):
    page = reader().open(f"{address}/images?study=demo")
    link = page.get_by_test_id("stSidebar").get_by_role("link", name="Errors", exact=True)
    before = link.bounding_box()
    links = page.get_by_test_id("stSidebar").get_by_test_id("stPageLink-NavLink").all()
    boxes = [one.bounding_box() for one in links]
    assert all(one["y"] + one["height"] <= below["y"] + 1 for one, below in itertools.pairwise(boxes))
    visit(page, "New study")
    page.wait_for_selector("h1:has-text('New study')")
    settle(page)
    assert link.bounding_box() == before
    page.keyboard.press("Control+k")
    page.wait_for_selector("[role=dialog]")


def test_palette__opens_by_a_key_that_came_before_its_button(visitor, address):
    one = visitor()
    one.page.goto(f"{address}/images?study=seen", wait_until="domcontentloaded")
    assert not one.page.query_selector(".st-key-palette_open button")
    one.page.keyboard.press("Control+k")
    expect(one.page.locator("[role=dialog] input").first).to_be_focused(timeout=60_000)
    assert one.errors == []


def test_note__is_saved_by_keys_and_its_toast_stays_on_its_page(visitor, address, served):
    study = open_study(served / "seen")
    image = study.images["image_id"].iat[0]
    page = visitor().open(f"{address}/image?study=seen&image={image}")
    page.get_by_test_id("stMain").get_by_role("button", name="Notes").first.click()
    field = page.get_by_role("textbox", name="Note")
    field.fill("written by keys")
    field.press("Control+Enter")
    toast = page.locator(".peregrine-said")
    expect(toast).to_be_visible()
    assert read_traces(study.path).images[image].note == "written by keys"
    page.evaluate("window.peregrineSeen = []")
    page.evaluate(
        """() => new MutationObserver(() => {
          const toast = document.querySelector(".peregrine-said");
          if (toast?.checkVisibility()) window.peregrineSeen.push(location.pathname);
        }).observe(document.body, { subtree: true, childList: true, attributes: true })"""
    )
    visit(page, "Heatmaps")
    page.wait_for_url("**/heatmaps*")
    settle(page)
    assert "/heatmaps" not in page.evaluate("window.peregrineSeen")
