"""Saving charts in a real Chromium: each format, by mouse and keyboard, on the light and the dark page."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.harness import settle

pytestmark = pytest.mark.browser
DRAWN = "(document.querySelector('.js-plotly-plot')?._fullData ?? []).length > 0"


def saved(page, button, *, key: str = "") -> tuple[str, bytes]:
    """Name and content of the file that a button saves, pressed by mouse or with a key."""
    with page.expect_download(timeout=60_000) as waiting:
        if key:
            button.focus()
            page.keyboard.press(key)
        else:
            button.click()
    return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


def test_each_format__by_mouse_and_keyboard(reader, address):
    page = reader().open(f"{address}/predicting_errors")
    page.wait_for_function(DRAWN)
    buttons = {
        name: page.get_by_role("button", name=f"Save as {name}: Distribution") for name in ("SVG", "PNG")
    }
    name, content = saved(page, buttons["SVG"])
    assert name == "quality_distribution.svg" and b"<svg" in content and b"Q-Score" in content
    name, content = saved(page, buttons["PNG"], key="Enter")
    assert name == "quality_distribution.png"
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.format == "PNG" and picture.width > 800
    name, content = saved(page, page.get_by_role("button", name="Data as CSV").last, key="Enter")
    assert name == "quality_distribution.csv"
    assert list(pd.read_csv(io.BytesIO(content)).columns) == [
        "left",
        "right",
        "all",
        "correct",
        "misclassified",
    ]
    settle(page)
    assert page.locator(".js-plotly-plot").count() >= 2  # nothing was rerun away


@pytest.mark.parametrize(("scheme", "ground"), [("light", (255, 255, 255)), ("dark", (16, 23, 31))])
def test_saved_picture__has_the_ground_of_the_page(reader, address, scheme, ground):
    page = reader(color_scheme=scheme).open(f"{address}/predicting_errors")
    page.wait_for_function(DRAWN)
    _, content = saved(page, page.get_by_role("button", name="Save as PNG: Distribution"))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.convert("RGBA").getpixel((1, 1)) == (*ground, 255)


@pytest.mark.parametrize("view", ["features", "predicting_errors"])
def test_every_chart_has_its_buttons(reader, address, view):
    page = reader().open(f"{address}/{view}")
    page.wait_for_function(DRAWN)
    charts = page.locator(".peregrine-plot").count()
    assert charts >= 2
    for name in ("SVG", "PNG"):
        expect(page.get_by_role("button", name=f"Save as {name}: ")).to_have_count(charts)
    assert page.get_by_role("button", name="Data as CSV").count() >= charts
