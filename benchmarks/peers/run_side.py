"""Time and memory of one side of a comparison, in a process of its own, as JSON.

`python -m benchmarks.peers.run_side TASK ours|theirs FOLDER REPEATS`; FOLDER holds the inputs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.measure_retrieve import forget_peak
from benchmarks.peers.environment import version_of
from benchmarks.peers.tasks import TASKS
from benchmarks.results import peak_bytes

MIB = 1024**2


def main() -> None:
    name, side, place, repeats = sys.argv[1:]
    task, folder = TASKS[name], Path(place)
    inputs = {path.stem: np.load(path) for path in sorted((folder / "inputs").glob("*.npy"))}
    work = getattr(task, side)(inputs)
    forget_peak()
    before = peak_bytes()
    began = time.perf_counter()
    result = work()
    seconds = [time.perf_counter() - began]  # the first call may compile
    above = peak_bytes() - before
    for _ in range(int(repeats)):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    np.save(folder / f"{side}.npy", result)
    version = version_of(task.peer) if side == "theirs" else ""
    print(json.dumps({"seconds": min(seconds), "above_mib": above / MIB, "version": version}))


if __name__ == "__main__":
    main()
