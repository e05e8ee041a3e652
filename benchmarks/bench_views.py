"""Switching between all views of a study of 100,000 images: from the click until what is seen is drawn."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.browsing import open_page, tour
from benchmarks.results import Result
from benchmarks.studies import FOLDER
from tests.browser.harness import chromium, dashboard, find_browser
from tests.synthetic import make_study

SERVED = FOLDER / "served"
ROUNDS = 6
GOAL_MS = 300.0
PAUSE_MS = 400  # charts out of sight finish drawing before the next click
ON_SERVER = ("features", "predicting_errors", "images", "overview")


def large_labelled_study() -> Path:
    """100,000 images with every step done, kept for the next run."""
    folder = SERVED / "large"
    if not (folder / "quality.parquet").exists():
        for stale in (folder, folder.with_name("large.input")):
            shutil.rmtree(stale, ignore_errors=True)
        make_study(folder, n_train=90_000, n_val=10_000, n_features=256, n_classes=10, pictures=False)
    return folder


def switches_in_browser() -> list[tuple[str, float]]:
    """Every switch after a first round that fills the caches."""
    with dashboard(SERVED.resolve()) as address, chromium() as browser:
        page = open_page(browser, address)
        tour(page, rounds=1, pause_ms=PAUSE_MS)
        return tour(page, rounds=ROUNDS, pause_ms=PAUSE_MS)


def switches_on_server() -> list[tuple[str, float]]:
    """The server's share alone, for machines without a browser."""
    import os

    from streamlit.testing.v1 import AppTest

    os.environ["PEREGRINE_STUDIES"] = str(SERVED.resolve())
    app = AppTest.from_file(str(Path("dashboard/main.py").resolve()), default_timeout=60).run()
    taken: list[tuple[str, float]] = []
    for number in range(ROUNDS + 1):
        for name in ON_SERVER:
            began = time.perf_counter()
            app.switch_page(f"views/{name}.py").run()
            if number:
                taken.append((name, 1000 * (time.perf_counter() - began)))
    return taken


def slowest(taken: list[tuple[str, float]]) -> str:
    """The view with the largest median, and that median."""
    medians = {path: np.median([ms for other, ms in taken if other == path]) for path, _ in taken}
    path = max(medians, key=lambda name: medians[name])
    return f"slowest {path.strip('/') or 'overview'}, median {medians[path]:.0f} ms"


def run() -> Iterator[Result]:
    large_labelled_study()
    in_browser = find_browser() is not None
    taken = switches_in_browser() if in_browser else switches_on_server()
    where = "click to drawn page in Chromium" if in_browser else "server only, no browser found"
    milliseconds = [ms for _, ms in taken]
    detail = (
        f"100,000 images, {len(taken)} switches, {where}, median {np.median(milliseconds):.0f} ms, "
        f"{slowest(taken)}"
    )
    yield Result("views: switch, p95", float(np.percentile(milliseconds, 95)), "ms", GOAL_MS, False, detail)
