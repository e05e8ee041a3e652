"""Clicking charts in a real Chromium: what the hover names is what the click chooses."""

from __future__ import annotations

import re

import pytest

from tests.browser.harness import settle
from tests.browser.test_dashboard import visitor as visitor

pytestmark = pytest.mark.browser
DRAWN = "(document.querySelector('.js-plotly-plot')?._fullData ?? []).length > 2"
PLACE = """(part) => {
  const plot = document.querySelector('.js-plotly-plot');
  const trace = plot._fullData.filter((one) => one.name !== 'selected').at(-2);
  const at = Math.floor((trace.x.length - 1) * part);
  const box = plot.querySelector('.nsewdrag').getBoundingClientRect();
  const {xaxis, yaxis} = plot._fullLayout;
  return [box.x + xaxis.d2p(trace.x[at]), box.y + yaxis.d2p(trace.y[at])];
}"""


def choose(page, part: float) -> str:
    """Click a point of the last band but one; returns the feature that the hover named."""
    page.wait_for_function(DRAWN)
    x, y = page.evaluate(PLACE, part)
    page.mouse.move(x, y)
    named = page.wait_for_selector(".hoverlayer .hovertext").text_content()
    page.mouse.click(x, y)
    page.wait_for_timeout(300)
    settle(page, patience=60)
    return re.search(r"feature (\d+)", named).group(1)


@pytest.mark.parametrize("plot", ["Activation rate", "Purity"])
def test_click__chooses_the_feature_under_the_pointer(visitor, address, plot):
    one = visitor()
    page = one.open(f"{address}/features?features_plot={plot.replace(' ', '+')}")
    for part in (0.9, 0.2):
        feature = choose(page, part)
        assert one.query()["feature"] == [feature]
        assert page.get_by_test_id("stNumberInputField").input_value() == feature


def test_buttons_after_a_click__the_old_click_does_not_come_back(visitor, address):
    one = visitor()
    page = one.open(f"{address}/features")
    clicked = choose(page, 0.5)
    page.get_by_role("button", name="More frequent").click()
    page.wait_for_timeout(300)
    settle(page, patience=60)
    assert one.query()["feature"] != [clicked]
    page.locator("label", has_text="Logarithmic").click()
    page.wait_for_timeout(300)
    settle(page, patience=60)
    assert one.query()["feature"] != [clicked]
