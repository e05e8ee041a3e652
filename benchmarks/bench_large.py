"""The dashboard on a study of ImageNet-1K's size (1,281,167 images x 2,048 features), in a real Chromium.

`PEREGRINE_BENCH_IMAGES` and `PEREGRINE_BENCH_FEATURES` make it smaller, to try the benchmark itself.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_views import cold_result, filter_result, slowest
from benchmarks.browsing import (
    FILTERED,
    NOT_A_VIEW,
    SERVER,
    cold_screens,
    filter_changes,
    open_page,
    processor_seconds,
    server_memory,
    tour,
)
from benchmarks.results import Result
from benchmarks.studies import FOLDER, judged_study
from core.measures import saved_slices
from core.measures.confusions import confusions
from core.measures.feature_rates import feature_differences
from core.measures.headline import headline
from core.measures.scores import score_aurocs
from core.measures.slice import Slice
from core.measures.slice_comparison import population
from core.store import Study
from tests.browser.harness import chromium, dashboard, find_browser

N_IMAGES = int(os.environ.get("PEREGRINE_BENCH_IMAGES", 1_281_167))
N_FEATURES = int(os.environ.get("PEREGRINE_BENCH_FEATURES", 2048))
N_CLASSES = 1000
CLASSES = ("class 0311", "class 0781")
GIB = 1024**3
STARTS, ROUNDS, USERS, USER_ROUNDS, BETWEEN_CLICKS_MS = 5, 5, 10, 2, 5000
SLICES = (
    *('label="class 0311"', 'label="class 0311" split=train', "correct=false", "split=train"),
    *("split=train correct=false", "confidence=0.7..", "split=train confidence=0.7.."),
)
INTERACTIONS, WARM = 1000, 200  # memory is compared between the two

# Turns the page of the gallery: ready once the pictures in sight have loaded.
TURN = """number => window.timed(
  () => [...document.querySelectorAll('[data-testid=stPagination] button')]
    .find(button => button.textContent.trim() === number).click(),
  ((before) => () => location.search !== before)(location.search),
)"""


def served() -> Path:
    """The folder that is served; it holds the one study."""
    folder = FOLDER / f"large_{N_IMAGES}_{N_FEATURES}"
    judged_study(folder / "large", N_IMAGES, N_FEATURES, n_classes=N_CLASSES)
    for label in CLASSES:
        saved_slices.save(folder / "large", label, Slice(labels=(label,)))
    return folder.resolve()


def cold_start(folder: Path, browser: Any) -> float:
    """Seconds from starting the server until the Overview is drawn."""
    began = time.perf_counter()
    with dashboard(folder) as address:
        context = browser.new_context()
        open_page(context, address)
        taken = time.perf_counter() - began
        context.close()
    return taken


def gallery_pages(page: Any) -> list[float]:
    """Milliseconds until another page of 48 tiles is there with its pictures."""
    page.evaluate("() => window.visit('/images')")
    return [page.evaluate(TURN, number) for _ in range(ROUNDS) for number in ("2", "3", "1")]


def growth(page: Any, address: str) -> tuple[float, float, float]:
    """GiB of the server after WARM interactions, after INTERACTIONS, and the most of all."""
    page.evaluate("() => { window.done = 0; }")
    held: list[tuple[int, int]] = []
    done = 0
    while done < INTERACTIONS:
        done += len(tour(page, rounds=1, pause_ms=0))
        held.append((done, server_memory(address)))
    warm = max(memory for number, memory in held if number <= max(WARM, held[0][0]))
    return warm / GIB, held[-1][1] / GIB, max(memory for _, memory in held) / GIB


def together(browser: Any, address: str, users: int) -> list[float]:
    """Milliseconds of every switch of view while so many users click every five seconds, each beginning with
    another view. All have been in every view before, as in the measurement of one.
    """
    pages = [open_page(browser.new_context(), address) for _ in range(users)]
    for page in pages:
        tour(page, rounds=1, pause_ms=100)
    for first, page in enumerate(pages):  # nobody waits for the other
        how = [USER_ROUNDS, BETWEEN_CLICKS_MS, NOT_A_VIEW, first]
        page.evaluate("how => { window.touring = window.tour(...how); }", how)
    taken: list[float] = []
    for page in pages:
        taken += [ms for _, ms in page.evaluate("() => window.touring")]
        page.context.close()
    return taken


def busy(address: str) -> np.ndarray:
    """(2,) seconds of processor time that the server, and the browsers of this machine, have taken."""
    return np.array([processor_seconds(SERVER, address.rpartition(":")[2]), processor_seconds("chrom")])


def p95(milliseconds: Sequence[float]) -> float:
    return float(np.percentile(milliseconds, 95))


def inspections(folder: Path) -> dict[str, list[float]]:
    """Milliseconds of each part of a slice's numbers, for slices from a class to half of the train images."""
    study = Study(folder / "large")
    taken: dict[str, list[float]] = {}
    for where in map(Slice.parse, SLICES):
        for _ in range(ROUNDS + 1):
            mask, against = population(study, where)
            parts = {
                "features": lambda m=mask, a=against: feature_differences(study, m, a),
                "headline": lambda m=mask: headline(study, m),
                "confusions": lambda m=mask: confusions(study, m),
                "scores": lambda m=mask: score_aurocs(study, m),
                "population": lambda w=where: population(study, w),
            }
            for name, compute in parts.items():
                began = time.perf_counter()
                compute()
                taken.setdefault(name, []).append(1000 * (time.perf_counter() - began))
    return taken


