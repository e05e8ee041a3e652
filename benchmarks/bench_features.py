"""features + quality over 200,000 x 2,048 float32, against only reading the array."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.results import Result, in_own_process
from benchmarks.studies import large_study

GIB = 1024**3


def run() -> Iterator[Result]:
    folder = large_study("features", 200_000, 2048)
    measured = in_own_process("benchmarks.measure_features", str(folder), "3")
    detail = f"reading {measured['read_s']:.2f} s, features + quality {measured['work_s']:.2f} s"
    yield Result("features+quality / read", measured["read_s"] / measured["work_s"], "x", 0.5, True, detail)
    above = (measured["peak"] - measured["start"]) / GIB
    yield Result(
        "features+quality memory", above, "GiB", 1.0, False, "above the interpreter with torch loaded"
    )
