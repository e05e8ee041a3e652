"""The strip below a page where a job reports: it moves and covers nothing, folds, and knows who looks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from core.study.commands import RunStep
from tests.browser.harness import IDLE, Visitor, dashboard, settle
from tests.dashboard.conftest import remember, write_progress
from tests.synthetic import make_study

pytestmark = pytest.mark.browser

STRIP, MAIN = ".st-key-job_strip_row", "[data-testid=stMain]"
TOKENS: dict[str, Any] = {
    "PEREGRINE_TOKEN": "correct horse battery staple",
    "PEREGRINE_GUEST_TOKEN": "only looks at everything",
}
# Where everything of the page stands that has a size, by its text: of the sidebar, too.
PLACES = """() => [...document.querySelectorAll("h1, h2, button, a, img, [data-testid=stCaptionContainer]")]
  .filter((one) => !one.closest(".st-key-job_strip_row") && one.getClientRects().length)
  .map((one) => [one.tagName + one.textContent.replaceAll("\\u00a0", " ").slice(0, 30),
    ["x", "y", "width", "height"].map((side) => one.getBoundingClientRect()[side])])"""
NEARLY = 2.5  # px: Chromium rounds the end of a scrolled page
TO_THE_END = f"document.querySelector('{MAIN}').scrollTop = 1e6"


@pytest.fixture(scope="module")
def shared(chrome: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A server with tokens, and a study of its own."""
    studies = tmp_path_factory.mktemp("shared")
    make_study(studies / "demo", n_train=120, n_val=80)
    with dashboard(studies, **TOKENS) as url:
        yield url, studies / "demo"


@pytest.fixture
def enter(shared: tuple[str, Path], visitor: Callable[..., Visitor]) -> Iterator[Callable[..., Any]]:
    """Open a page in a browser of its own, which came in by a link."""
    url, study = shared

    def opened(path: str, token: str = "PEREGRINE_TOKEN") -> Any:
        page = visitor(bypass_csp=False).page
        page.goto(f"{url}/?enter#{TOKENS[token].replace(' ', '%20')}")
        page.wait_for_selector(IDLE)
        assert TOKENS[token].split()[0] not in page.url
        page.goto(f"{url}{path}")
        page.wait_for_selector("h1")
        settle(page)
        return page

    yield opened
    (study / "progress.json").unlink(missing_ok=True)


def places(page: Any) -> list[tuple[str, list[float]]]:
    """Where everything is once it has come to rest."""
    now = page.evaluate(PLACES)
    for _ in range(20):
        page.wait_for_timeout(300)
        before, now = now, page.evaluate(PLACES)
        if now == before:
            break
    return now


def moved(before: list[tuple[str, list[float]]], after: list[tuple[str, list[float]]]) -> list[str]:
    """What stands elsewhere, came or went."""
    if [name for name, _ in before] != [name for name, _ in after]:
        return sorted({name for name, _ in before} ^ {name for name, _ in after}) or ["another order"]
    pairs = zip(before, after, strict=True)
    return [one[0] for one, other in pairs if not np.allclose(one[1], other[1], atol=NEARLY)]


@pytest.mark.parametrize(
    ("path", "record"),
    [
        ("/?study=demo", {"stage": "map"}),
        ("/images?study=demo", {"state": "failed", "error": "no answer 'probe'"}),
    ],
)
def test_strip__moves_and_covers_nothing(enter, shared, path: str, record: dict[str, str]):
    _, study = shared
    page = enter(path)
    top = places(page)
    page.evaluate(TO_THE_END)
    end = places(page)
    write_progress(study, **record)
    page.reload()
    page.wait_for_selector("h1")
    settle(page)
    expect(page.locator(STRIP)).to_be_visible()
    assert moved(top, places(page)) == []
    for is_folded in (False, True):
        if is_folded:
            page.get_by_role("button", name="Fold", exact=True).click()
        strip, main = (page.locator(one).bounding_box() for one in (STRIP, MAIN))
        assert main["y"] + main["height"] <= strip["y"] + 1  # the page ends above it
        page.evaluate(TO_THE_END)
        assert moved(end, places(page)) == []


def test_strip__folds_by_keyboard_and_stays_folded(enter, shared):
    url, study = shared
    write_progress(study, stage="map", run=1, runs=2)
    page = enter("/?study=demo")
    unfolded = page.locator(STRIP).bounding_box()["height"]
    expect(page.locator(STRIP).get_by_text("run 1 of 2")).to_be_visible()
    page.get_by_role("button", name="Fold", exact=True).focus()
    page.keyboard.press("Enter")
    button = page.get_by_role("button", name="Show what runs")
    expect(button).to_be_focused()
    expect(button).to_have_attribute("aria-expanded", "false")
    expect(page.locator(STRIP).get_by_text("run 1 of 2")).to_be_hidden()
    for path in ("/?study=demo", "/images?study=demo"):
        page.goto(f"{url}{path}")
        page.wait_for_selector("h1")
        settle(page)
        assert page.locator(STRIP).bounding_box()["height"] < unfolded * 0.7
    page.get_by_role("button", name="Show what runs").press("Space")
    expect(page.locator(STRIP).get_by_text("run 1 of 2")).to_be_visible()


def test_strip__cancel_is_for_the_browser_that_began_it(enter, shared, monkeypatch):
    from dashboard.server.rules import public_name

    url, study = shared
    mine, other = enter("/?study=demo"), enter("/?study=demo")
    guest = enter("/?study=demo", "PEREGRINE_GUEST_TOKEN")
    secrets = [cookie["value"] for cookie in mine.context.cookies() if cookie["name"].endswith("_browser")]
    write_progress(study, stage="map")
    remember(study, RunStep("map", study), os.getpid(), browser=public_name(secrets[0]))
    for page, cancels in ((mine, 1), (other, 0), (guest, 0)):
        page.reload()
        page.wait_for_selector("h1")
        settle(page)
        expect(page.locator(STRIP)).to_be_visible()
        expect(page.get_by_role("button", name="Cancel")).to_have_count(cancels)


def test_guest__is_told_once_and_offered_nothing_that_is_refused(enter):
    page = enter("/images?study=demo", "PEREGRINE_GUEST_TOKEN")
    expect(page.get_by_text("Read-only")).to_have_count(1)
    for name in ("New study", "Manage", "Tag", "Note", "Save as slice", "Undo"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
        expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)
