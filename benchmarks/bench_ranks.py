"""Two processes with a core each beside one process with two threads: an analysis with and without its start.

Both take turns on the same two cores, and the shorter time of each counts. What starting costs is the time of
the same command on the finished study, where every step is up to date. PEREGRINE_BENCH_IMAGES sets the size.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Result
from benchmarks.studies import FOLDER

N_IMAGES = int(os.environ.get("PEREGRINE_BENCH_IMAGES", 3000))
SETTINGS = ("--encoder", "asset:simclr_glyphworld", "--epsilon", "1.5", "--lr", "0.1")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
SIDES: dict[str, tuple[Sequence[str], str]] = {"one": ((), "2"), "two": (TORCHRUN, "1")}  # and its threads
ROUNDS, CORES = 2, 2


@dataclass(frozen=True)
class Took:
    """Seconds of the clock, and of all processors together."""

    wall: float
    processor: float


def took(side: str, folder: Path) -> Took:
    launcher, threads = SIDES[side]
    images = f"glyphworld?train={N_IMAGES * 3 // 4}&val={N_IMAGES // 4}"
    words = ["analyze", str(folder), "--images", images, *SETTINGS]
    began, before = time.perf_counter(), _processor()
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "core", *words], capture_output=True, text=True, env=environment
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return Took(time.perf_counter() - began, _processor() - before)


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run() -> Iterator[Result]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:CORES])
    try:
        wholes, starts = {side: [] for side in SIDES}, {side: [] for side in SIDES}
        for _ in range(ROUNDS):
            for side in SIDES:
                folder = FOLDER / f"ranks_{side}"
                shutil.rmtree(folder, ignore_errors=True)
                wholes[side].append(took(side, folder))
                starts[side].append(took(side, folder))
    finally:
        os.sched_setaffinity(0, allowed)
    whole, start = (
        {side: min(one.wall for one in times) for side, times in of.items()} for of in (wholes, starts)
    )
    work = {side: whole[side] - start[side] for side in SIDES}
    used = {side: min(one.processor for one in times) for side, times in wholes.items()}
    detail = (
        f"{N_IMAGES} images: two processes {whole['two']:.0f} s ({start['two']:.0f} s to start, processor "
        f"{used['two']:.0f} s), one {whole['one']:.0f} s ({start['one']:.0f} s, {used['one']:.0f} s)"
    )
    yield Result("2 processes / 1 of 2 threads", whole["two"] / whole["one"], "x", 1.0, False, detail)
    yield Result("… without the start", work["two"] / work["one"], "x", 1.0, False, "the same runs")
