"""Links in a real Chromium: what is set on a page opens in a fresh browser, and after a restart."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import expect

from core.measures import saved_slices
from core.measures.slice import Slice
from dashboard.state.pages import HOME, PAGES
from tests.browser.harness import dashboard, free_port, settle, visit
from tests.sampling import sample

pytestmark = pytest.mark.browser
MAIN = "[data-testid=stMain]"
SAID = ", ".join(
    f"{MAIN} [data-testid={name}]"
    for name in ("stMarkdownContainer", "stCaptionContainer", "stMetricValue", "stHeading")
)
CHOICES = {  # of each view: the filter that is set by the bar, and a choice of its own
    "features": ("Correct", "Plot", "Purity"),
    "heatmaps": ("Correct", "Mean representations"),
    "predicting_errors": ("Correct", "Curves"),
    "images": ("Misclassified",),
    "masks": ("Misclassified", "By image"),
    "errors": ("Correct", "Compare two"),
}


def press(page, label: str) -> None:
    """Choose one option of a segmented control."""
    main = page.locator(MAIN)
    option = main.get_by_role("radio", name=label, exact=True)
    if option.count():
        option.first.click()
        option.and_(page.locator("[aria-checked=true]")).first.wait_for()
    else:
        main.get_by_role("button", name=label, exact=True).first.click()
    page.wait_for_timeout(400)
    settle(page)


def said(page) -> list[str]:
    """What the page says, and which options are chosen."""
    settle(page)
    texts = [text.strip() for text in page.locator(SAID).all_inner_texts()]
    chosen = page.locator(f"{MAIN} [role=radio][aria-checked=true]").all_inner_texts()
    return [text for text in texts if text] + chosen


@pytest.mark.parametrize("view", sample(tuple(CHOICES), 1))
def test_view__opens_the_same_in_a_fresh_browser(reader, visitor, address, view):
    one = reader()
    page = one.open(f"{address}/{view}?study=seen")
    for label in CHOICES[view]:
        press(page, label)
    query = one.query()
    assert query["study"] == ["seen"] and query["where"][0].startswith("correct=")
    assert len(query) == 2 + len(CHOICES[view][1:]), query
    other = visitor().open(page.url)
    assert said(other) == said(page)
    assert parse_qs(urlsplit(other.url).query) == query


def bar(page) -> list[str]:
    """What the filter bar itself shows as chosen."""
    within = page.locator(".st-key-filter_bar")
    tags = within.locator("[data-tag]:visible").evaluate_all("tags => tags.map(tag => tag.ariaLabel)")
    return within.locator("[data-selected=true]").all_inner_texts() + tags


def bar_comes_to(page, chosen: list[str]) -> bool:
    """The page comes to rest before the browser's widgets are told anew."""
    for _ in range(40):
        if bar(page) == chosen:
            return True
        page.wait_for_timeout(300)
    return False


CHOSEN = ["Correct", "Evaluation", "ant"]


@pytest.mark.exhaustive("test_view__opens_the_same… opens such a link")
def test_filter__goes_along_by_the_sidebar_and_back(reader, address):
    one = reader()
    page = one.open(f"{address}/images?study=seen&where={quote('label=ant correct=true')}")
    for name in ("heatmaps", "predicting_errors", HOME, "map", "features", "errors", "masks", "images"):
        visit(page, PAGES[name].title)
        page.wait_for_url(re.compile(rf"/{'' if name == HOME else name}\?"))
        assert one.query()["where"] == ["label=ant correct=true"], name
        assert name == HOME or bar_comes_to(page, CHOSEN), name
    page.go_back()
    page.wait_for_url(re.compile(r"/masks\?"))
    assert bar_comes_to(page, CHOSEN)
    page.get_by_role("button", name="Clear", exact=True).click()
    settle(page)
    assert "where" not in one.query()
    visit(page, "Errors")
    settle(page)
    assert "where" not in one.query()


