"""Groups and the page of an image in a real Chromium: clicks choose."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from core.store import open_study
from tests.browser.harness import settle

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("views/test_feature.py opens the same page")]
POINTS = """(key) => {
  const plot = document.querySelector(`.st-key-${key} .js-plotly-plot`);
  if (!plot || !plot._fullData) return null;
  plot.scrollIntoView({block: 'center'});
  const box = plot.querySelector('.nsewdrag').getBoundingClientRect();
  const {xaxis, yaxis} = plot._fullLayout;
  const traces = plot._fullData.filter((one) => one.customdata);
  const found = traces.flatMap((trace) => [...trace.x.keys()].map((at) => ({
    x: box.x + xaxis.d2p(trace.x[at]),
    y: box.y + yaxis.d2p(trace.y[at]),
    custom: [...trace.customdata[at]],
  })));
  return found.length ? found : null;
}"""


def points(page, key: str) -> list[dict]:
    """Where on the screen the clickable points of a chart are."""
    return page.wait_for_function(POINTS, arg=key).json_value()


def test_groups__a_click_on_a_point_opens_that_group(reader, address):
    one = reader()
    page = one.open(f"{address}/features?study=seen&features_as=Groups")
    place = next(point for point in points(page, "group_interpretability") if point["custom"] == ["7"])
    page.mouse.click(place["x"], place["y"])
    page.wait_for_selector("h2:has-text('One feature')")
    assert one.query()["group"] == ["7"]
    page.wait_for_selector(".stMarkdownBadge >> text=scattered")


def test_opened_image__leads_to_its_page_where_a_feature_shows_where_it_looks(reader, address, served):
    study = open_study(served / "seen")
    image = study.images["image_id"].iat[int(study.is_val.nonzero()[0][0])]
    one = reader()
    page = one.open(f"{address}/images?study=seen&image={quote(image, safe='')}")
    page.get_by_role("link", name="Open the page of this image").click()
    page.wait_for_selector("text=These features weigh most")
    settle(page)
    assert one.query()["image"] == [image]
    whole = page.locator(".view img").nth(1).get_attribute("src")
    seen = page.locator(".row").evaluate_all("rows => rows.map(row => row.dataset.id)")
    stored = {str(feature) for feature in study.heatmap_reader.features_of(study.row_of(image)).tolist()}
    known = next(feature for feature in seen if feature in stored)
    page.locator(f".row[data-id='{known}']").hover()
    expect(page.locator(".view figcaption").nth(1)).to_contain_text("looks")
    assert page.locator(".view img").nth(1).get_attribute("src") != whole
    page.locator(f".row[data-id='{known}']").click()
    page.wait_for_url(f"**/feature?*feature={known}*")
