"""My figures in a real Chromium: marked on two pages, listed, captioned, and handed out as one .zip."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import expect

from tests.browser import axe
from tests.browser.harness import settle, visit

pytestmark = pytest.mark.browser
DRAWN = "(document.querySelector('.js-plotly-plot')?._fullData ?? []).length > 0"
PAPER = "() => document.querySelectorAll('[class*=st-key-kept_] .js-plotly-plot').length === 2"


def mark(page, chart: str, said: str) -> None:
    page.locator(f".st-key-{chart}_framed .peregrine-menu .more").last.focus()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="To my figures", exact=True).click()
    expect(page.locator("#peregrine-toast")).to_contain_text(said)


def test_figures__are_marked_listed_and_handed_out(visitor, address):
    one = visitor()
    page = one.open(f"{address}/predicting_errors?study=seen&quality_plot=Distribution&where=label%3Dbee")
    page.wait_for_function(DRAWN)
    mark(page, "score_histogram", "1 figure")
    page = one.open(f"{address}/heatmaps?study=seen")  # another session, which the tab tells of the first one
    page.wait_for_selector(".st-key-heat_framed .peregrine-menu")
    settle(page)
    mark(page, "heat", "2 figures")
    page.locator("#peregrine-toast").get_by_role("button").click()
    page.wait_for_function(PAPER)
    caption = page.get_by_label("Caption").first
    caption.fill("Bees & others")
    caption.blur()
    settle(page)
    assert axe.violations(page) == []
    with page.expect_download(timeout=90_000) as waiting:
        page.get_by_role("button", name="Download 2 figures").click()
    with zipfile.ZipFile(io.BytesIO(Path(waiting.value.path()).read_bytes())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    histogram, heat = sorted(name for name in files if name.endswith(".pdf"))
    assert files[histogram].startswith(b"%PDF") and files[heat].startswith(b"%PDF")
    numbers = pd.read_csv(io.BytesIO(files[histogram.replace(".pdf", ".csv")]))
    assert set(numbers["slice"]) == {"split=val label=bee"}
    document = files["figures.tex"].decode()
    assert r"\caption{Bees \& others}" in document and f"{{{heat}}}" in document
    page.reload()
    page.wait_for_function(PAPER)
    page.get_by_role("button", name="Remove").first.click()
    expect(page.get_by_label("Caption")).to_have_count(1)


def test_figure__moved_by_keys_keeps_the_focus(visitor, address):
    one = visitor()
    page = one.open(f"{address}/predicting_errors?study=seen&quality_plot=Distribution")
    page.wait_for_function(DRAWN)
    mark(page, "score_histogram", "1 figure")
    page = one.open(f"{address}/heatmaps?study=seen")
    page.wait_for_selector(".st-key-heat_framed .peregrine-menu")
    settle(page)
    mark(page, "heat", "2 figures")
    page.locator("#peregrine-toast").get_by_role("button").click()
    page.wait_for_function(PAPER)
    settle(page)
    earlier, later = (page.get_by_role("button", name=name) for name in ("Earlier", "Later"))
    moved = page.get_by_label("Caption").last.input_value()
    earlier.last.focus()
    for key, is_first in (("Enter", True), ("Enter", False), ("Space", True)):
        page.keyboard.press(key)
        expect(page.get_by_label("Caption").nth(0 if is_first else 1)).to_have_value(moved)
        expect(later.first if is_first else earlier.last).to_be_focused()
        settle(page)
        expect(later.first if is_first else earlier.last).to_be_focused()


def test_figure__is_marked_although_the_reader_goes_on_at_once(visitor, address):
    page = visitor().open(f"{address}/heatmaps?study=seen")
    page.wait_for_selector(".st-key-heat_framed .peregrine-menu")
    settle(page)
    page.locator(".st-key-heat_framed .peregrine-menu .more").last.focus()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="To my figures", exact=True).click()
    visit(page, "Figures")
    expect(page.get_by_label("Caption")).to_have_count(1)
