"""The Errors page in a real Chromium: buttons of a row, confusions by click, and old addresses."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from core.measures import saved_slices
from core.measures.finder import worst_slices
from core.measures.plain_names import plain_name
from core.measures.slice import Slice
from core.store import open_study
from tests.browser.harness import settle
from tests.browser.test_meanings import points

pytestmark = [
    pytest.mark.browser,
    pytest.mark.exhaustive("views/test_errors.py does the same without a browser"),
]
TOAST = "[role=status].peregrine-said"
ALL_ROWS = "slices_least=5&slices_sure=false&slices_distinct=false"


def press(page, card: int, label: str) -> None:
    page.locator("li").nth(card).get_by_role("button", name=label).click()
    page.wait_for_timeout(300)
    settle(page)


def test_save_in_the_row__a_message_and_an_undo(reader, visitor, address, served):
    for left in saved_slices.texts(served / "demo"):  # of a first try
        saved_slices.delete(served / "demo", left)
    row = worst_slices(open_study(served / "demo"), min_images=5).iloc[0]
    page = reader().open(f"{address}/errors?study=demo&{ALL_ROWS}")
    before = page.locator("li").first.bounding_box()
    page.get_by_role("button", name="Save: ").first.focus()
    page.keyboard.press("Enter")
    page.locator(TOAST, has_text="Saved as").wait_for()
    page.get_by_role("button", name="Unsave: ").wait_for()
    settle(page)
    assert page.locator("li").first.bounding_box()["y"] == before["y"]  # what the reader looks at stays
    saved = saved_slices.texts(served / "demo")
    assert list(saved.values()) == [row["where"]]
    assert plain_name(Slice.parse(row["where"])).startswith(next(iter(saved))[:20])
    other = visitor().open(f"{address}/errors?study=demo&{ALL_ROWS}")  # another reader cannot undo it
    assert other.get_by_role("button", name="Saved: ").first.is_disabled()
    page.get_by_role("button", name="Unsave: ").click()
    page.locator(TOAST, has_text="no longer saved").wait_for()
    page.get_by_role("button", name="Unsave: ").wait_for(state="detached")
    assert saved_slices.texts(served / "demo") == {}


def test_heatmaps_in_the_row__open_the_heatmaps_of_the_slice(reader, address, served):
    row = worst_slices(open_study(served / "seen"), min_images=5).iloc[0]
    one = reader()
    page = one.open(f"{address}/errors?study=seen&{ALL_ROWS}")
    page.get_by_role("button", name="Heatmaps: ").first.click()
    page.wait_for_selector("h1:has-text('Heatmaps')")
    query = one.query()
    assert query["study"] == ["seen"]
    assert query["where"] == [" ".join(part for part in row["where"].split(" ") if part != "split=val")]


def test_a_row__opens_its_slice_leads_back_and_is_the_filter_of_the_page(reader, visitor, address, served):
    row = worst_slices(open_study(served / "demo"), min_images=5).iloc[0]
    one = reader()
    page = one.open(f"{address}/errors?study=demo&{ALL_ROWS}")
    page.locator("a.card").first.click()
    page.wait_for_selector(f"text={row['errors']} of {row['n']} images are misclassified")
    assert one.query()["slice"] == [row["where"]]
    again = visitor().open(page.url)
    again.wait_for_selector(f"text={row['errors']} of {row['n']} images are misclassified")
    page.get_by_role("button", name="All slices").click()
    page.locator("a.card").nth(1).wait_for()
    assert "slice" not in one.query()
    row = worst_slices(open_study(served / "demo"), min_images=5).iloc[1]
    page.get_by_role("button", name="Filter: ").nth(1).click()
    page.locator(TOAST, has_text="Every page now shows").wait_for()
    assert one.query()["where"] == [" ".join(part for part in row["where"].split(" ") if part != "split=val")]
    page.wait_for_selector(f"text={row['errors']} of {row['n']}")


def test_confusions__a_click_on_a_cell_shows_its_images_and_features(reader, address, served):
    one = reader()
    page = one.open(f"{address}/errors?study=seen&errors_tab=Confusions")
    assert len(points(page, "failure_matrix")) >= 2
    picture = page.locator(".st-key-failure_list .card .picture").first.bounding_box()
    assert picture and picture["width"] > 100  # also beside the matrix there is something to see
    for number in (-1, 0):  # the second click is on a chart that was drawn anew
        cell = points(page, "failure_matrix")[number]
        true, predicted = cell["custom"]
        page.mouse.move(cell["x"], cell["y"])
        assert predicted in page.wait_for_selector(".hoverlayer .hovertext").text_content()
        page.mouse.click(cell["x"], cell["y"])
        page.wait_for_selector(f"text=Behind the answer, {predicted}")
        page.wait_for_selector(f"text=Behind the truth, {true}")
        query = one.query()
        assert [query.get(name) for name in ("failure_true", "failure_predicted")] == [[true], [predicted]]
        tile = page.locator(".st-key-failure_images .tile").first
        tile.wait_for()
        assert f"{true} → {predicted}" in tile.inner_text()  # the truth first
        assert true in (tile.get_attribute("aria-label") or "")
        assert page.locator(".st-key-failure_behind_true .js-plotly-plot").count() == 1


def test_cutoff__the_thumb_moves_to_what_can_be_flagged(reader, address, served):
    page = reader().open(f"{address}/predicting_errors?study=demo&score=Number+of+firing+features")
    values = open_study(served / "demo").table("quality").query("split == 'val'")["n_firing"].to_numpy()
    lowest = float((values == values.min()).mean())
    assert lowest > 0.02  # or the test says little
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")  # 1 %
    page.wait_for_selector("text=share the lowest score, so no smaller share can be looked at")
    expect(slider).to_have_value(str(int(100 * lowest)), timeout=30_000)


def test_scores__a_click_on_a_dot_picks_it(reader, address, served):
    one = reader()
    page = one.open(f"{address}/predicting_errors?study=demo&quality_plot=Chart")
    dot = next(one for one in points(page, "score_aurocs") if one["custom"][0] == "distinctiveness")
    page.mouse.click(dot["x"], dot["y"])
    page.wait_for_timeout(500)
    settle(page)
    assert one.query()["score"] == ["Distinctiveness"]  # the page opens with a supervised one


def test_overview_card__opens_the_confusion_under_the_feature_that_it_names(reader, address):
    one = reader()
    page = one.open(f"{address}/errors?study=demo&errors_tab=Confusions")
    before = page.locator(".st-key-failure_true").bounding_box()
    page = one.open(f"{address}/?study=demo")
    card = page.locator("a.card", has_text=" taken for ")
    true, predicted = card.locator(".title").inner_text().split(" taken for ")
    line = card.locator(".line").first.inner_text()
    pushed = re.search(r"(Feature \d+(?: \([^)]*\))?)", line)
    assert pushed, line
    first = pushed[1]
    card.click()
    page.wait_for_selector(f"text=by which {predicted} leads {true}")
    settle(page)
    told = page.locator("p", has_text=f"by which {predicted} leads {true}")
    assert first in told.inner_text() and "Without it" in told.inner_text()
    assert "without it: " in page.locator(".st-key-failure_images .tile").first.inner_text()
    page.get_by_text(f"Correct images under {first}").wait_for()
    assert page.locator(".st-key-failure_true").bounding_box() == before  # the controls do not move
