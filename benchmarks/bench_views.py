"""Switching between all views of a study of 100,000 images: from the click until what is seen is drawn."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.browsing import SEEN, cold_screens, filter_changes, open_page, slowest_of, tour
from benchmarks.results import Result
from benchmarks.studies import FOLDER
from core.measures import saved_slices
from core.measures.slice import Slice
from core.store import Study
from tests.browser.harness import chromium, dashboard, find_browser
from tests.synthetic import make_seen_study, make_study

SERVED, SERVED_SEEN = FOLDER / "served", FOLDER / "served_seen"
ROUNDS = 6
GOAL_MS = 300.0
PAUSE_MS = 400  # charts out of sight finish drawing before the next click
FILTER_MS, COLD_MS = 500.0, 1500.0
COLD = ("map", "predicting_errors")  # this study has no pictures
COLD_SEEN = ("", "images", "features", "heatmaps", "masks", "errors", "figures")
ON_SERVER = ("features", "predicting_errors", "images", "overview")


def large_labelled_study() -> Path:
    """100,000 images with every step done, kept for the next run."""
    folder = SERVED / "large"
    if not (folder / "quality.parquet").exists():
        for stale in (folder, folder.with_name("large.input")):
            shutil.rmtree(stale, ignore_errors=True)
        make_study(folder, n_train=90_000, n_val=10_000, n_features=256, n_classes=10, pictures=False)
    return folder


def seen_study() -> Path:
    """12,000 pictures with masks, 10,000 of them for evaluation, with heatmaps and overlaps; kept as well."""
    folder = SERVED_SEEN / "seen"
    if not (folder / "overlap_summary.parquet").exists():
        for stale in (folder, folder.with_name("seen.input")):
            shutil.rmtree(stale, ignore_errors=True)
        make_seen_study(folder, n_train=2000, n_val=10_000)
    return folder


def in_browser() -> Iterator[Result]:
    """Switches after a first round that fills the caches, changes of the filter, and cold screens."""
    folder = large_labelled_study()
    classes = saved_classes(folder)
    with dashboard(SERVED.resolve()) as address, chromium() as browser:
        page = open_page(browser.new_context(), address)
        tour(page, rounds=1, pause_ms=PAUSE_MS)
        yield switch_result(tour(page, rounds=ROUNDS, pause_ms=PAUSE_MS), "click to drawn page in Chromium")
        yield filter_result("views", filter_changes(page, classes, ROUNDS))
        page.context.close()
        yield cold_result("views", cold_screens(browser, address, COLD, ROUNDS))
    classes = saved_classes(seen_study())
    with dashboard(SERVED_SEEN.resolve()) as address, chromium() as browser:
        page = open_page(browser.new_context(), address)
        yield filter_result("seen", filter_changes(page, classes, ROUNDS, SEEN))
        page.context.close()
        yield cold_result("seen", cold_screens(browser, address, COLD_SEEN, ROUNDS))


def saved_classes(folder: Path) -> tuple[str, str]:
    """Two classes of the study, each saved as a slice of its name, so that one click chooses it."""
    first, second = sorted(Study(folder).images["label"].unique())[:2]
    for label in (first, second):
        saved_slices.save(folder, label, Slice(labels=(label,)))
    return first, second


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


def switch_result(taken: list[tuple[str, float]], where: str) -> Result:
    milliseconds = [ms for _, ms in taken]
    detail = (
        f"100,000 images, {len(taken)} switches, {where}, median {np.median(milliseconds):.0f} ms, "
        f"{slowest(taken)}"
    )
    return Result("views: switch, p95", float(np.percentile(milliseconds, 95)), "ms", GOAL_MS, False, detail)


def filter_result(bench: str, taken: dict[str, list[float]]) -> Result:
    """Changes of the filter, every number of the page computed again."""
    every = [ms for view in taken.values() for ms in view]
    detail = (
        f"{len(every)} changes on {len(taken)} views, median {np.median(every):.0f} ms, {slowest_of(taken)}"
    )
    return Result(f"{bench}: filter, p95", float(np.percentile(every, 95)), "ms", FILTER_MS, False, detail)


def cold_result(bench: str, taken: dict[str, list[float]]) -> Result:
    """First chart or picture of a view whose address a new browser calls: the median of the slowest."""
    medians = {view or "overview": float(np.median(milliseconds)) for view, milliseconds in taken.items()}
    detail = "medians: " + ", ".join(f"{view} {ms:.0f} ms" for view, ms in medians.items())
    return Result(f"{bench}: cold screen", max(medians.values()), "ms", COLD_MS, False, detail)


def run() -> Iterator[Result]:
    large_labelled_study()
    if find_browser() is not None:
        yield from in_browser()
    else:
        yield switch_result(switches_on_server(), "server only, no browser found")
