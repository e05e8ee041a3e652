"""The figure sheet in a real Chromium: filled from three pages, put into order, previewed, and downloaded."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.harness import settle, until, visit
from tests.sampling import sample

pytestmark = pytest.mark.browser
DRAWN = "(document.querySelector('.js-plotly-plot')?._fullData ?? []).length > 0"
THREE = "roc?caption=First|map?caption=Second|miou?caption=Third"
SHEET = "document.querySelector('.peregrine-sheet')"  # the first one; others are in the gallery below
LETTERS = f"() => [...{SHEET}.querySelectorAll('.page > .cell')].map((one) => one.ariaLabel)"


def titles(page) -> list[str]:
    return page.locator(".cards .card .title").all_text_contents()


def previewed(page, n: int) -> None:
    """Wait until the preview shows so many cells."""
    until(page, f"() => document.querySelector('.peregrine-sheet')?.dataset.drawn === '{n}'")
    settle(page)


def captions(page) -> list[str]:
    return page.locator(".peregrine-sheet .cell .caption").all_text_contents()


def focused(page) -> str:
    """Label of the element that has the focus, also inside a component."""
    return page.evaluate("""() => {
      let one = document.activeElement;
      while (one.shadowRoot?.activeElement) one = one.shadowRoot.activeElement;
      return one.ariaLabel;
    }""")


def add(page, frame: str, said: str) -> None:
    more = page.locator(f".st-key-{frame}_framed .peregrine-menu .more").last
    more.focus()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Add to sheet", exact=True).click()
    expect(page.locator("#peregrine-toast")).to_contain_text(said)
    settle(page)


def test_preview__is_inside_the_paper_and_follows_a_drag(visitor, address):
    one = visitor()
    page = one.open(f"{address}/figures?study=seen&sheet={THREE}")
    previewed(page, 3)
    outside = page.evaluate("""() => {
      const sheet = document.querySelector(".peregrine-sheet");
      const paper = sheet.getBoundingClientRect();
      return [...sheet.querySelectorAll(".cell, text, .caption")]
        .filter((one) => one.textContent && one.getBoundingClientRect().width)
        .filter((one) => {
          const box = one.getBoundingClientRect();
          return box.left < paper.left || box.right > paper.right || box.top < paper.top
            || box.bottom > paper.bottom;
        }).map((one) => one.textContent);
    }""")
    assert outside == []
    grips = page.locator(".cards .grip")
    first, last = grips.nth(0).bounding_box(), grips.nth(2).bounding_box()
    page.mouse.move(first["x"] + 5, first["y"] + 10)
    page.mouse.down()
    page.mouse.move(first["x"] + 5, (first["y"] + last["y"]) / 2, steps=5)
    page.mouse.move(first["x"] + 5, last["y"] + last["height"], steps=8)
    page.mouse.up()
    expect(page.locator(".cards .card .title").nth(2)).to_contain_text("ROC of Q-Score")
    until(page, "() => location.search.indexOf('map') < location.search.indexOf('roc')")
    expect(page.locator(".peregrine-sheet .cell .caption")).to_have_text(["Second", "Third", "First"])
    assert [name.partition(" ")[0] for name in page.evaluate(LETTERS)] == ["(a)", "(b)", "(c)"]
    assert [cell.partition("?")[0] for cell in one.query()["sheet"][0].split("|")] == ["map", "miou", "roc"]


def test_order__by_keyboard_keeps_the_focus_and_what_did_not_change(visitor, address):
    one = visitor()
    page = one.open(f"{address}/figures?study=seen&sheet={THREE}")
    previewed(page, 3)
    down = page.get_by_role("button", name="Move down: ROC of Q-Score")
    down.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".cards .card .title").nth(1)).to_have_text("(b) ROC of Q-Score")
    assert focused(page) == "Move down: ROC of Q-Score"
    page.keyboard.press("ArrowDown")
    expect(page.locator(".cards .card .title").nth(2)).to_have_text("(c) ROC of Q-Score")
    settle(page)
    assert focused(page) == "Move down: ROC of Q-Score"
    page.keyboard.press("ArrowUp")
    settle(page)
    assert [cell.partition("?")[0] for cell in one.query()["sheet"][0].split("|")] == ["map", "roc", "miou"]
    expect(page.locator(".told")).to_have_text("ROC of Q-Score: 2 of 3")
    expect(page.locator(".peregrine-sheet .cell .caption")).to_have_text(["Second", "First", "Third"])
    settle(page)
    page.evaluate("""() => {
      window.fewest = 99;
      const sheet = document.querySelector(".peregrine-sheet .page");
      new MutationObserver(() => {
        window.fewest = Math.min(window.fewest, sheet.querySelectorAll(".cell").length);
      }).observe(sheet, {childList: true, subtree: true});
      window.kept = sheet.querySelectorAll(".cell .body")[1];
    }""")
    page.locator("label", has_text="Letters").click()
    caption = page.get_by_label("Caption of Every image on the map")
    caption.fill("Where the images lie")
    caption.press("Enter")
    until(page, "() => [...document.querySelectorAll('.peregrine-sheet .caption')]"
          ".some((one) => one.textContent === 'Where the images lie')", patience=10)  # fmt: skip
    assert page.evaluate("window.fewest") == 3
    assert page.evaluate("document.contains(window.kept)")  # what did not change is not drawn again
    page.get_by_role("button", name="Remove from the sheet: mIoU with both masks by correctness").click()
    previewed(page, 2)
    assert captions(page) == ["Where the images lie", "First"]


def test_sheet__outlives_a_reload_of_another_page(visitor, address):
    one = visitor()
    page = one.open(f"{address}/predicting_errors?study=seen&quality_plot=Distribution&score=Q-Score")
    page.wait_for_function(DRAWN)
    add(page, "score_histogram", "1 figure")
    page.reload()
    page.wait_for_selector("h1")
    settle(page)
    visit(page, "Figures")
    expect(page.locator(".cards .card .title")).to_have_count(1)


@pytest.mark.parametrize("scheme", sample(["dark", "light"], 1))
def test_page__accessible(visitor, address, scheme):
    one = visitor(color_scheme=scheme)
    page = one.open(f"{address}/figures?study=seen")
    assert axe.violations(page) == []
    page.locator("[class*=st-key-sheet_suggested_] button").first.click()
    previewed(page, 1)
    assert axe.violations(page) == []