@pytest.mark.exhaustive("test_view__opens_the_same… opens such a link")
def test_copy_link__puts_the_whole_link_into_the_clipboard(visitor, address):
    one = visitor(permissions=["clipboard-read", "clipboard-write"])
    page = one.open(f"{address}/images?where={quote('split=val')}")
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_selector("text=Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert parse_qs(urlsplit(copied).query) == {"study": ["demo"], "where": ["split=val"]}


@pytest.mark.exhaustive("test_view__opens_the_same… opens such a link")
def test_copy_link__without_the_clipboard_of_a_secure_page(visitor, address):
    one = visitor()
    one.run_first(
        "Object.defineProperty(window, 'isSecureContext', {value: false});"
        "document.execCommand = (what) => {"
        " window.copied = what === 'copy' && document.activeElement.value; return true; };"
    )
    page = one.open(f"{address}/images?study=seen")
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_selector("text=Copied")
    assert page.evaluate("window.copied") == page.url


@pytest.mark.exhaustive("test_view__opens_the_same… opens such a link")
def test_save_a_slice__and_another_browser_applies_it(reader, visitor, address, served):
    page = reader().open(f"{address}/images?study=demo&where={quote('label=ant split=val')}")
    page.get_by_role("button", name="Slices").last.click()
    page.get_by_role("textbox", name="Save the filter as").fill("held out <b>ants</b>")
    page.keyboard.press("Enter")
    settle(page)
    page.get_by_role("button", name="Save", exact=True).click()
    try:
        page.wait_for_selector("text=held out <b>ants</b> (20)")
        assert saved_slices.texts(served / "demo") == {"held out <b>ants</b>": "split=val label=ant"}
        other = visitor()
        fresh = other.open(f"{address}/images?study=demo")
        press(fresh, "held out <b>ants</b> (20)")
        settle(fresh)
        assert other.query()["where"] == ["split=val label=ant"]
        expect(fresh.locator(".st-key-filter_bar")).to_contain_text(re.compile(r"20 of \d+"))
    finally:
        saved_slices.delete(served / "demo", "held out <b>ants</b>")


@pytest.mark.exhaustive("test_view__opens_the_same… opens such a link")
def test_link_to_the_page_itself__changes_its_address(reader, address):
    one = reader()
    page = one.open(f"{address}/features?study=demo&features_as=Table")
    page.locator(".st-key-link_features a").click()
    page.wait_for_url(re.compile(r"/features\?study=demo$"))
    settle(page)
    assert "features_as" not in one.query()
    expect(page.get_by_role("radio", name="Cards", exact=True)).to_be_checked()


@pytest.mark.exhaustive("test_view__opens_the_same… opens such a link")
def test_link__survives_a_restart_of_the_server(visitor, served, tmp_path):
    studies: Path = shutil.copytree(served / "demo", tmp_path / "studies" / "demo").parent
    saved_slices.save(studies / "demo", "mine", Slice(labels=("ant", "bee")))
    port, one = free_port(), visitor()
    query = f"where={quote('@mine split=val')}&quality_plot=ROC&quality_cutoff=35"
    with dashboard(studies, port=port) as url:
        page = one.open(f"{url}/predicting_errors?{query}")
        before, link = said(page), one.query()
    page.goto("about:blank")
    one.errors.clear()  # the page lost its server
    with dashboard(studies, port=port) as url:
        page = one.open(f"{url}/predicting_errors?{query}")
        assert said(page) == before
        assert one.query() == link


HOSTILE = (
    "where=%3Cscript%3Ewindow.stolen%3D1%3C%2Fscript%3E",
    "where=label%3D%22%3Cimg%20src%3Dx%20onerror%3Dwindow.stolen%3D1%3E%22",
    "where=%40%22..%2F..%2F..%2Fetc%2Fpasswd%22",
    "study=..%2F..%2F..%2Fetc",
    "slice=%3Cscript%3Ewindow.stolen%3D1%3C%2Fscript%3E",
    "image=..%2F..%2Fetc%2Fpasswd",
    "%3Cscript%3Ewindow.stolen%3D1%3C%2Fscript%3E=1",
    "where=" + "%2528" * 400,
)


@pytest.mark.exhaustive("test_view__opens_the_same… opens such a link")
@pytest.mark.parametrize("query", sample(HOSTILE, 2))
def test_hostile_parts_of_a_link_are_harmless(reader, address, query):
    page = reader().open(f"{address}/errors?{query}")
    page.wait_for_timeout(300)
    settle(page)
    assert page.evaluate("window.stolen") is None
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.locator("[data-testid=stAlert]").count() >= 1
