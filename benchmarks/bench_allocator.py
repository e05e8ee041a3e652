"""What keeping freed memory saves passes of networks on a CPU: processes with and without it take turns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.results import Absent, Result, in_own_process

ROUNDS = 3
GIB = 1024**3


def run() -> Iterator[Result | Absent]:
    measured: dict[str, list[dict[str, Any]]] = {"kept": [], "given-back": []}
    for number in range(ROUNDS):
        for way in list(measured)[:: -1 if number % 2 else 1]:
            measured[way].append(in_own_process("benchmarks.measure_allocator", way))
        if not measured["kept"][0]["kept"]:
            yield Absent(
                "memory given back / kept", "the C library is not glibc, or its settings are your own"
            )
            return
    for work in measured["kept"][0]["seconds"]:
        kept, given_back = (
            np.array([one["seconds"][work] for one in rounds]) for rounds in measured.values()
        )
        ratios = given_back / kept
        detail = (
            f"{ROUNDS} rounds {ratios.min():.2f} to {ratios.max():.2f}; "
            f"{np.median(given_back):.2f} and {np.median(kept):.2f} s a pass"
        )
        yield Result(f"{work}, given back / kept", float(np.median(ratios)), "x", 1.0, True, detail)
    most, least = (max(one["peak"] for one in rounds) / GIB for rounds in measured.values())
    detail = f"{most:.2f} and {least:.2f} GiB, with torch loaded"
    yield Result("peak memory, kept / given back", most / least, "x", 1.5, False, detail)
