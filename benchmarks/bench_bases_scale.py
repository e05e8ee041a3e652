"""Features and quality of 1,281,167 images in a basis of 32,768 latents, 32 active on each: rate and memory;
and the memory of fitting, encoding and indexing a basis on positions of 50,000 images.

`PEREGRINE_BENCH_IMAGES` makes it smaller, to try the benchmark itself. Codes are made up and written chunk by
chunk, and so are the tokens of positions, since an encoder's own memory does not depend on how many images
there are. What is written takes 1.5 GB in build/bench, and 9 GB for positions; it is deleted at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.results import Result, in_own_process, peak_bytes
from benchmarks.studies import FOLDER, image_table
from core.bases import requests
from core.bases.basis import STEP, TABLE
from core.common.memory import keep_freed_memory
from core.config import BasisConfig
from core.pipeline.run import run_step
from core.study.chunked_array import CHUNK_ROWS
from core.study.layers import layer
from core.study.progress import Progress
from core.study.writer import StepWriter, write_study

N_IMAGES = int(os.environ.get("PEREGRINE_BENCH_IMAGES", 1_281_167))
LATENTS, K, WIDTH, N_CLASSES = 32_768, 32, 8, 1000
GIB, MOST_GIB, MOST_MINUTES = 1024**3, 4.0, 10.0
STUDY, NAME, POSITIONS = FOLDER / "bases_scale", "made-up", "positions"
CARD = {"name": NAME, "kind": "topk", "size": LATENTS, "k": K, "on": "pooled", "activation": "topk"}

# Positions of a ViT-S/16, with the default number of latents. More steps of training take no more memory.
N_SEEN, GRID, TOKEN, STEPS = min(50_000, N_IMAGES), (14, 14), 384, 20
ON_POSITIONS = BasisConfig(kind="topk", size=8 * TOKEN, k=K, on="positions", seeds=1, steps=STEPS)

Made = Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]


def run() -> Iterator[Result]:
    yield from _measured(_of_images, N_IMAGES)
    yield from _measured(_on_positions, N_SEEN)


def _measured(rows: Callable[[], Iterator[Result]], n_images: int) -> Iterator[Result]:
    shutil.rmtree(STUDY, ignore_errors=True)
    try:
        _write_study(n_images)
        yield from rows()
    finally:
        shutil.rmtree(STUDY, ignore_errors=True)


def _of_images() -> Iterator[Result]:
    for name in ("features", "quality"):
        measured = in_own_process("benchmarks.bench_bases_scale", name)
        rate = N_IMAGES / measured["seconds"]
        about = f"{N_IMAGES:,} images, {LATENTS:,} latents, {K} active on each, {N_CLASSES:,} classes"
        yield Result(f"{name}: memory", measured["peak"] / GIB, "GiB", MOST_GIB, False, about)
        detail = f"{rate:,.0f} images/s of {measured['cpu'] / measured['seconds']:.1f} cores"
        yield Result(f"{name}: time", measured["seconds"] / 60, "min", MOST_MINUTES, False, detail)


def _on_positions() -> Iterator[Result]:
    measured = in_own_process("benchmarks.bench_bases_scale", POSITIONS)
    n = GRID[0] * GRID[1]
    about = f"{N_SEEN:,} images of {n} positions of {TOKEN} numbers, {ON_POSITIONS.size:,} latents, "
    about += f"{K} active; fit, codes and index in {measured['seconds'] / 60:.0f} min, "
    about += f"{measured['cpu'] / 60:.0f} min of processor time"
    yield Result("basis on positions: memory", measured["peak"] / GIB, "GiB", MOST_GIB, False, about)


class MadePositions:
    """Tokens in place of an encoder's: one of 64 directions, with noise; a `core.bases.vectors.Positions`."""

    grid, width, n = GRID, TOKEN, GRID[0] * GRID[1]

    def __init__(self, *_: Any) -> None:
        self.missing: list[tuple[int, str]] = []
        self.directions = torch.randn(64, TOKEN, generator=torch.Generator().manual_seed(0))

    def read(self, batches: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for rows in batches:
            drawn = torch.Generator().manual_seed(int(rows[0]))
            parts = torch.randint(0, 64, (len(rows), self.n), generator=drawn)
            noise = torch.randn(len(rows), self.n, TOKEN, generator=drawn)
            yield rows, self.directions[parts].add_(noise, alpha=0.3)


def _write_study(n_images: int) -> None:
    """Images with labels, representations that no step in a basis reads, and codes."""
    with write_study(STUDY) as writer:
        with writer.step("embed", {}) as step:
            step.table("images", image_table(n_images, N_CLASSES))
            _write_chunks(step, n_images, "representations", _vectors)
            step.summary = {"n_images": n_images, "encoder": {"n_features": WIDTH, "nonnegative": True}}
        with writer.step(STEP.format(name=NAME), {}) as step:
            table = TABLE.format(name=NAME)
            _write_chunks(step, n_images, f"{table}_count {table}_features {table}_values", _codes)
            step.vector(f"{table}_decoder", np.random.default_rng(0).random((LATENTS, WIDTH), np.float32))
            step.vector(f"{table}_offset", np.zeros(WIDTH, np.float32))
            step.summary = {"basis": CARD}


def _write_chunks(step: StepWriter, n_images: int, names: str, made: Made) -> None:
    n_chunks = -(-n_images // CHUNK_ROWS)
    for chunk in range(n_chunks):
        n = min(CHUNK_ROWS, n_images - chunk * CHUNK_ROWS)
        for name, values in zip(names.split(), made(np.random.default_rng(chunk), n), strict=True):
            step.array(name).put(chunk, values)
    for name in names.split():
        step.finish_array(name, n_chunks)


def _vectors(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    return (rng.random((n, WIDTH), np.float32),)


def _codes(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """Count, latents and codes of n images: each has a latent of each of K ranges, most often a low one."""
    within = LATENTS // K
    latents = np.arange(K) * within + (within * rng.random((n, K)) ** 3).astype(np.int32)
    values = rng.gamma(2.0, size=(n, K))
    return np.full(n, K, np.int32), latents.astype(np.int32).ravel(), values.astype(np.float32).ravel()


def _measure(step: str) -> None:
    keep_freed_memory()  # as every command does
    began, cpu = time.perf_counter(), time.process_time()
    if step == POSITIONS:
        requests.POSITIONS = "benchmarks.bench_bases_scale:MadePositions"
        requests.add_basis(STUDY, POSITIONS, ON_POSITIONS, Progress.silent(), device="cpu")
    else:
        run_step(step, layer(STUDY, NAME), {"redo": True}, Progress.silent())
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": used, "peak": peak_bytes()}))


if __name__ == "__main__":
    _measure(sys.argv[1])
