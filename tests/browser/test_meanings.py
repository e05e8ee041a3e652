"""Groups and decomposed images in a real Chromium: clicks choose, and uploads leave no trace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from core.jobs import uploads
from core.store import open_study
from tests.browser.harness import dashboard, settle
from tests.concepts.worded import make_worded

pytestmark = pytest.mark.browser
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


@pytest.fixture(scope="module")
def worded(chrome, served, tmp_path_factory) -> Iterator[str]:
    """A dashboard that serves the study with heatmaps, concepts and failures; gives its address."""
    studies = tmp_path_factory.mktemp("worded")
    make_worded(shutil.copytree(served / "seen", studies / "seen"))
    with dashboard(studies, PEREGRINE_TRUST_STUDIES="1") as url:
        yield url


def points(page, key: str) -> list[dict]:
    """Where on the screen the clickable points of a chart are."""
    return page.wait_for_function(POINTS, arg=key).json_value()


def test_groups__a_click_on_a_point_opens_that_group(reader, worded):
    one = reader()
    page = one.open(f"{worded}/features?study=seen&features_as=Groups")
    place = next(point for point in points(page, "group_interpretability") if point["custom"] == ["7"])
    page.mouse.click(place["x"], place["y"])
    page.wait_for_selector("h3:has-text('One feature')")
    assert one.query()["group"] == ["7"]
    page.wait_for_selector(".stMarkdownBadge >> text=scattered")


def test_opened_image__leads_to_its_page_where_a_feature_shows_where_it_looks(reader, worded, served):
    study = open_study(served / "seen")
    image = study.images["image_id"].iat[int(study.is_val.nonzero()[0][0])]
    one = reader()
    page = one.open(f"{worded}/images?study=seen&image={quote(image, safe='')}")
    page.get_by_role("link", name="Open the page of this image").click()
    page.wait_for_selector("text=These features decide it")
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


def test_upload__is_refused_or_decomposed_and_nothing_stays(visitor, worded, served, tmp_path):
    drawing = tmp_path / "drawing.png"
    drawing.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>window.stolen=1</script></svg>")
    picture = tmp_path / "picture.png"
    open_study(served / "seen").image(3).resize((320, 240)).save(picture)
    before = set(uploads.uploads_folder().glob("*"))
    page = visitor().open(f"{worded}/image?study=seen&image_of=A+picture+of+yours")
    for path in (drawing, picture):
        page.locator("input[type=file]").set_input_files(path)
        page.locator(f"text={path.name}").wait_for()
        settle(page)
        page.get_by_role("button", name="Decompose this picture").click()
        if path == drawing:
            page.wait_for_selector("[data-testid=stAlert] >> text=SVG drawing", timeout=20_000)
    page.wait_for_selector("text=The probe says", timeout=120_000)
    assert page.locator("img[alt='The image that is decomposed']").evaluate("one => one.naturalWidth") == 320
    assert page.evaluate("window.stolen") is None
    assert set(uploads.uploads_folder().glob("*")) <= before
