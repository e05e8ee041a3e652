"""Heatmaps in a real Chromium: pictures load and stay, clicks choose, what is not stored is computed."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pytest
from playwright.sync_api import expect

from core.measures.slice import Slice
from core.store import open_study
from tests.browser.harness import settle
from tests.browser.test_dashboard import TILE, _in_gallery
from tests.sampling import sample

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("views/test_heatmaps.py opens the same page")]
MEANS = "heat_part=Mean+representations"
VIEWS = ("heatmaps?", f"heatmaps?{MEANS}&", "masks?")
LOADED = "[...tiles].slice(0, 4).every(t => [...t.querySelectorAll('img')].every(i => i.naturalWidth > 0))"
POINT = """([key, number]) => {
  const plot = document.querySelector(`.st-key-${key} .js-plotly-plot`);
  const trace = plot._fullData.filter((one) => one.customdata && one.mode === 'markers')[0];
  plot.scrollIntoView({block: 'center'});
  const box = plot.querySelector('.nsewdrag').getBoundingClientRect();
  const {xaxis, yaxis} = plot._fullLayout;
  const at = [...trace.x.keys()].filter((i) => trace.y[i] > 0)[number] ?? number;
  return [box.x + xaxis.d2p(trace.x[at]), box.y + yaxis.d2p(trace.y[at]), [...trace.customdata[at]]];
}"""

ALONE = """(key) => {
  const plot = document.querySelector(`.st-key-${key} .js-plotly-plot`);
  plot.scrollIntoView({block: 'center'});
  const box = plot.querySelector('.nsewdrag').getBoundingClientRect();
  const points = plot._fullData.filter((one) => one.customdata && one.mode === 'markers').flatMap((trace) =>
    [...trace.x.keys()].map((i) => [trace._fullInput?.xaxis ?? trace.xaxis, trace.x[i], trace.y[i],
      [...trace.customdata[i]]])).filter(([axis]) => axis === 'x').map(([, x, y, of]) =>
    [plot._fullLayout.xaxis.d2p(x), plot._fullLayout.yaxis.d2p(y), of]);
  const near = ([x, y]) => Math.min(...points.filter(([a, b]) => a !== x || b !== y).map(
    ([a, b]) => Math.hypot(a - x, b - y)));
  const [x, y, of] = points.sort((one, other) => near(other) - near(one))[0];
  return [box.x + x, box.y + y, of];
}"""  # of the points of the first panel the one that lies farthest from all others


@pytest.fixture
def seen(served):
    return open_study(served / "seen")


def choose(page, words: str, *, within: str = "") -> None:
    """Press a segment or pill with these words."""
    page.locator(f"{within} button", has_text=words).first.click()
    page.wait_for_timeout(300)
    settle(page)


def test_pictures__original_overlay_and_masks_load(reader, address):
    shown = "&".join(f"heat_shown={name}" for name in ("Original", "Overlay", "Masks"))
    page = reader().open(f"{address}/heatmaps?study=seen&{shown}")
    page.wait_for_function(_in_gallery(LOADED))
    assert page.evaluate(_in_gallery("tiles[0].querySelectorAll('img').length")) == 3


def test_look__changes_the_pictures_and_not_the_tiles(reader, address):
    one = reader()
    page = one.open(f"{address}/heatmaps?study=seen")
    menu = page.locator(".st-key-heat_framed .peregrine-menu .more").first.bounding_box()
    for part in page.locator(".st-key-heat_beside_menu > *").all():  # the menu covers nothing of the legend
        assert (box := part.bounding_box())["x"] + box["width"] <= menu["x"]
    page.wait_for_function(_in_gallery(LOADED))
    source = "tiles[0].querySelectorAll('img')[1].src"
    before = page.evaluate(_in_gallery(f"(tiles[0].querySelectorAll('img')[1].kept = true, {source})"))
    page.get_by_role("button", name="Display").click()
    choose(page, "Largest")
    assert page.evaluate(_in_gallery("tiles[0].querySelectorAll('img')[1].kept")) is True
    assert page.evaluate(_in_gallery(source)) != before
    assert one.query()["heat_combine"] == ["Largest"]
    page.wait_for_function(_in_gallery(LOADED))


@pytest.mark.parametrize("width", sample([1280, 1440, 1920], 1))
def test_cards__several_a_row_and_one_row_of_controls_above(reader, address, width):
    one = reader()
    one.page.set_viewport_size({"width": width, "height": 900})
    page = one.open(f"{address}/heatmaps?study=seen&heat_of=One+feature")
    page.wait_for_function(_in_gallery(LOADED))
    tops = page.evaluate(_in_gallery("[...tiles].slice(0, 3).map(t => t.getBoundingClientRect().top)"))
    assert tops[0] == tops[1]
    controls = page.locator(".st-key-heat_controls").bounding_box()
    assert controls["height"] < 60
    assert tops[0] < 340


def test_one_feature__follows_the_class_that_is_chosen(reader, address, seen):
    """B11: the feature that the page opens with has pictures of the filter's class."""
    one = reader()
    page = one.open(f"{address}/heatmaps?study=seen&heat_of=One+feature")
    shown = "tiles[0].querySelectorAll('img')[1].src"
    for label in ("cat", "bee"):
        page.locator(".st-key-filter_labels input").first.click()
        page.get_by_role("option", name=label, exact=True).click()
        page.keyboard.press("Escape")
        page.wait_for_function(_in_gallery(LOADED))
        assert one.query()["where"] == [f"label={label}"] and "feature" not in one.query()
        means = seen.vector("class_means")[:, seen.class_names.index(label)]
        rows = np.flatnonzero(seen.is_val & (seen.images["label"] == label).to_numpy())
        drawn = {int(feature) for row in rows for feature in seen.heatmap_reader.features_of(row)}
        inside = seen.table("features").query("discriminative")["feature"]
        best = max(drawn & set(inside), key=lambda feature: means[feature])
        assert parse_qs(urlsplit(page.evaluate(_in_gallery(shown))).query)["features"] == [str(best)]
        page.get_by_role("button", name="Clear", exact=True).click()
        page.wait_for_timeout(300)
        settle(page)


