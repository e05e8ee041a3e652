"""A query by text: read by CLIP in its own process, and compared with all rows of an index of 512 numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import Result, in_own_process

FOLDER = Path("build/bench/search")
WIDTH, REPEATS = 512, 7
SIZES = (5_000, 100_000, 1_281_167)  # the embedded study, and ImageNet's train images
GOAL = 1.0  # seconds
MIB = 1024**2


def run() -> Iterator[Result]:
    for n_images in SIZES:
        measured = in_own_process(
            "benchmarks.measure_search", str(FOLDER), str(n_images), str(WIDTH), str(REPEATS)
        )
        detail = (
            f"medians of {REPEATS}: text {measured['text_s']:.3f} s, compared {measured['warm_s']:.3f} s "
            f"(at most {measured['slowest_s']:.2f} s, processor {measured['cpu_s']:.2f} s, from the disk "
            f"{measured['cold_s']:.2f} s, a fifth of the images {measured['fifth_s']:.3f} s); CLIP loaded in "
            f"{measured['loading_s']:.1f} s"
        )
        seconds = measured["text_s"] + measured["warm_s"]
        yield Result(f"search {n_images:,} images", seconds, "s", GOAL, False, detail)
        above, detail = measured["above"] / MIB, "above a search in one chunk"
        yield Result(f"search {n_images:,} memory", above, "MiB", 64, False, detail)
