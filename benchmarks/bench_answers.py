"""Answers: what a head adds to `embed`, k-NN against its bare products, and switching the answer of a page.

`PEREGRINE_BENCH_IMAGES` and `PEREGRINE_BENCH_FEATURES` make the study that is browsed smaller, the former
also the keys.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.bench_large import N_FEATURES, N_IMAGES, p95, served
from benchmarks.browsing import FILTERED, open_page, slowest_of
from benchmarks.results import Result
from benchmarks.studies import FOLDER
from core.answers.knn import QUERIES, block_rows, nearest, unit, vote
from core.answers.requests import add_answer
from core.common.device import resolve_device
from core.pipeline.run import run_step
from core.store import Study
from core.study.progress import Progress
from tests.browser.harness import chromium, dashboard, find_browser

IMAGES, ENCODER = "glyphworld?train=300&val=200", "asset:efficientnet_lite0"
REPEATS, ROUNDS = 3, 5
WIDTH, N_CLASSES = 512, 1000
N_QUERIES, ON_CPU = 50_000, 2 * QUERIES  # queries of all N_IMAGES keys, and those of them that a CPU takes
ANSWER = "made-up"
# Chooses the other answer in the sidebar; its menu is opened before the clock starts.
OPEN = """() => [...document.querySelectorAll('[data-testid=stSidebar] [data-testid=stSelectbox]')]
  .find(one => one.textContent.includes('Whose mistakes')).querySelector('[role=combobox], input').focus()"""
CHOOSE = """() => window.timed(
  () => [...document.querySelectorAll('[role=option]')]
    .find(option => option.getAttribute('aria-selected') !== 'true').click(),
  ((before) => () => location.search !== before)(location.search),
)"""


def head_result() -> Result:
    """The seconds of the step that takes a head of 1,000 outputs, over those of `embed`."""
    folder = FOLDER / "answers"
    shutil.rmtree(folder, ignore_errors=True)
    began = time.perf_counter()
    run_step("embed", folder, {"images": IMAGES, "encoder": ENCODER, "device": "auto"}, Progress.silent())
    embed = time.perf_counter() - began
    classes = folder.with_suffix(".csv")
    _likely_labels(Study(folder)).to_csv(classes, index=False)
    taken = []
    for number in range(REPEATS):  # each with another setting, so that it is computed anew
        options = {"head_classes": str(classes), "restrict": number % 2 == 0}
        began = time.perf_counter()
        run_step("answers", folder, options, Progress.silent())
        taken.append(time.perf_counter() - began)
    detail = f"500 scenes by EfficientNet-Lite0: embed {embed:.1f} s, head {min(taken):.2f} s"
    return Result("answers: head / embed", min(taken) / embed, "x", 0.05, False, detail)


def _likely_labels(study: Study) -> pd.DataFrame:
    """For each output that wins on some images their most common label: a head that is not at chance, for
    which no other normalisations are tried (at most 256 images, however many there are).
    """
    logits = study.array("representations")[:] @ study.vector("head_weights").T + study.vector("head_bias")
    won = pd.DataFrame({"output": logits.argmax(1), "label": study.images["label"]})
    return won.groupby("output")["label"].agg(lambda labels: labels.mode()[0]).reset_index()


def knn_result() -> Result:
    """The products of the queries with all keys, which are stored in float16, over the same with the search
    and the vote.
    """
    device = resolve_device("auto")
    on_gpu = device.type == "cuda"
    n_queries, n_keys = N_QUERIES if on_gpu else ON_CPU, N_IMAGES
    generator = torch.Generator(device).manual_seed(0)
    dtype = torch.float16 if on_gpu else torch.float32

    def stored(n: int) -> torch.Tensor:
        return unit(torch.randn(n, WIDTH, generator=generator, device=device).half()).to(dtype)

    height, n_at_once = block_rows(device)
    starts = range(0, n_keys, n_at_once)
    parts = [stored(min(n_at_once, n_keys - start)) for start in starts]  # as `knn_answer` does
    queries, rows = stored(n_queries), torch.arange(n_keys, device=device)
    classes = torch.randint(0, N_CLASSES, (n_keys,), generator=generator, device=device)
    own = torch.arange(n_queries, device=device) + n_keys  # none is a key

    def bare() -> None:
        for block in queries.split(height):
            for part in parts:
                torch.mm(block, part.T)

    def whole() -> None:
        for block, rows_of in zip(queries.split(height), own.split(height), strict=True):
            cosines, places = nearest(block, rows_of, parts, rows)
            vote(cosines, classes[places], N_CLASSES)

    alone, taken = (min(_seconds(work, device) for _ in range(REPEATS)) for work in (bare, whole))
    detail = f"{n_queries:,} x {n_keys:,} x {WIDTH} of float16 in {str(dtype)[6:]} on {device}: "
    detail += f"products {alone:.1f} s, k-NN {taken:.1f} s, min of {REPEATS}"
    return Result("answers: products / k-NN", alone / taken, "x", 0.5, True, detail)


def _seconds(work: Callable[[], None], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def with_second_answer(folder: Path) -> None:
    """Add predictions that are right on three images of four, as a file."""
    study = Study(folder)
    if ANSWER in study.answers:
        return
    rng = np.random.default_rng(0)
    true = study.images["label"].to_numpy(object)
    predicted = np.where(rng.random(len(true)) < 0.75, true, rng.permutation(true))
    file = folder.with_name(f"{ANSWER}.parquet")
    confidence = rng.beta(5, 2, len(true))
    frame = {"image_id": study.images["image_id"], "predicted": predicted, "confidence": confidence}
    pd.DataFrame(frame).to_parquet(file)
    add_answer(folder, str(file), ANSWER, {}, Progress.silent())


def switches() -> Iterator[Result]:
    """Milliseconds from choosing the other answer until the page is drawn by it, after a first round."""
    folder = served()
    with_second_answer(folder / "large")
    taken: dict[str, list[float]] = {}
    with dashboard(folder) as address, chromium() as browser:
        page = open_page(browser.new_context(), address)
        for view in FILTERED:
            page.evaluate("path => window.visit(path)", f"/{view}")
            for number in range(2 * ROUNDS + 2):
                page.evaluate(OPEN)
                page.keyboard.press("ArrowDown")
                page.wait_for_selector("[role=option]")
                milliseconds = page.evaluate(CHOOSE)
                if number > 1:
                    taken.setdefault(view, []).append(milliseconds)
    every = [ms for view in taken.values() for ms in view]
    detail = f"{N_IMAGES:,} x {N_FEATURES:,}, {len(every)} switches on {len(taken)} views, "
    detail += f"median {np.median(every):.0f} ms, {slowest_of(taken)}"
    yield Result("answers: switch, p95", p95(every), "ms", 500.0, False, detail)


def run() -> Iterator[Result]:
    yield head_result()
    yield knn_result()
    if find_browser() is not None:
        yield from switches()


def on_a_gpu() -> Iterator[Result]:
    yield knn_result()
