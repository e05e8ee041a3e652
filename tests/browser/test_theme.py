"""The switch between light and dark: the page and its charts follow, and the browser keeps the choice."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.axe import violations
from tests.browser.harness import BACKGROUND, WHITE, settle, until, visit

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("test_every_page.py has each page, in light")]
INK = "() => document.querySelector('.js-plotly-plot .xtick text, .js-plotly-plot text').style.fill"


def choose(page, theme: str) -> None:
    with page.expect_navigation():
        page.get_by_role("radio", name=theme, exact=True).click()
    page.wait_for_selector("h1")
    settle(page)


def test_theme__is_kept_on_every_page_and_charts_follow(visitor, address):
    one = visitor(color_scheme="light")
    page = one.open(f"{address}/predicting_errors?study=demo&where=label%3Dbee")
    page.wait_for_selector(".js-plotly-plot .xtick text")
    light, ink = page.evaluate(BACKGROUND), page.evaluate(INK)
    assert light == WHITE
    expect(page.get_by_role("radio", name="Auto", exact=True)).to_have_attribute("aria-checked", "true")

    choose(page, "Dark")
    page.wait_for_selector(".js-plotly-plot .xtick text")
    dark = page.evaluate(BACKGROUND)
    assert dark != WHITE and page.evaluate(INK) != ink
    assert one.query()["where"] == ["label=bee"]
    expect(page.get_by_role("radio", name="Dark", exact=True)).to_have_attribute("aria-checked", "true")
    loads = []
    page.on("load", lambda _: loads.append(1))
    visit(page, "Images")
    settle(page)
    assert page.evaluate(BACKGROUND) == dark
    page.wait_for_timeout(1000)
    assert not loads  # it is loaded once, when the theme is chosen

    again = one.context.new_page()  # another page, opened by its address
    again.goto(f"{address}/map?study=demo")
    again.wait_for_selector("h1")
    settle(again)
    assert again.evaluate(BACKGROUND) == dark
    choose(again, "Auto")
    assert again.evaluate(BACKGROUND) == WHITE
    again.emulate_media(color_scheme="dark")
    again.reload()
    again.wait_for_selector("h1")
    assert again.evaluate(BACKGROUND) == dark


def test_theme__is_chosen_by_keys(reader, address):
    page = reader().open(f"{address}/images?study=demo")
    page.get_by_role("radio", name="Auto", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Light", exact=True)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="Auto", exact=True)).to_be_focused()


def test_auto__charts_and_labels_follow_a_system_that_changes_under_an_open_page(visitor, address):
    page = visitor(color_scheme="light").open(f"{address}/features?study=demo&features_as=Plot")
    page.wait_for_selector(".js-plotly-plot .xtick text")
    expect(page.get_by_role("radio", name="Auto", exact=True)).to_have_attribute("aria-checked", "true")
    ink = page.evaluate(INK)
    page.emulate_media(color_scheme="dark")
    until(page, f"() => ({BACKGROUND})() !== {WHITE!r} && ({INK})() !== {ink!r}")
    settle(page)
    assert violations(page, ["color-contrast"]) == []
