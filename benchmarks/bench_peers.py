"""What other software computes as well: equal to ours where it should be, and its time and memory over ours.

Each side runs in a process of its own, on the same arrays. Peers that are no dependency of Peregrine are
installed into build/peers/venv; one that cannot be had is a row with the reason.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import dictionaries, environment
from benchmarks.peers.task import Task
from benchmarks.peers.tasks import TASKS
from benchmarks.results import Absent, Result

REPEATS = 3
SMALLEST_MIB = 8.0  # a side that takes less memory counts as this: allocators keep some
LEAST_MEMORY = 0.9  # theirs over ours: the same, up to what allocators round


def run(*, trainers: bool = False, small: bool = False) -> Iterator[Result | Absent]:
    """Compare in all TASKS but the trainers of dictionaries, or in these only (`bench_bases` does so)."""
    for name, task in TASKS.items():
        if (task in dictionaries.TASKS) != trainers:
            continue
        try:
            yield from compared(name, task, environment.python_for(task.peer), small=small)
        except environment.PeerAbsent as reason:
            yield Absent(name, str(reason))


def compared(name: str, task: Task, python: str, *, small: bool = False) -> Iterator[Result | Absent]:
    """Yield the rows of a task: the gap, and ratios of time and memory."""
    folder = environment.FOLDER / "run"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "inputs").mkdir(parents=True)
    inputs = task.make(small)
    for key, values in inputs.items():
        np.save(folder / "inputs" / f"{key}.npy", values)
    ours = side(python, name, "ours", folder)
    theirs = side(python, name, "theirs", folder)
    if "problem" in theirs:
        yield Absent(name, f"cannot be run here: {theirs['problem']}")
        return
    if "problem" in ours:
        raise RuntimeError(f"{name}: {ours['problem']}")
    gap, detail_of_gap = task.gap(inputs, np.load(folder / "ours.npy"), np.load(folder / "theirs.npy"))
    shutil.rmtree(folder)
    bound, about = (1.0, "; not expected to be equal") if task.tolerance is None else (task.tolerance, "")
    yield Result(
        f"{name}: gap", gap, "", bound, False, f"{detail_of_gap}{about} (version {theirs['version']})"
    )
    seconds, memory = ([found[key] for found in (ours, theirs)] for key in ("seconds", "above_mib"))
    detail = f"ours {seconds[0]:.3g} s, theirs {seconds[1]:.3g} s, min of {REPEATS + 1}"
    yield Result(f"{name}: time", seconds[1] / seconds[0], "x", 1.0, True, detail)
    held = [max(value, SMALLEST_MIB) for value in memory]
    detail = f"ours {memory[0]:.0f} MiB, theirs {memory[1]:.0f} MiB above the inputs"
    yield Result(f"{name}: memory", held[1] / held[0], "x", LEAST_MEMORY, True, detail)


def side(python: str, name: str, which: str, folder: Path) -> dict[str, Any]:
    """Run one side; a failure is {"problem": its last line}."""
    words = [python, "-m", "benchmarks.peers.run_side", name, which, str(folder), str(REPEATS)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        return {"problem": (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])
