"""A published study in a real Chromium, from a file: it is searched, a feature opens, and no name runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from core.publish.site import write_site
from core.store import open_study
from tests.publish.test_report import NAMES, hostile

__all__ = ["hostile"]
pytestmark = [pytest.mark.browser, pytest.mark.exhaustive("tests/publish/test_site.py writes the same site")]


def test_a_site_opens_from_a_file(chrome, hostile: Path, tmp_path: Path) -> None:
    site = write_site(open_study(hostile), tmp_path / "site") / "index.html"
    page = chrome.new_page(viewport={"width": 820, "height": 800})
    problems, asked = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.goto(site.as_uri())
    expect(page.locator("#n-images")).to_have_text("24 images")
    page.select_option("#class", NAMES[1])
    of_class = int(page.locator("#n-images").inner_text().split()[0])
    assert 0 < of_class < 24
    assert set(page.locator("#images figcaption span:first-child").all_inner_texts()) == {NAMES[1]}
    page.select_option("#class", "")
    page.fill("#find", "stolen=1")  # a part of that name
    expect(page.locator("#n-images")).not_to_have_text("24 images")
    page.fill("#find", "")
    page.locator("#cards button").first.click()
    expect(page.locator("#panel-images img").first).to_be_visible()
    assert page.evaluate("[...document.images].every((one) => !one.complete || one.naturalWidth > 0)")
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 820
    assert page.evaluate("window.stolen") is None
    page.close()
    assert not problems and all(url.startswith(("file:", "data:")) for url in asked)
