"""What an analysis takes beside its steps, and the map of a study by UMAP, compiled now and before.

Processor seconds on one core. The analysis is of one drawn picture by `asset:efficientnet_lite0`: all that it
takes, and that less what its steps take, which import what they compute with. UMAP places 100 points, in a
process with an empty cache of compiled code and in one that finds there what the first compiled.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.results import Result
from benchmarks.usage import measured
from core.common.remote_cache import CACHE

ROUNDS = 2
ENCODER = "asset:efficientnet_lite0"
WHOLE, BESIDE = 7.0, 2.5  # seconds
COLD, WARM = 90.0, 10.0  # on a core that is shared
# The command, which prints at its end what its steps took together.
TIMED = """
import sys, time
from contextlib import contextmanager
from core.__main__ import run
from core.study.progress import Progress

usual, steps = Progress.step, []

@contextmanager
def timed(self, name):
    began = time.process_time()
    with usual(self, name):
        yield
    steps.append(time.process_time() - began)

Progress.step = timed
run()
print(sum(steps))
"""


def run() -> Iterator[Result]:
    cores = sorted(os.sched_getaffinity(0))[:1]
    with tempfile.TemporaryDirectory() as folder:
        yield from analyses(Path(folder), cores)
        yield from maps(Path(folder), cores)


def analyses(folder: Path, cores: list[int]) -> Iterator[Result]:
    """An analysis of one picture, the least of ROUNDS: whole, and without its steps."""
    (folder / "images").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "images" / "0.png")
    given = ["--images", str(folder / "images"), "--encoder", ENCODER, "--device", "cpu"]
    wholes, besides = [], []
    for number in range(ROUNDS + 1):
        words = [sys.executable, "-c", TIMED, "analyze", str(folder / f"study{number}"), *given]
        used = measured(words, cores)
        wholes.append(used.processor)
        besides.append(used.processor - float(used.output.splitlines()[-1]))
    detail = f"of one picture, least of {ROUNDS} runs after a first"
    yield Result("analyze", min(wholes[1:]), "s", WHOLE, False, detail)
    yield Result("analyze, start and end", min(besides[1:]), "s", BESIDE, False, detail)


def maps(folder: Path, cores: list[int]) -> Iterator[Result]:
    """The same map in two processes that share a cache, which is empty before the first."""
    env = {CACHE: str(folder / "cache")}
    words = [sys.executable, "-m", "core.analysis.warm_map"]
    cold, warm = (measured(words, cores, env=env).processor for _ in range(2))
    yield Result("UMAP, cold", cold, "s", COLD, False, "100 points, nothing compiled before")
    yield Result("UMAP, warm", warm, "s", WARM, False, f"in the next process: {warm / cold:.2f} of cold")