@pytest.mark.parametrize("pages", sample([3, 2, 5], 1))
def test_page_switch__names_every_page(reader, address, seen, pages):
    """B6: with its own width, Streamlit's switch hides page 2 of 2, and the middle one of 3."""
    right = seen.table("probe").query("split == 'train' and correct")["image_id"].head(12 * pages - 1)
    where = quote(str(Slice(split="train", image_ids=tuple(right))), safe="")
    page = reader().open(f"{address}/heatmaps?study=seen&where={where}")
    shown = page.get_by_test_id("stPagination").first
    shown.get_by_role("button", name=f"Page {pages}").wait_for()
    names = [button.get_attribute("aria-label") for button in shown.get_by_role("button").all()]
    assert names == ["Previous page", *(f"Page {number + 1}" for number in range(pages)), "Next page"]


def test_click__opens_the_image_and_its_heatmap(reader, address):
    one = reader()
    page = one.open(f"{address}/heatmaps?study=seen")
    page.locator(TILE).nth(1).click()
    page.wait_for_selector("[role=dialog] >> text=True class")
    choose(page, "Heatmap", within="[role=dialog]")
    page.wait_for_function(
        _in_gallery(
            "[...tiles].filter(t => t.querySelector('.zoomable'))"
            ".flatMap(t => [...t.querySelectorAll('img')])"
            ".filter(i => i.naturalWidth > 600).length === 2"
        )
    )
    assert one.query()["detail_part"] == ["Heatmap"]
    image = one.query()["image"]
    page.locator("[role=dialog]").get_by_text("True class").click()  # on a segment the arrows choose segments
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(300)
    settle(page)
    assert one.query()["image"] != image
    expect(page.locator("[role=dialog]").get_by_text("eatmap of").first).to_be_visible()


def test_cell__a_click_chooses_class_and_feature(reader, address, seen):
    one = reader()
    page = one.open(f"{address}/heatmaps?{MEANS}&study=seen")
    page.wait_for_selector(".st-key-groups_chart .nsewdrag")
    x, y, (label, feature) = page.evaluate(POINT, ["groups_chart", 3])
    page.mouse.click(x, y)
    page.wait_for_timeout(300)
    settle(page)
    expect(page.get_by_test_id("stNumberInputField")).to_have_value(str(int(feature)))
    assert one.query().get("groups_class", [seen.class_names[int(label)]]) == [seen.class_names[int(label)]]


def test_point__a_click_opens_the_image(reader, address, seen):
    one = reader()
    page = one.open(f"{address}/masks?study=seen&masks_part=Method")
    page.wait_for_selector(".st-key-overlap_scatter .nsewdrag")
    x, y, (row, *_) = page.evaluate(ALONE, "overlap_scatter")
    page.mouse.move(x, y)
    page.wait_for_selector(".hoverlayer .hovertext")
    page.mouse.click(x, y)
    page.wait_for_selector("[role=dialog]")
    assert one.query()["image"] == [seen.images["image_id"].iat[int(row)]]


def test_tooltip_of_miou__is_in_sight_and_its_formula_is_a_block(reader, address):
    """B13: it was cut off at the top, with the sums of its formula in the size of the line."""
    one = reader()
    one.page.set_viewport_size({"width": 1280, "height": 800})
    page = one.open(f"{address}/masks?study=seen")
    page.locator("[data-testid=stHeading] [data-testid=stTooltipIcon]").first.hover()
    tip = page.get_by_test_id("stTooltipContent").first
    tip.get_by_text("How far heatmap and mask cover each other").wait_for()
    page.wait_for_timeout(300)
    box = tip.bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= 800 and box["x"] + box["width"] <= 1280
    last = tip.get_by_text("Source:").bounding_box()
    assert last["y"] + last["height"] <= box["y"] + box["height"]
    assert tip.locator(".katex-display").count() == 1
    sums = tip.locator(".katex-html .op-symbol.large-op").all()
    assert len(sums) == 2 and all(one.bounding_box()["height"] > 12 for one in sums)
