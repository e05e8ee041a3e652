"""Times reading the representations, and features + quality, of one study; prints JSON. Own process."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch  # noqa: F401  loaded before the memory is first read: it belongs to the interpreter's share

from benchmarks.results import peak_bytes
from core.pipeline.run import run_step
from core.store import Study
from core.study.progress import Progress


def read_all(folder: Path) -> float:
    array = Study(folder).array("representations")
    began = time.perf_counter()
    for chunk in range(array.n_chunks):
        np.load(array.folder / f"{chunk:05d}.npy")
    return time.perf_counter() - began


def compute(folder: Path) -> float:
    began = time.perf_counter()
    for step in ("features", "quality"):
        run_step(step, folder, {"redo": True, "device": "cpu"}, Progress.silent())
    return time.perf_counter() - began


def main() -> None:
    folder, repeats = Path(sys.argv[1]), int(sys.argv[2])
    from core.analysis import scores  # noqa: F401  imported before timing

    start = peak_bytes()
    read, work = [], []
    for _ in range(repeats):
        read.append(read_all(folder))
        work.append(compute(folder))
    print(json.dumps({"read_s": min(read), "work_s": min(work), "start": start, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
