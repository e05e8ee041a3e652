"""What keeping freed memory saves passes of networks on a CPU: processes with and without it take turns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.results import Absent, Result, in_own_process
from core.pipeline.memory import keep_freed_memory

ROUNDS = 3
GIB = 1024**3


def run() -> Iterator[Result | Absent]:
    if not keep_freed_memory():
        yield Absent("memory given back / kept", "the C library is not glibc, or its settings are your own")
        return
    found: dict[str, list[dict[str, float]]] = {"kept": [], "given-back": []}
    for number in range(ROUNDS):
        for way in list(found)[:: -1 if number % 2 else 1]:
            found[way].append(in_own_process("benchmarks.measure_allocator", way))
    for work in [name for name in found["kept"][0] if name != "peak"]:
        kept, given_back = (np.array([one[work] for one in found[way]]) for way in found)
        ratios = given_back / kept
        detail = (
            f"{ROUNDS} rounds {ratios.min():.2f} to {ratios.max():.2f}; "
            f"{np.median(given_back):.2f} and {np.median(kept):.2f} s a pass"
        )
        yield Result(f"{work}, given back / kept", float(np.median(ratios)), "x", 1.0, True, detail)
    kept, given_back = (max(one["peak"] for one in found[way]) / GIB for way in found)
    detail = f"{kept:.2f} and {given_back:.2f} GiB, with torch loaded"
    yield Result("peak memory, kept / given back", kept / given_back, "x", 1.5, False, detail)
