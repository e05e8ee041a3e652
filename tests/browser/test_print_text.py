"""Text of charts for print, measured by a real Chromium: inside the figure, in the type that it carries."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest

from core.charts.catalogue import draw, what_it_lacks
from core.charts.figure_files import find_browser, render_all
from core.charts.fonts import SHIPPED
from core.charts.registry import CHARTS
from core.charts.theme import layout_of
from core.errors import PeregrineError
from core.store import open_study
from tests.browser.harness import ARGUMENTS
from tests.sampling import sample

pytestmark = pytest.mark.browser
WALKED = ("heatmaps", "baselines", "miou", "q_distribution", "confusions", "worst_slices")
MOST_SHRUNK = 1.2  # a chart whose text stood out is drawn no smaller than this
TEXTS = """() => {
  const paper = document.querySelector("svg"), whole = paper.getBoundingClientRect();
  const slack = 0.6; // px; a browser rounds places
  return [...paper.querySelectorAll("text")].filter((one) => one.textContent.trim()).map((one) => {
    const box = one.getBoundingClientRect();
    const inside = box.left >= whole.left - slack && box.top >= whole.top - slack
      && box.right <= whole.right + slack && box.bottom <= whole.bottom + slack;
    return { text: one.textContent, inside, family: getComputedStyle(one).fontFamily };
  });
}"""


@pytest.fixture(scope="module")
def printer(chrome: Any) -> Any:
    """The browser that prints: another one sets a letter a fraction of a pixel away."""
    made = chrome.browser_type.launch(executable_path=find_browser(), args=ARGUMENTS)
    yield made
    made.close()


@pytest.fixture
def page(printer: Any) -> Any:
    made = printer.new_page()
    yield made
    made.close()


def texts_of(page: Any, svg: bytes) -> list[dict[str, Any]]:
    page.set_content(f"<body style='margin:0'>{svg.decode()}</body>")
    page.evaluate("() => document.fonts.ready")
    return page.evaluate(TEXTS)


def outside(found: list[dict[str, Any]]) -> list[str]:
    return [one["text"] for one in found if not one["inside"]]


@pytest.mark.parametrize(("column", "font"), sample([("single", "serif"), ("double", "sans")], 1))
def test_chart__every_text_is_inside_and_in_the_shipped_type(page, served, column, font):
    study, asked = open_study(served / "seen"), []
    page.on("request", lambda request: asked.append(request.url))
    figures = [draw(study, name, style=f"paper-{column}", font=font) for name in WALKED]
    for name, svg in zip(WALKED, render_all(figures, "svg"), strict=True):
        found = texts_of(page, svg)
        assert found and outside(found) == [], name
        assert all(one["family"].replace('"', "").startswith(SHIPPED[font]) for one in found), name
    assert [url for url in asked if not url.startswith("data:")] == []  # it holds its type, and loads nothing


def test_text_that_stands_out__makes_the_drawing_smaller(page):
    """A long name beside a narrow chart: all of it is there."""
    figure = go.Figure(go.Scatter(x=[1], y=[1]), layout={"width": 256, "height": 200})
    words = "a name that is far wider than the chart in which it stands"
    figure.add_annotation(text=words, x=1, xref="paper", y=0.5, xanchor="left", showarrow=False)
    found = texts_of(page, render_all([figure], "svg")[0])
    assert words in [one["text"] for one in found] and outside(found) == []


@pytest.mark.exhaustive("test_chart__every_text_is_inside_and_in_the_shipped_type has those that were cut")
def test_catalogue__every_text_is_inside(page, served):
    study, figures = open_study(served / "seen"), {}
    for name, entry in CHARTS.items():
        if entry.studies[0] > 1 or what_it_lacks(study, entry) is not None:
            continue
        try:
            figures[name] = draw(study, name, style="paper-single")
        except PeregrineError:  # of these images there is nothing to draw
            continue
    assert len(figures) > 15
    for name, svg in zip(figures, render_all(list(figures.values()), "svg"), strict=True):
        found = texts_of(page, svg)
        assert outside(found) == [], name
        width = page.evaluate("document.querySelector('svg').viewBox.baseVal.width")
        assert width <= MOST_SHRUNK * layout_of(figures[name]).width, name
