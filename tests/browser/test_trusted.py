"""What a dashboard does with a study's encoder where its owner says that the studies are theirs."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from core.store import open_study
from core.study import uploads
from tests.browser.harness import dashboard
from tests.browser.test_dashboard import _in_gallery

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("jobs/test_trust.py refuses and starts the same")]


@pytest.fixture(scope="module")
def address(chrome, served) -> Iterator[str]:
    """The studies' encoder is a `python:` one."""
    with dashboard(served, PEREGRINE_TRUST_STUDIES="1") as url:
        yield url


@pytest.fixture
def seen(served):
    return open_study(served / "seen")


def test_map_that_is_not_stored__is_computed_on_request(visitor, address, seen):
    held = seen.heatmap_reader.features_of(0)
    feature = next(number for number in range(32) if number not in held)
    image = quote(seen.images["image_id"].iat[0], safe="")
    one = visitor()
    link = f"{address}/images?study=seen&image={image}&detail_part=Heatmap&detail_features={feature}"
    page = one.open(link)
    page.get_by_role("button", name="Compute it now").click()
    drawn = (
        f"[...tiles].some(t => t.querySelector('.zoomable') && t.innerHTML.includes('features={feature}'))"
    )
    page.wait_for_function(_in_gallery(drawn), timeout=180_000)
    assert feature in seen.heatmap_reader.features_of(0)


def test_upload__is_refused_or_looked_at_and_nothing_stays(watched, address, seen, tmp_path):
    drawing = tmp_path / "drawing.png"
    drawing.write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>window.stolen=1</script></svg>")
    picture = tmp_path / "picture.png"
    seen.image(3).resize((320, 240)).save(picture)
    before = set(uploads.uploads_folder().glob("*"))
    page = watched.open(f"{address}/try_picture?study=seen")
    page.locator("input[type=file]").set_input_files(drawing)
    page.wait_for_selector("text=SVG drawing", timeout=20_000)
    page.locator("input[type=file]").set_input_files(picture)
    page.locator(".class-bars .first").wait_for(timeout=120_000)
    assert page.evaluate("window.stolen") is None
    assert set(uploads.uploads_folder().glob("*")) <= before
