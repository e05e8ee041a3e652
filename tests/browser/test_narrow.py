"""On a narrow window the sidebar is a drawer: folded until it is asked for, and over the page then."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.harness import settle, visit

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("test_every_page.py has each page, at one width")]
WIDTH = "document.querySelector('[data-testid=stMain]').clientWidth"
BEYOND = """([inner, outer]) => [...document.querySelectorAll(inner)].filter((one) => {
  const own = document.createRange();
  own.selectNodeContents(one);
  return own.getBoundingClientRect().right > one.closest(outer).getBoundingClientRect().right + 1;
}).map((one) => one.textContent)"""
TOPS_OF_THREE = """(card) => {
  const list = card.parentElement;
  while (list.children.length < 3) list.append(card.cloneNode(true));
  return new Set([...list.children].map((one) => one.getBoundingClientRect().top)).size;
}"""
# The texts with a percent sign that begins a line, at any width of the page.
LONELY_SIGNS = """() => {
  const main = document.querySelector('[data-testid=stMainBlockContainer]');
  const within = (root) => [...root.childNodes].flatMap((one) => one.nodeType === Node.TEXT_NODE ? one
    : [...within(one), ...(one.shadowRoot ? within(one.shadowRoot) : [])]);
  const texts = within(main).filter((one) => /\\S\\s%/.test(one.data) && !one.parentElement.closest('svg'));
  const top = (text, at) => {
    const sign = document.createRange();
    sign.setStart(text, at);
    sign.setEnd(text, at + 1);
    return sign.getBoundingClientRect().top;
  };
  const lonely = new Set();
  for (let width = 780; width > 480; width -= 3) {
    main.style.width = `${width}px`;
    for (const text of texts) for (const match of text.data.matchAll(/\\S\\s%/g)) {
      if (Math.abs(top(text, match.index) - top(text, match.index + 2)) > 5) lonely.add(text.data);
    }
  }
  main.style.width = '';
  return [texts.length, [...lonely]];
}"""
CHOICES = "Object.keys(localStorage).filter((key) => key.startsWith('stSidebarCollapsed'))"


def test_sidebar__is_a_drawer_on_a_narrow_window(visitor, address):
    one = visitor()
    one.page.set_viewport_size({"width": 820, "height": 900})
    page = one.open(f"{address}/images?study=seen")
    unfold = page.get_by_test_id("stExpandSidebarButton")
    expect(unfold).to_be_visible()
    assert page.evaluate(WIDTH) == 820 and page.evaluate(CHOICES) == []
    page.set_viewport_size({"width": 900, "height": 900})  # Streamlit unfolds it when the width changes
    page.wait_for_timeout(500)
    expect(unfold).to_be_visible()

    unfold.click()
    expect(unfold).to_be_hidden()
    assert page.evaluate(WIDTH) == 900  # the page is below it
    visit(page, "Map")
    page.wait_for_selector("h1:has-text('Map')")
    settle(page)
    expect(unfold).to_be_visible()


def test_sidebar__is_open_again_on_a_wide_window(visitor, address):
    one = visitor()
    one.page.set_viewport_size({"width": 820, "height": 900})
    page = one.open(f"{address}/images?study=seen")
    expect(page.get_by_test_id("stExpandSidebarButton")).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.get_by_test_id("stExpandSidebarButton")).to_be_hidden()


def test_names_of_numbers__end_before_their_card(visitor, address):
    one = visitor()
    one.page.set_viewport_size({"width": 820, "height": 900})
    page = one.open(f"{address}/predicting_errors?study=seen&quality_plot=Trust")
    page.locator("[data-testid=stMetric]").nth(3).wait_for()
    assert page.evaluate(BEYOND, ["[data-testid=stMetricLabel] p", "label > div"]) == []
    page.set_viewport_size({"width": 640, "height": 400})  # 1280 at 200 %: choices wrap, and none is cut
    page.wait_for_timeout(300)
    assert page.evaluate(BEYOND, ["[role=radiogroup] p", "[data-testid=stMain] [role=radiogroup]"]) == []


def test_places_to_look_first__stand_in_one_row(visitor, address):
    """However many this study has: three are as many as there can be."""
    one = visitor()
    one.page.set_viewport_size({"width": 820, "height": 900})
    page = one.open(f"{address}/?study=seen")
    card = page.locator(".st-key-overview_first .cards > li").first
    card.wait_for()
    assert card.evaluate(TOPS_OF_THREE) == 1


def test_confusions__stand_below_each_other(visitor, address):
    one = visitor()
    one.page.set_viewport_size({"width": 820, "height": 900})
    page = one.open(f"{address}/errors?errors_tab=Confusions&study=seen")
    matrix = page.locator(".st-key-stacked_confusions .peregrine-plot").first
    matrix.wait_for()
    assert matrix.bounding_box()["width"] > 600


def test_percent_signs__stay_with_their_number(visitor, address):
    one = visitor()
    one.page.set_viewport_size({"width": 820, "height": 900})
    n_texts = 0
    for path in ("", "features", "masks"):
        page = one.open(f"{address}/{path}?study=seen")
        page.wait_for_timeout(500)
        counted, lonely = page.evaluate(LONELY_SIGNS)
        assert lonely == [], path
        n_texts += counted
    assert n_texts > 10
