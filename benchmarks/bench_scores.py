"""features + quality with the scores of docs/method.md 2.7, against the same without them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from benchmarks.results import Result, in_own_process
from benchmarks.studies import large_study

N_IMAGES = int(os.environ.get("PEREGRINE_BENCH_IMAGES", 200_000))
N_FEATURES = int(os.environ.get("PEREGRINE_BENCH_FEATURES", 2048))


def run() -> Iterator[Result]:
    folder = large_study(f"scores_{N_IMAGES}_{N_FEATURES}", N_IMAGES, N_FEATURES)
    taken = in_own_process("benchmarks.measure_scores", str(folder), "3")
    detail = (
        f"{N_IMAGES:,} x {N_FEATURES:,}, with {taken['with_s']:.2f} s, without {taken['without_s']:.2f} s; "
        f"step neighbours not in it"
    )
    yield Result("scores of 2.7 / without", taken["with_s"] / taken["without_s"], "x", 1.3, False, detail)
