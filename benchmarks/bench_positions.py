"""Questions to the index of a basis on positions: where a latent is active, what is like a point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import Result, in_own_process

FOLDER = Path("build/bench/positions")
N_IMAGES, SIDE, LATENTS, K, QUESTIONS = 100_000, 7, 16_384, 32, 60
GOAL, MEMORY = 0.3, 4096  # seconds for 95 of 100 questions; MiB
MIB = 1024**2


def run() -> Iterator[Result]:
    sizes = map(str, (N_IMAGES, SIDE, LATENTS, K, QUESTIONS))
    measured = in_own_process("benchmarks.measure_positions", str(FOLDER), *sizes)
    of = f"{N_IMAGES:,} images of {SIDE * SIDE} positions, {LATENTS:,} latents, {K} active"
    for name in ("similar", "at_position", "strongest"):
        median, often, most = measured[name]
        detail = f"95th percentile, {of}; median {median:.4f} s, at most {most:.3f} s"
        yield Result(f"positions: {name}", often, "s", GOAL, False, detail)
    detail = f"{measured['entries']:,} entries, {measured['index_bytes'] / MIB:,.0f} MiB on disk, "
    detail += f"written in {measured['index_s']:.0f} s"
    yield Result("positions: index, memory", measured["peak"] / MIB, "MiB", MEMORY, False, detail)
