"""features + quality at ImageNet-1K size (1,281,167 x 2,048, half precision): memory."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.results import Result, in_own_process
from benchmarks.studies import large_study

GIB = 1024**3


def run() -> Iterator[Result]:
    folder = large_study("imagenet", 1_281_167, 2048, dtype="float16", n_classes=1000)
    measured = in_own_process("benchmarks.measure_features", str(folder), "1")
    detail = f"features + quality took {measured['work_s']:.0f} s, reading {measured['read_s']:.0f} s"
    yield Result("ImageNet size memory", measured["peak"] / GIB, "GiB", 4.0, False, detail)
