"""Clicking charts in a real Chromium: what the hover names is what the click chooses."""

from __future__ import annotations

import re

import pytest

from dashboard.server.chart_library import KINDS
from tests.browser import harness
from tests.browser.harness import settle
from tests.sampling import sample

pytestmark = pytest.mark.browser
DRAWN = "(document.querySelector('.js-plotly-plot')?._fullData ?? []).length > 0"
PLACE = """(part) => {
  const plot = document.querySelector('.js-plotly-plot');
  const trace = plot._fullData.reduce((one, other) => (other.x.length > one.x.length ? other : one));
  const at = Math.floor((trace.x.length - 1) * part);
  const box = plot.querySelector('.nsewdrag').getBoundingClientRect();
  const {xaxis, yaxis} = plot._fullLayout;
  return [box.x + xaxis.d2p(trace.x[at]), box.y + yaxis.d2p(trace.y[at])];
}"""


def choose(page, part: float) -> str:
    """Click a point of the largest band; returns the feature that the hover named."""
    page.wait_for_function(DRAWN)
    x, y = page.evaluate(PLACE, part)
    page.mouse.move(x, y)
    named = page.wait_for_selector(".hoverlayer .hovertext").text_content()
    page.mouse.click(x, y)
    page.wait_for_timeout(300)
    settle(page, patience=60)
    found = re.search(r"#(\d+)", str(named))
    assert found is not None, named
    return found.group(1)


@pytest.mark.parametrize("plot", sample(["Activation rate", "Purity"], 1))
def test_click__opens_the_feature_under_the_pointer(reader, address, plot):
    one = reader()
    for part in (0.9, 0.2):
        page = one.open(f"{address}/features?features_as=Plot&features_plot={plot.replace(' ', '+')}")
        feature = choose(page, part)
        assert one.query()["feature"] == [feature]
        page.wait_for_selector(f"h1:has-text('{feature}')")


@pytest.mark.exhaustive("test_click__opens_the_feature… draws and clicks, too")
def test_buttons_after_a_click__the_old_click_does_not_come_back(reader, address):
    one = reader()
    page = one.open(f"{address}/features?features_as=Plot")
    clicked = choose(page, 0.5)
    page.wait_for_selector(f"h1:has-text('{clicked}')")
    page.get_by_role("button", name="Next", exact=True).click()
    page.wait_for_timeout(300)
    settle(page, patience=60)
    assert one.query()["feature"] != [clicked]
    page.get_by_role("link", name="All features").click()
    page.wait_for_url("**/features?*")
    settle(page, patience=60)
    page.get_by_role("radio", name="Plot", exact=True).click()
    page.get_by_role("radio", name="Purity", exact=True).click()
    page.wait_for_timeout(300)
    settle(page, patience=60)
    assert "feature" not in one.query()


def visit(page, name: str) -> None:
    harness.visit(page, name)
    page.wait_for_url(f"**/{name.lower().replace(' ', '_')}?*")
    settle(page)


@pytest.mark.exhaustive("test_click__opens_the_feature… draws and clicks, too")
def test_coming_back__the_chart_is_the_same_drawing_and_still_answers_clicks(visitor, address):
    one = visitor()
    page = one.open(f"{address}/features?features_as=Plot")
    page.wait_for_function(DRAWN)
    page.evaluate("document.querySelector('.js-plotly-plot').marked = true")
    visit(page, "Predicting errors")
    assert not page.evaluate("[...document.querySelectorAll('.js-plotly-plot')].some((one) => one.marked)")
    visit(page, "Features")
    page.get_by_role("radio", name="Plot", exact=True).click()
    page.wait_for_function(DRAWN)
    assert page.evaluate("document.querySelector('.js-plotly-plot').marked")
    feature = choose(page, 0.2)
    assert one.query()["feature"] == [feature]


@pytest.mark.exhaustive("test_coming_back__the_chart_is_the_same_drawing keeps and draws fewer charts")
def test_coming_back__after_many_other_charts_the_oldest_are_drawn_anew(visitor, address):
    page = visitor().open(f"{address}/features?features_as=Plot")
    page.wait_for_function(DRAWN)
    page.evaluate("document.querySelector('.js-plotly-plot').marked = true")
    visit(page, "Predicting errors")
    for width in range(1290, 1290 + 3 * 26, 3):  # each width is another drawing
        visit(page, "Images")
        page.set_viewport_size({"width": width, "height": 800})  # here, where no chart is half drawn
        visit(page, "Predicting errors")
        page.wait_for_selector(".peregrine-plot[data-drawn]", state="attached")
    page.set_viewport_size({"width": 1280, "height": 800})
    visit(page, "Features")
    page.get_by_role("radio", name="Plot", exact=True).click()
    page.wait_for_function(DRAWN)
    assert not page.evaluate("document.querySelector('.js-plotly-plot').marked")


@pytest.mark.exhaustive("test_click__opens_the_feature… draws and clicks, too")
def test_last_label_of_an_axis_in_percent__is_drawn(reader, address):
    page = reader().open(f"{address}/predicting_errors?study=demo&score=Q-Score")
    page.wait_for_function(DRAWN)
    labels = page.locator(".xaxislayer-above .xtick text")
    assert labels.last.text_content() == "100 %" and labels.last.is_visible()


@pytest.mark.exhaustive("test_click__opens_the_feature… draws and clicks, too")
def test_the_library_draws_every_kind_of_marks(reader, address):
    page = reader().page
    page.goto(f"{address}/plotly.js")  # a page of the server without Streamlit's
    page.add_script_tag(url=f"{address}/plotly.js?v=1")
    drawn = page.evaluate(
        """async (kinds) => {
          const node = document.body.appendChild(document.createElement("div"));
          const data = kinds.map((type) => ({ type, x: [1, 2], y: [1, 2], z: [[1, 2], [3, 4]] }));
          await Plotly.newPlot(node, data);
          return node._fullData.map((trace) => trace.type);
        }""",
        kinds := [*KINDS, "scatter", "scattergl"],
    )
    assert drawn == kinds
