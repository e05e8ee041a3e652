"""Compare in a real Chromium: the link holds the choice, a click opens the image, names stay text."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from core.compare.compare import compare
from core.compare.images import LOST
from core.store import open_study
from dashboard.components.tooltips import TEXTS
from tests.browser.harness import dashboard, settle
from tests.browser.test_dashboard import TILE
from tests.compare.comparable import add_concepts, second_study
from tests.synthetic import make_study

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("views/test_compare.py opens the same page")]
HOSTILE = "<img src=x onerror=window.stolen=1>"


@pytest.fixture(scope="module")
def pair(chrome, tmp_path_factory):
    """The address of a dashboard with two studies over the same images, one with markup in a word."""
    studies = tmp_path_factory.mktemp("compared")
    first = make_study(studies / "demo")
    add_concepts(first, {"3": ["dog", "red"]})
    add_concepts(second_study(first, studies / "second"), {"3": ["dog", HOSTILE]})
    with dashboard(studies) as url:
        yield url, studies


def test_choices__live_in_the_link_and_a_click_opens_the_image(visitor, pair):
    address, studies = pair
    found = compare([open_study(studies / name) for name in ("demo", "second")])
    lost = found.changed("second", LOST)
    one = visitor()
    page = one.open(f"{address}/compare?study=demo")
    page.locator("button", has_text="Only demo right").click()
    page.wait_for_timeout(300)
    settle(page)
    assert one.query()["compare_side"] == ["Only demo right"]
    again = visitor().open(page.url)
    again.locator(TILE).first.click()
    again.wait_for_selector("[role=dialog] >> text=True class")
    assert str(lost["image_id"].iat[0]) in again.locator("[role=dialog]").inner_text()


def test_words__are_text(reader, pair):
    page = reader().open(f"{pair[0]}/compare?study=demo&compare_words_open=true")
    page.get_by_text("Only in second (1)").wait_for()
    expect(page.get_by_text("Only in second (1)")).to_contain_text(HOSTILE)
    assert page.evaluate("window.stolen") is None


def test_numbers__are_told_on_hover(reader, pair):
    page = reader().open(f"{pair[0]}/compare?study=demo")
    told = page.locator("table.compare abbr", has_text="Accuracy").get_attribute("title")
    assert told == TEXTS["accuracy"].what
