"""Questions to the index of a basis on positions: where a latent is active, what is like a point.

`PEREGRINE_BENCH_IMAGES` makes it smaller. At 100,000 images the made-up study takes 2.3 GB in build/bench,
which are free again at the end.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import Result, in_own_process

FOLDER = Path("build/bench/positions")
N_IMAGES = int(os.environ.get("PEREGRINE_BENCH_IMAGES", 100_000))
SIDE, LATENTS, K, QUESTIONS = 7, 16_384, 32, 60
GOAL, MEMORY = 0.3, 4096  # seconds for 95 of 100 questions; MiB
MIB = 1024**2


def run() -> Iterator[Result]:
    sizes = map(str, (N_IMAGES, SIDE, LATENTS, K, QUESTIONS))
    try:
        measured = in_own_process("benchmarks.measure_positions", str(FOLDER), *sizes)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
    of = f"{N_IMAGES:,} images of {SIDE * SIDE} positions, {LATENTS:,} latents, {K} active"
    for name in ("similar", "at_position", "strongest"):
        median, often, most = measured[name]
        detail = f"95th percentile, {of}; median {median:.4f} s, at most {most:.3f} s"
        yield Result(f"positions: {name}", often, "s", GOAL, False, detail)
    detail = f"{measured['entries']:,} entries, {measured['index_bytes'] / MIB:,.0f} MiB on disk, "
    detail += f"written in {measured['index_s']:.0f} s"
    yield Result("positions: index, memory", measured["peak"] / MIB, "MiB", MEMORY, False, detail)