def inspection_results(folder: Path, size: str) -> Iterator[Result]:
    """The features of a slice alone, and all its numbers together."""
    taken = inspections(folder)
    features = taken["features"]
    detail = f"{size}, {len(features)} slices, median {np.median(features):.0f} ms"
    yield Result("large: features of a slice, p95", p95(features), "ms", 500.0, False, detail)
    together = [sum(parts) for parts in zip(*taken.values(), strict=True)]
    detail = ", ".join(f"{name} {np.median(ms):.0f} ms" for name, ms in taken.items())
    yield Result("large: numbers of a slice, p95", p95(together), "ms", 500.0, False, f"medians: {detail}")


def run() -> Iterator[Result]:
    size = f"{N_IMAGES:,} x {N_FEATURES:,}"
    folder = served()
    yield from inspection_results(folder, size)
    if find_browser() is None:
        return
    with chromium() as browser:
        cold = [cold_start(folder, browser) for _ in range(STARTS)]
        detail = f"{size}, median of {STARTS}, {min(cold):.1f} to {max(cold):.1f} s"
        yield Result("large: cold start", float(np.median(cold)), "s", 3.0, False, detail)
        with dashboard(folder) as address:
            page = open_page(browser.new_context(), address)
            tour(page, rounds=1, pause_ms=400)
            begun = busy(address)
            taken = tour(page, rounds=ROUNDS, pause_ms=400)
            server, browsers = 1000 * (busy(address) - begun) / len(taken)
            all_ms = [ms for _, ms in taken]
            detail = (
                f"{len(taken)} switches, median {np.median(all_ms):.0f} ms, {slowest(taken)}; processor time "
            )
            detail += f"of a switch: server {server:.0f} ms, browser {browsers:.0f} ms"
            yield Result("large: switch, p95", p95(all_ms), "ms", 300.0, False, detail)
            yield filter_result("large", filter_changes(page, CLASSES, ROUNDS))
            yield cold_result("large", cold_screens(browser, address, ("", *FILTERED), STARTS))
            page.goto(f"{address}/images")
            page.close()
            page = open_page(browser.new_context(), address)
            turns = gallery_pages(page)
            detail = f"{len(turns)} pages of 48 tiles, median {np.median(turns):.0f} ms"
            yield Result("large: gallery, p95", p95(turns), "ms", 500.0, False, detail)
            alone, many = together(browser, address, 1), together(browser, address, USERS)
            detail = f"p95 alone {p95(alone):.0f} ms, {USERS} users {p95(many):.0f} ms, {len(many)} switches"
            yield Result("large: ten users / one", p95(many) / p95(alone), "x", 2.0, False, detail)
            warm, end, most = growth(page, address)
            detail = f"after {WARM} interactions {warm:.2f} GiB, after {INTERACTIONS} {end:.2f} GiB"
            yield Result("large: memory", most, "GiB", 4.0, False, detail)
            yield Result("large: memory growth", end / warm, "x", 1.1, False, detail)
