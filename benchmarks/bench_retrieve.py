"""Top 5 and normaliser of 1,000 crops over 1,000,000 captions x 512, against the bare matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import Result, in_own_process

GIB = 1024**3
FOLDER = Path("build/bench/captions")
N_CAPTIONS, WIDTH, N_CROPS, SHARD_ROWS = 1_000_000, 512, 1_000, 65_536


def run() -> Iterator[Result]:
    sizes = [str(number) for number in (N_CAPTIONS, WIDTH, N_CROPS, SHARD_ROWS)]
    measured = in_own_process("benchmarks.measure_retrieve", str(FOLDER), *sizes, "3")
    detail = (
        f"product {measured['product_s']:.2f} s, retrieval {measured['retrieve_s']:.2f} s; processor time "
        f"{measured['product_cpu_s']:.2f} s and {measured['retrieve_cpu_s']:.2f} s"
    )
    yield Result(
        "retrieve / matrix product", measured["product_s"] / measured["retrieve_s"], "x", 0.5, True, detail
    )
    ratio = measured["per_shard_s"] / measured["retrieve_s"]
    detail = (
        f"softmax and top 5 in each shard, as released, {measured['per_shard_s']:.2f} s; "
        f"the same 5 for {measured['same']:.1%} of the crops"
    )
    yield Result("per-shard loop / retrieve", ratio, "x", 0.8, True, detail)
    shard = SHARD_ROWS * WIDTH * 2 / GIB
    above = (measured["peak"] - measured["start"]) / GIB
    yield Result(
        "retrieve memory", above, "GiB", 1.0 + shard, False, "above the interpreter with torch loaded"
    )
