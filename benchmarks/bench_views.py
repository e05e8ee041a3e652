"""Switching between views of a study of 100,000 images: from the click until the page has been drawn."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.results import Result
from benchmarks.studies import FOLDER
from tests.browser.harness import chromium, dashboard, find_browser, settle
from tests.synthetic import make_study

SERVED = FOLDER / "served"
ROUNDS = 8
GOAL_MS = 300.0
TITLES = {"Features": "Features", "Quality": "Quality", "Images": "Images", "Overview": "large"}

# Clicks a link of the sidebar and resolves to the milliseconds until title and script are there.
SWITCH = """([name, title]) => new Promise(resolve => {
  const links = [...document.querySelectorAll('[data-testid=stSidebarNavLink]')];
  const began = performance.now();
  links.find(link => link.textContent.includes(name)).click();
  const look = () => {
    const heading = document.querySelector('h1');
    const app = document.querySelector('[data-testid=stApp]');
    const there = heading && heading.textContent.trim() === title;
    if (there && app.dataset.testScriptState === 'notRunning') resolve(performance.now() - began);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""


def large_labelled_study() -> Path:
    """100,000 images with every step done, kept for the next run."""
    folder = SERVED / "large"
    if not (folder / "quality.parquet").exists():
        for stale in (folder, folder.with_name("large.input")):
            shutil.rmtree(stale, ignore_errors=True)
        make_study(folder, n_train=90_000, n_val=10_000, n_features=256, n_classes=10, pictures=False)
    return folder


def switches_in_browser() -> list[float]:
    """Milliseconds of every switch after a first round that fills the caches."""
    taken: list[float] = []
    with dashboard(SERVED.resolve()) as address, chromium() as browser:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("h1")
        settle(page)
        for number in range(ROUNDS + 1):
            for name, title in TITLES.items():
                milliseconds = page.evaluate(SWITCH, [name, title])
                page.wait_for_timeout(400)  # charts finish drawing before the next click
                if number:
                    taken.append(milliseconds)
    return taken


def switches_on_server() -> list[float]:
    """The server's share alone, for machines without a browser."""
    import os

    from streamlit.testing.v1 import AppTest

    os.environ["PEREGRINE_STUDIES"] = str(SERVED.resolve())
    app = AppTest.from_file(str(Path("dashboard/main.py").resolve()), default_timeout=60).run()
    taken: list[float] = []
    for number in range(ROUNDS + 1):
        for name in TITLES:
            began = time.perf_counter()
            app.switch_page(f"views/{name.lower()}.py").run()
            if number:
                taken.append(1000 * (time.perf_counter() - began))
    return taken


def run() -> Iterator[Result]:
    large_labelled_study()
    in_browser = find_browser() is not None
    taken = switches_in_browser() if in_browser else switches_on_server()
    where = "click to drawn page in Chromium" if in_browser else "server only, no browser found"
    detail = f"100,000 images, {len(taken)} switches, {where}, median {np.median(taken):.0f} ms"
    yield Result("views: switch, p95", float(np.percentile(taken, 95)), "ms", GOAL_MS, False, detail)
