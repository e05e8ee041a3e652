"""Features and quality of 1,281,167 images in a basis of 32,768 latents, 32 active on each: rate and memory.

`PEREGRINE_BENCH_IMAGES` makes it smaller, to try the benchmark itself. Codes are made up and written chunk by
chunk. With what the steps write they take 1.5 GB in build/bench, which are free again at the end.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.results import Result, in_own_process, peak_bytes
from benchmarks.studies import FOLDER, image_table
from core.bases.basis import STEP, TABLE
from core.jobs.progress import Progress
from core.pipeline.memory import keep_freed_memory
from core.pipeline.run import run_step
from core.storage.chunked_array import CHUNK_ROWS
from core.storage.layers import layer
from core.storage.writer import StepWriter, write_study

N_IMAGES = int(os.environ.get("PEREGRINE_BENCH_IMAGES", 1_281_167))
LATENTS, K, WIDTH, N_CLASSES = 32_768, 32, 8, 1000
GIB, MOST_GIB, MOST_MINUTES = 1024**3, 4.0, 10.0
STUDY, NAME = FOLDER / "bases_scale", "made-up"
CARD = {"name": NAME, "kind": "topk", "size": LATENTS, "k": K, "on": "pooled", "activation": "topk"}

Made = Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]


def run() -> Iterator[Result]:
    shutil.rmtree(STUDY, ignore_errors=True)
    try:
        _write_study()
        for name in ("features", "quality"):
            measured = in_own_process("benchmarks.bench_bases_scale", name)
            rate = N_IMAGES / measured["seconds"]
            about = f"{N_IMAGES:,} images, {LATENTS:,} latents, {K} active on each, {N_CLASSES:,} classes"
            yield Result(f"{name}: memory", measured["peak"] / GIB, "GiB", MOST_GIB, False, about)
            detail = f"{rate:,.0f} images/s of {measured['cpu'] / measured['seconds']:.1f} cores"
            yield Result(f"{name}: time", measured["seconds"] / 60, "min", MOST_MINUTES, False, detail)
    finally:
        shutil.rmtree(STUDY, ignore_errors=True)


def _write_study() -> None:
    """Images with labels, representations that no step in a basis reads, and codes."""
    with write_study(STUDY) as writer:
        with writer.step("embed", {}) as step:
            step.table("images", image_table(N_IMAGES, N_CLASSES))
            _write_chunks(step, "representations", lambda rng, n: (rng.random((n, WIDTH), np.float32),))
            step.summary = {"n_images": N_IMAGES, "encoder": {"n_features": WIDTH, "nonnegative": True}}
        with writer.step(STEP.format(name=NAME), {}) as step:
            table = TABLE.format(name=NAME)
            _write_chunks(step, f"{table}_count {table}_features {table}_values", _codes)
            step.vector(f"{table}_decoder", np.random.default_rng(0).random((LATENTS, WIDTH), np.float32))
            step.vector(f"{table}_offset", np.zeros(WIDTH, np.float32))
            step.summary = {"basis": CARD}


def _write_chunks(step: StepWriter, names: str, made: Made) -> None:
    n_chunks = -(-N_IMAGES // CHUNK_ROWS)
    for chunk in range(n_chunks):
        n = min(CHUNK_ROWS, N_IMAGES - chunk * CHUNK_ROWS)
        for name, values in zip(names.split(), made(np.random.default_rng(chunk), n), strict=True):
            step.array(name).put(chunk, values)
    for name in names.split():
        step.finish_array(name, n_chunks)


def _codes(rng: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    """Count, latents and codes of n images: each has a latent of each of K ranges, most often a low one."""
    within = LATENTS // K
    latents = np.arange(K) * within + (within * rng.random((n, K)) ** 3).astype(np.int32)
    values = rng.gamma(2.0, size=(n, K))
    return np.full(n, K, np.int32), latents.astype(np.int32).ravel(), values.astype(np.float32).ravel()


def _measure(step: str) -> None:
    keep_freed_memory()  # as every command does
    began, cpu = time.perf_counter(), time.process_time()
    run_step(step, layer(STUDY, NAME), {"redo": True}, Progress.silent())
    seconds, used = time.perf_counter() - began, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": used, "peak": peak_bytes()}))


if __name__ == "__main__":
    _measure(sys.argv[1])
