"""The "⋯" of charts in a real Chromium: each format, by mouse and keyboard, and marking."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.harness import BACKGROUND, WHITE, settle, until

pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("tests/publish writes the same files")]
DRAWN = "(document.querySelector('.js-plotly-plot')?._fullData ?? []).length > 0"
DISTRIBUTION = "score_histogram"
OUTSIDE = """() => {
  const root = document.querySelector("svg");
  const frame = root.getBoundingClientRect();
  const inside = (box, of) => box.left >= of.left - 1 && box.right <= of.right + 1
    && box.top >= of.top - 1 && box.bottom <= of.bottom + 1;
  const found = [];
  let seen = 0;
  for (const text of root.querySelectorAll("text")) {
    const box = text.getBoundingClientRect();
    if (!box.width || !text.textContent.trim()) continue;
    seen += 1;
    if (!inside(box, frame)) found.push(text.textContent);
    for (let node = text; node !== root; node = node.parentNode) {
      const id = node.getAttribute("clip-path")?.match(/#([^'")]+)/)?.[1];
      const clip = id && document.getElementById(id)?.firstElementChild;
      if (!clip) continue;
      const ground = clip.getBBox();
      const place = node.getScreenCTM();
      const corner = new DOMPoint(ground.x, ground.y).matrixTransform(place);
      const of = new DOMRect(corner.x, corner.y, ground.width * place.a, ground.height * place.d);
      if (!inside(box, of)) found.push(`${text.textContent} (clipped)`);
    }
  }
  return {found, seen};
}"""


def more(page, chart: str):
    return page.locator(f".st-key-{chart}_framed .peregrine-menu .more")


def item(page, words: str):
    return page.get_by_role("menuitem", name=words, exact=True)


def saved(page, chart: str, words: str, *, key: str = "") -> tuple[str, bytes]:
    """Name and content of the file that an item of a chart's menu saves, chosen by mouse or with a key."""
    more(page, chart).focus()
    page.keyboard.press("Enter")
    with page.expect_download(timeout=60_000) as waiting:
        if key:
            item(page, words).focus()
            page.keyboard.press(key)
        else:
            item(page, words).click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def opened(one, address: str, place: str = "predicting_errors?quality_plot=Distribution&score=Q-Score"):
    page = one.open(f"{address}/{place}")
    page.wait_for_function(DRAWN)
    return page


def test_menu__is_seen_on_hover_and_focus_and_takes_no_room(reader, address):
    one = reader()
    page = opened(one, address)
    opacity = f"getComputedStyle(document.querySelector('.st-key-{DISTRIBUTION}_framed .more')).opacity"
    assert page.evaluate(opacity) == "0"
    more(page, DISTRIBUTION).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate(opacity) == "1"
    page.evaluate("document.activeElement.blur()")
    page.locator(f".st-key-{DISTRIBUTION}_framed").hover()
    assert page.evaluate(opacity) == "1"
    frame = page.locator(f".st-key-{DISTRIBUTION}_framed").bounding_box()
    plot = page.locator(f".st-key-{DISTRIBUTION} .peregrine-plot").bounding_box()
    assert frame["height"] == pytest.approx(plot["height"], abs=1)
    button = more(page, DISTRIBUTION).bounding_box()
    assert button["x"] + button["width"] == pytest.approx(frame["x"] + frame["width"], abs=2)
    assert button["y"] == pytest.approx(frame["y"], abs=2)
    assert_read_by_keys(page)
    assert_saved_in_each_format(page)
    page.emulate_media(color_scheme="dark")
    until(page, f"() => ({BACKGROUND})() !== {WHITE!r}")
    settle(page)
    more(page, DISTRIBUTION).click()
    expect(item(page, "To my figures")).to_be_visible()
    assert axe.violations(page) == []


def assert_read_by_keys(page) -> None:
    """Enter opens, arrows move, Escape gives the focus back."""
    more(page, DISTRIBUTION).focus()
    focused = "document.activeElement.textContent"
    page.keyboard.press("Enter")
    for key, words in (
        ("", "SVG"),
        ("ArrowDown", "PNG"),
        ("End", "To my figures"),
        ("ArrowDown", "SVG"),
        ("ArrowUp", "To my figures"),
    ):
        if key:
            page.keyboard.press(key)
        assert page.evaluate(focused) == words
    page.keyboard.press("Escape")
    expect(more(page, DISTRIBUTION)).to_be_focused()
    expect(more(page, DISTRIBUTION)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == "To my figures"
    page.keyboard.press("Tab")
    expect(item(page, "SVG")).to_have_count(0)


def assert_saved_in_each_format(page) -> None:
    """By mouse and keyboard; nothing is cut in the SVG, whose type is embedded."""
    name, content = saved(page, DISTRIBUTION, "SVG")
    assert name == "demo_score_histogram.svg" and b"Q-Score" in content
    assert_nothing_is_cut(page.context, content.decode("utf-8"), embedded=True)
    name, content = saved(page, DISTRIBUTION, "PNG", key="Enter")
    assert name == "demo_score_histogram.png"
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "PNG" and picture.width > 800
    name, content = saved(page, DISTRIBUTION, "Data as CSV", key="Enter")
    assert name == "demo_score_histogram.csv"
    table = pd.read_csv(io.BytesIO(content))
    facts = ["study", "answer", "slice"]
    assert list(table.columns) == ["left", "right", "all", "correct", "misclassified", *facts]
    settle(page)
    assert page.locator(".js-plotly-plot").count() == 1  # nothing was rerun away


def assert_nothing_is_cut(context, svg: str, *, embedded: bool) -> None:
    assert "@font-face" in svg and "data:font/woff2" in svg
    if not embedded:
        svg = re.sub(r"@font-face\{.*?\}", "", svg)
        svg = svg.replace("Source Sans", "No Such Font").replace("Liberation Sans", "Also None")
    other = context.new_page()
    other.set_content(svg)
    other.evaluate("document.fonts.ready.then(() => true)")
    result = other.evaluate(OUTSIDE)
    assert result["found"] == [] and result["seen"] > 8
    loaded = other.evaluate(
        "[...document.fonts].some((one) => one.family.includes('Source Sans') && one.status === 'loaded')"
    )
    assert loaded == embedded
    other.close()


def test_menu__lies_within_the_page_where_its_chart_ends_at_the_bottom(reader, address):
    """Its last item is seen, above the strip of a job too; where it fits nowhere, the page is scrolled."""
    page = opened(reader(), address, "predicting_errors?quality_plot=Distribution&score=Q-Score")
    main = page.get_by_test_id("stMain")
    for height in (800, 420):
        page.set_viewport_size({"width": 1280, "height": height})
        button = more(page, DISTRIBUTION)
        y = "(one, at) => { const main = one.closest('[data-testid=stMain]');"
        button.evaluate(f"{y} main.scrollTop += one.getBoundingClientRect().top - at }}", height - 60)
        button.focus()
        page.keyboard.press("Enter")
        menu = page.locator(".peregrine-menu [role=menu]:visible").bounding_box()
        frame = main.bounding_box()
        assert menu["y"] >= frame["y"] and menu["y"] + menu["height"] <= frame["y"] + frame["height"]
        page.keyboard.press("Escape")


def test_touch__always_seen(visitor, address):
    page = opened(visitor(has_touch=True, is_mobile=True), address)
    opacity = f"getComputedStyle(document.querySelector('.st-key-{DISTRIBUTION}_framed .more')).opacity"
    assert page.evaluate(opacity) == "1"


def test_saved_files__have_the_ground_of_the_page_and_room_for_another_type(reader, address):
    page = opened(reader(color_scheme="dark"), address, "predicting_errors?quality_plot=Chart")
    assert_each_chart_has_its_menu(page)
    _, content = saved(page, "score_aurocs", "PNG")
    with Image.open(io.BytesIO(content)) as picture:
        edge = picture.convert("RGBA").crop((0, 0, 4, picture.height))
    # Names of scores in a wider type than the page's would be cut off here.
    assert edge.getcolors() == [(edge.width * edge.height, (16, 23, 31, 255))]
    _, content = saved(page, "score_aurocs", "SVG")
    assert_nothing_is_cut(page.context, content.decode("utf-8"), embedded=False)


def assert_each_chart_has_its_menu(page) -> None:
    charts = page.locator(".peregrine-plot").count()
    assert charts >= 1
    expect(page.locator("[class*=_framed] .peregrine-menu .more")).to_have_count(charts)
    titles = "[...document.querySelectorAll('.modebar-btn')].map((one) => one.dataset.title)"
    assert set(page.evaluate(titles)) == {"Reset axes", "Full screen"}  # none sends data away


def test_plot_of_features__has_its_menu(reader, address):
    assert_each_chart_has_its_menu(opened(reader(), address, "features?features_as=Plot"))


def test_menu__of_an_image_covers_nothing(reader, address):
    page = reader().open(f"{address}/image?study=seen&image=val%2Fcat%2F0070.png&removed=3")
    told, more = page.locator(".st-key-removal"), page.locator("button.more").first
    told.wait_for()
    settle(page)
    picture = page.locator(".st-key-image_framed img").first
    for width in range(820, 1281, 20):
        page.set_viewport_size({"width": width, "height": 800})
        page.wait_for_timeout(60)
        box, menu, below = told.bounding_box(), more.bounding_box(), picture.bounding_box()
        assert box["y"] + box["height"] <= menu["y"] + 1, (width, box, menu)
        assert menu["y"] + menu["height"] <= below["y"] + 1, (width, menu, below)
