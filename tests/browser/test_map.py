"""The map, the search and the galleries in a real Chromium."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect

from core.measures import saved_slices
from core.measures.slice import Slice
from core.store import open_study
from tests.browser.harness import settle
from tests.browser.test_dashboard import TILE
from tests.dashboard.conftest import write_progress
from tests.sampling import sample

pytestmark = pytest.mark.browser
STAGE = ".stage"
NO_WEBGL = """const plain = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind === "webgl" ? null : plain.call(this, kind, ...rest); };"""


def drawn(page):
    """The map, once its points are there."""
    page.wait_for_selector(f"{STAGE}[data-points='80']")
    page.wait_for_timeout(300)
    settle(page)
    return page.locator(STAGE)


def drag(page, start, end):
    box = page.locator(STAGE).bounding_box()
    points = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=4)
    page.mouse.up()


@pytest.mark.parametrize("webgl", sample([True, False], 1), ids=sample(["webgl", "canvas"], 1))
def test_map__draws_selects_and_the_link_keeps_it(visitor, address, served, webgl):
    one = visitor()
    if not webgl:
        one.run_first(NO_WEBGL)
    page = one.open(f"{address}/map?study=demo")
    stage = drawn(page)
    expect(stage).to_have_attribute("data-painter", ("webgl" if webgl else "canvas"))
    before = stage.bounding_box()["width"]
    page.get_by_role("button", name="Box").click()
    drag(page, (0.02, 0.1), (0.98, 0.98))  # below the tools
    page.wait_for_selector("h2:has-text('Selected images')")
    settle(page)
    expect(stage).to_have_attribute("data-selected", "80")
    assert "map_outline" in one.query()
    page.wait_for_selector("text=80 selected")
    assert stage.bounding_box()["width"] < before  # beside the selection, where all points are shown again
    expect(stage).to_have_attribute("data-whole", "true")
    if webgl:
        again = visitor()
        other = again.open(page.url)
        other.wait_for_selector("text=80 selected")
        other.get_by_role("button", name="Clear selection").last.click()
        other.wait_for_selector("h2:has-text('Selected images')", state="detached")
        assert "map_outline" not in again.query()


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_map__hover_names_a_point_and_a_click_opens_it(reader, address):
    one = reader()
    page = one.open(f"{address}/map?study=demo")
    stage, tip = drawn(page), page.locator(".tip")
    box = stage.bounding_box()
    for step in range(400):  # walk about the middle until a point is met
        x, y = 0.3 + 0.02 * (step % 20), 0.3 + 0.02 * (step // 20)
        page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        if "over" in (stage.get_attribute("class") or ""):
            break
    tip.wait_for(state="visible")
    assert "Class" in tip.inner_text() and "Q" in tip.inner_text()
    assert tip.locator("img").evaluate("image => image.src.includes('/thumb/demo/')")
    page.mouse.down()
    page.mouse.up()
    page.wait_for_selector("[role=dialog] >> text=True class")


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_pictures__lie_at_their_points_over_no_word_and_a_click_opens_them(visitor, address, served):
    one = visitor()
    page = one.open(f"{address}/map?study=demo")
    drawn(page)
    pictures = page.locator(".pictures img")
    pictures.first.wait_for()
    boxes = [picture.bounding_box() for picture in pictures.all()]
    boxes += [word.bounding_box() for word in page.locator(".words span").all() if word.is_visible()]
    for at, box in enumerate(boxes):
        for other in boxes[at + 1 :]:
            apart = abs(box["x"] + box["width"] / 2 - other["x"] - other["width"] / 2)
            below = abs(box["y"] + box["height"] / 2 - other["y"] - other["height"] / 2)
            wide, tall = (box[side] + other[side] for side in ("width", "height"))
            assert 2 * apart >= wide - 1 or 2 * below >= tall - 1
    row = int(pictures.first.get_attribute("data-row"))
    page.mouse.click(boxes[0]["x"] + 5, boxes[0]["y"] + 5)  # near its corner, away from its point
    page.wait_for_selector("[role=dialog] >> text=True class")
    assert one.query()["image"] == [open_study(served / "demo").images["image_id"].iat[row]]
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Pictures").click()
    expect(page.locator(".pictures")).to_be_hidden()


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_legend__lights_up_filters_and_dims(visitor, address, served):
    one = visitor()
    page = one.open(f"{address}/map?study=seen")
    stage = page.locator(f"{STAGE}[data-points]")
    stage.wait_for()
    settle(page)
    entry = page.locator(".legend").get_by_role("button", name="bee", exact=True)
    whole = stage.screenshot()
    entry.hover()
    page.wait_for_timeout(200)
    assert stage.screenshot() != whole  # only its points shine
    entry.click()
    expect(entry).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".st-key-filter_bar")).to_contain_text("of 40")
    assert one.query()["where"] == ["label=bee"]
    expect(stage).to_have_attribute("data-points", "40")  # the others are still drawn, dimmed
    entry.click()
    expect(entry).to_have_attribute("aria-pressed", "false")
    assert "where" not in one.query()


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_words__lie_over_no_other_and_say_how_they_were_found(reader, address):
    page = reader().open(f"{address}/map?study=demo")
    drawn(page)
    words = page.locator(".words span")
    shown = [word for word in words.all() if word.evaluate("w => w.style.visibility") == "visible"]
    assert shown
    boxes = [word.bounding_box() for word in shown]
    for at, one in enumerate(boxes):
        for other in boxes[:at]:
            beside = abs(one["x"] - other["x"]) * 2 >= one["width"] + other["width"]
            assert (
                beside
                or abs(one["y"] - other["y"]) * 2 >= one["height"] + other["height"]
                or (one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"])
            )
    assert "images here" in shown[0].get_attribute("title")
    page.get_by_role("button", name="Words").click()
    expect(words.first).to_be_hidden()
    page.get_by_role("button", name="Words").click()
    expect(page.get_by_text(shown[0].inner_text(), exact=True).first).to_be_visible()


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
@pytest.mark.parametrize(("width", "beside"), sample([(1280, True), (900, False)], 1))
def test_selection__is_beside_the_map_where_there_is_room(reader, address, width, beside):
    one = reader()
    one.page.set_viewport_size({"width": width, "height": 800})
    page = one.open(f"{address}/map?study=demo&map_outline=-9,-9;9,-9;9,9;-9,9")
    stage = drawn(page).bounding_box()
    panel = page.get_by_role("heading", name="Selected images").bounding_box()
    assert (panel["x"] >= stage["x"] + stage["width"]) == beside
    assert (panel["y"] < stage["y"] + stage["height"]) == beside


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_map__keys_move_and_zoom(reader, address):
    page = reader().open(f"{address}/map?study=demo")
    stage = drawn(page)
    page.get_by_role("button", name="Pictures").click()  # they follow when the map has stood still
    stage.focus()
    page.keyboard.press("0")
    page.wait_for_timeout(200)
    before = stage.screenshot()
    page.keyboard.press("+")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(200)
    assert stage.screenshot() != before
    page.keyboard.press("0")
    page.wait_for_timeout(200)
    assert stage.screenshot() == before  # all points again, where they were


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_map__a_selection_becomes_a_slice(reader, address, served):
    page = reader().open(f"{address}/map?study=demo&map_outline=-9,-9;9,-9;9,9;-9,9&where=split=val")
    page.get_by_role("button", name="Save as slice").click()
    page.get_by_label("Name of the slice").fill("corner <b>")
    page.get_by_role("button", name="Save 80 images").click()
    page.wait_for_selector("text=Saved the slice")
    study = open_study(served / "demo")
    try:
        saved = Slice.parse(saved_slices.texts(study.path)["corner <b>"])
        assert (saved.mask(study) == study.is_val).all()
    finally:
        saved_slices.delete(study.path, "corner <b>")


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_gallery__a_rerun_asks_for_no_picture_again(visitor, address):
    one = visitor()
    page = one.open(f"{address}/images?study=demo")
    page.locator(TILE).nth(1).wait_for()
    page.wait_for_timeout(1000)
    settle(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/thumb/" in request.url else None)
    page.locator(TILE).nth(1).click(modifiers=["Control"])
    page.wait_for_selector("text=1 marked")
    page.get_by_role("button", name="Clear marks").click()
    page.wait_for_selector("text=1 marked", state="detached")
    settle(page)
    assert asked == []
    page.reload()  # even a new page takes them from the browser's own store
    page.locator(TILE).nth(1).wait_for()
    settle(page)
    sizes = page.evaluate(
        "() => performance.getEntriesByType('resource').filter(e => e.name.includes('/thumb/'))"
        ".map(e => e.transferSize)"
    )
    assert sizes and max(sizes) == 0


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_gallery__marked_images_side_by_side(reader, address):
    page = reader().open(f"{address}/images?study=seen")
    page.locator(TILE).nth(0).click(modifiers=["Control"])
    page.wait_for_selector("text=1 marked")
    settle(page)
    page.locator(TILE).nth(1).click(modifiers=["Control"])
    page.wait_for_selector("text=2 marked")
    page.get_by_text("Side by side", exact=True).click()
    page.wait_for_selector(".st-key-beside_gallery")
    settle(page)
    expect(page.locator(f".st-key-beside_gallery {TILE}")).to_have_count(2)


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_detail__picture_zooms_by_wheel_keys_and_buttons(reader, address, served):
    image = open_study(served / "seen").images["image_id"].iat[70]
    page = reader().open(f"{address}/images?study=seen&image={image}&detail_part=Heatmap")
    frames = page.locator("[role=dialog] .zoomable").first
    frames.wait_for()
    settle(page)
    frames.click()
    page.mouse.wheel(0, -200)
    page.wait_for_timeout(150)
    first = float(frames.get_attribute("data-zoom"))
    assert first > 1
    moves = frames.evaluate("frames => [...frames.querySelectorAll('img')].map(i => i.style.transform)")
    assert len(moves) == 2 and moves[0] == moves[1] != ""  # the overlay stays on its original
    page.keyboard.press("+")
    assert float(frames.get_attribute("data-zoom")) > first
    page.locator("[role=dialog] .zooms button[title='Show all of it']").first.click()
    assert float(frames.get_attribute("data-zoom")) == 1
    assert json.loads(frames.evaluate("f => JSON.stringify(f.zoom.x)")) == 0


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_more_like_this__opens_the_next_one(reader, address, served):
    study = open_study(served / "demo")
    one = reader()
    page = one.open(f"{address}/images?study=demo&image={study.images['image_id'].iat[0]}")
    page.get_by_role("heading", name="More like this").wait_for()
    settle(page)
    page.get_by_role("group", name="images most like this one").locator(TILE).first.click()
    page.wait_for_timeout(500)
    settle(page)
    assert one.query()["image"] != [study.images["image_id"].iat[0]]


@pytest.mark.exhaustive("test_map__draws_selects… draws the same points")
def test_progress_of_a_command__moves_nothing_on_the_page(visitor, address, served):
    page = visitor().open(f"{address}/map?study=demo")
    drawn(page)
    before = page.locator(STAGE).bounding_box()
    write_progress(served / "demo", stage="map")
    try:
        page.reload()
        drawn(page)
        expect(page.locator(".st-key-job_strip_row")).to_be_visible()
        assert page.locator(STAGE).bounding_box() == before
    finally:
        (served / "demo" / "progress.json").unlink()
