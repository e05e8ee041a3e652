"""Work on many images at once, in a real Chromium: marks, and the bar of actions above them."""

from __future__ import annotations

import zipfile

import pandas as pd
import pytest
from playwright.sync_api import expect

from core.measures.slice import Slice
from core.store import open_study
from core.study import trace_changes
from core.study.traces import UNSURE, read_traces
from tests.browser.harness import settle

pytestmark = [
    pytest.mark.browser,
    pytest.mark.exhaustive("tests/study and panels/test_traces.py save such marks"),
]
TILE = ".st-key-images_gallery .tile"
MARKED = f"{TILE}[aria-pressed=true]"


def below_title(page) -> float:
    """How far below the title the pictures begin, however far the page is scrolled."""
    return page.locator(TILE).first.bounding_box()["y"] - page.locator("h1").bounding_box()["y"]


def test_ten_wrong_labels__take_at_most_13_actions_and_one_to_undo(reader, address, served):
    page = reader().open(f"{address}/images?study=demo")
    tiles = page.locator(TILE)
    before, actions = below_title(page), 0

    def act(locator, **how):
        nonlocal actions
        actions += 1
        locator.click(**how)

    for at in range(10):
        act(tiles.nth(at), modifiers=["Control"], no_wait_after=True)
    page.wait_for_selector("text=10 marked")  # none of the quick ones was lost
    settle(page)  # a bar that is drawn again closes its menu
    act(page.get_by_role("button", name="Label is wrong"))
    act(page.get_by_role("button", name="Mark 10 labels as wrong"))
    page.locator("[role=status]", has_text="Marked 10 labels as wrong").wait_for()
    assert actions <= 13
    settle(page)
    expect(page.locator(f"{MARKED} .trace")).to_have_count(10)
    assert below_title(page) == before
    study = open_study(served / "demo")
    ids = study.images["image_id"][study.is_val][:10].tolist()
    assert {one: UNSURE for one in ids} == {
        name: trace.wrong_label for name, trace in read_traces(study.path).images.items()
    }
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(f"{TILE} .trace")).to_have_count(0)
    assert read_traces(study.path).images == {}


def test_everything_that_the_filter_leaves__is_tagged_found_and_exported(reader, address, served):
    study = open_study(served / "demo")
    n = int(Slice.parse("split=val correct=false").mask(study).sum())
    one = reader()
    page = one.open(f"{address}/images?study=demo&where=correct%3Dfalse")
    page.get_by_role("button", name="Tag", exact=False).first.click()
    field = page.get_by_role("combobox", name="Tag", exact=True)
    field.fill("look again")
    field.press("Enter")
    page.get_by_role("button", name=f"Tag {n} images").click()
    page.locator("[role=status]", has_text=f"Tagged {n} images").wait_for()
    page = one.open(f"{address}/images?study=demo&where=tag%3D%22look%20again%22")
    page.get_by_role("button", name="Export").click()
    files = []
    for label in ("List as CSV", f"{n} pictures as zip"):
        with page.expect_download() as begun:
            page.get_by_role("button", name=label).click()
        files.append(begun.value.path())
    table = pd.read_csv(files[0])
    assert len(table) == n and set(table["tags"]) == {"look again"} and not table["correct"].any()
    with zipfile.ZipFile(files[1]) as packed:
        listed = pd.read_csv(packed.open("images.csv"))
        assert listed["image_id"].tolist() == table["image_id"].tolist()
        assert set(packed.namelist()) == {"images.csv", *listed["file"].dropna()}
    trace_changes.change_images(study, table["image_id"], remove=["look again"])


def test_marks__by_corner_range_and_box(reader, address):
    page = reader().open(f"{address}/images?study=demo")
    tiles = page.locator(TILE)
    tiles.nth(1).hover()
    tiles.nth(1).locator(".corner").click()
    tiles.nth(3).click(modifiers=["Shift"])
    page.wait_for_selector("text=3 marked")
    start, end = tiles.nth(4).bounding_box(), tiles.nth(5).bounding_box()
    page.mouse.move(start["x"] + 30, start["y"] + 30)
    page.mouse.down()
    page.mouse.move(end["x"] + 30, end["y"] + 60, steps=5)
    page.mouse.up()
    page.wait_for_selector("text=5 marked")
    expect(page.locator(MARKED)).to_have_count(5)
    assert not page.locator("[role=dialog]").count()  # neither opened an image
    settle(page)  # the gallery says how many before the server knows them
    page.get_by_role("button", name="Clear marks").click()
    expect(page.locator(MARKED)).to_have_count(0)
