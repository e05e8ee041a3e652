"""Features and the page of one feature in a real Chromium: cards, a click, a link, old addresses, themes."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from core.measures.feature_rates import feature_differences
from core.measures.slice import Slice
from core.measures.slice_comparison import population
from core.store import open_study
from tests.browser.harness import settle
from tests.browser.test_links import press, said
from tests.concepts.worded import MARKUP

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("views/test_feature.py opens the same page")]
CARD = ".st-key-features_cards a.card"


def choose_class(page, name: str) -> None:
    """Set the filter to one class, as a reader does."""
    page.locator(".st-key-filter_bar").get_by_role("combobox", name="Class").click()
    page.get_by_role("option", name=name, exact=True).click()
    page.keyboard.press("Escape")
    page.wait_for_selector(f"h1:has-text('Features of {name}')")
    settle(page)


def test_class_on_features__cards_with_the_numbers_of_the_library(reader, address, served):
    study = open_study(served / "seen")
    mask, others = population(study, Slice.parse("label=cat"))
    wanted = feature_differences(study, mask, others)
    wanted = wanted[wanted["rate"] > 0]
    one = reader()
    page = one.open(f"{address}/features?study=seen")
    choose_class(page, "cat")
    cards = page.locator(CARD)
    expect(cards).to_have_count(min(len(wanted), 24))
    first = wanted.iloc[0]
    expect(cards.first).to_have_attribute("data-id", str(int(first["feature"])))
    values = cards.first.locator(".value").all_inner_texts()
    shown = [value.replace("\xa0", " ") for value in values]
    assert shown == [f"{100 * first['rate']:.1f} %", f"{100 * first['rate_against']:.1f} %"]
    assert cards.first.locator(".name").all_inner_texts() == ["cat", "other classes"]
    assert cards.first.locator("img").first.get_attribute("src").startswith("overlay/seen/")


def test_click_on_a_card__opens_the_page_and_its_address_opens_the_same(reader, visitor, address):
    one = reader()
    page = one.open(f"{address}/features?study=seen&where={quote('label=ant')}")
    card = page.locator(CARD).nth(1)
    feature, title = card.get_attribute("data-id"), card.locator(".title").inner_text()
    card.click()
    page.wait_for_url("**/feature?*")
    settle(page)
    query = one.query()
    assert query["feature"] == [feature] and query["where"] == ["label=ant"]
    assert title.replace(" ", "").startswith(page.locator("h1").inner_text().replace(" ", ""))
    other = visitor().open(page.url)
    assert said(other) == said(page)
    page.get_by_role("button", name="Next", exact=True).click()
    expect(page.locator("h1")).not_to_have_text(other.locator("h1").inner_text())
    page.get_by_role("link", name="All features").click()
    page.wait_for_selector("h1:has-text('Features of ant')")
    page.go_back()
    page.wait_for_selector("h1:not(:has-text('Features of'))")


def test_cards__by_keyboard_and_in_another_tab(reader, address):
    page = reader().open(f"{address}/features?study=seen")
    first = page.locator(CARD).first
    assert first.get_attribute("href").startswith("/feature?study=seen&")
    first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/feature?*")


def test_search__a_word_and_a_number(reader, address):
    one = reader()
    page = one.open(f"{address}/features?study=seen&features_dead=true")
    field = page.get_by_role("textbox", name="Word or number")
    field.fill("sky")
    field.press("Enter")
    expect(page.locator(CARD)).to_have_count(2)
    field.fill("5")
    field.press("Enter")
    expect(page.locator(CARD)).to_have_count(1)
    expect(page.locator(CARD).first).to_have_attribute("data-id", "5")
    assert one.query()["features_find"] == ["5"]


def test_words__a_row_searches_for_that_word(reader, address):
    page = reader().open(f"{address}/features?study=seen")
    press(page, "Words")
    page.wait_for_selector("h2:has-text('features in words')")
    page.get_by_test_id("stDataFrame").first.click(position={"x": 18, "y": 55})  # the box of the first row
    expect(page.get_by_role("textbox", name="Word or number")).not_to_have_value("")
    page.wait_for_selector("text=described with")


def test_names_that_are_markup__stay_text(reader, address):
    page = reader().open(f"{address}/features?study=seen&features_as=Groups&group=1_2")
    page.wait_for_selector("h2:has-text('together and alone')")
    assert page.locator("b:has-text('loud')").count() == 0
    assert MARKUP.split()[0] in page.locator("[data-testid=stMain]").inner_text()


def test_content__is_in_sight_at_once(reader, address):
    one = reader()
    one.page.set_viewport_size({"width": 1440, "height": 900})
    page = one.open(f"{address}/features?where=label%3Dant")
    assert page.locator(CARD).first.bounding_box()["y"] < 300
    assert page.locator(f"{CARD} img").first.bounding_box()["y"] < 340


def test_fraction_in_a_tooltip__is_not_struck_through(reader, address):
    page = reader().open(f"{address}/feature?study=seen&feature=5")
    page.locator(".st-key-stacked_charts [data-testid=stTooltipIcon]").first.hover()
    fraction = page.locator("[data-testid=stTooltipContent] .katex-html .mfrac").first
    expect(fraction).to_be_visible()
    size = "one => parseFloat(getComputedStyle(one).fontSize)"
    whole, digit = fraction.evaluate(size), fraction.locator(".sizing .mord").first.evaluate(size)
    assert digit < whole
