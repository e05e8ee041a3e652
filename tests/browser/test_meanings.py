"""Groups, failures and decomposed images in a real Chromium: clicks choose, and uploads leave no trace."""

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


def test_failures__a_click_on_a_cell_shows_its_images_and_features(reader, worded):
    one = reader()
    page = one.open(f"{worded}/failures?study=seen")
    assert len(points(page, "failure_matrix")) >= 2
    for number in (-1, 0):  # the second click is on a chart that was drawn anew
        cell = points(page, "failure_matrix")[number]
        true, predicted = cell["custom"]
        page.mouse.move(cell["x"], cell["y"])
        assert predicted in page.wait_for_selector(".hoverlayer .hovertext").text_content()
        page.mouse.click(cell["x"], cell["y"])
        page.wait_for_selector(f"text=Behind the answer, {predicted}")
        page.wait_for_selector(f"text=Behind the truth, {true}")
        query = one.query()  # the most common pair is what a link without a choice shows
        chosen = [query.get(name) for name in ("failure_true", "failure_predicted")]
        assert chosen == [[true], [predicted]] or (number == 0 and chosen == [None, None])
        tile = page.locator(".st-key-failure_images .tile").first
        tile.wait_for()
        expect(tile).to_contain_text(predicted)
        assert true in (tile.get_attribute("aria-label") or "")
        expect(page.locator(".st-key-failure_behind_true .js-plotly-plot")).to_have_count(1)


def test_groups__a_click_on_a_point_opens_that_group(reader, worded):
    one = reader()
    page = one.open(f"{worded}/groups?study=seen")
    place = next(point for point in points(page, "group_interpretability") if point["custom"] == ["7"])
    page.mouse.click(place["x"], place["y"])
    page.wait_for_selector("h3:has-text('One feature')")
    assert one.query()["group"] == ["7"]
    page.wait_for_selector(".stMarkdownBadge >> text=scattered")


def test_opened_image__leads_to_its_decomposition(reader, worded, served):
    study = open_study(served / "seen")
    image = study.images["image_id"].iat[int(study.is_val.nonzero()[0][0])]
    one = reader()
    page = one.open(f"{worded}/images?study=seen&image={quote(image, safe='')}")
    page.get_by_role("link", name="Decompose into features").click()
    page.wait_for_selector("h1:has-text('Decompose an image')")
    settle(page)
    assert one.query()["decompose_image"] == [image]
    page.wait_for_selector("text=The probe says")


def test_upload__is_refused_or_decomposed_and_nothing_stays(visitor, worded, served, tmp_path):
    drawing = tmp_path / "drawing.png"
    drawing.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>window.stolen=1</script></svg>")
    picture = tmp_path / "picture.png"
    open_study(served / "seen").image(3).resize((320, 240)).save(picture)
    before = set(uploads.uploads_folder().glob("*"))
    page = visitor().open(f"{worded}/decompose?study=seen&decompose_of=A+picture+of+yours")
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
