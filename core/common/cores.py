"""How many cores this process may compute on, and how many of them are free. No torch."""

import math
import os
import time
from pathlib import Path

SAMPLES, APART = 8, 0.002  # looks at how many programs compute, seconds between two
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # "max 100000", or microseconds a period and the period
QUOTAS_OF_V1 = tuple(Path(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))
STATISTICS = Path("/proc/stat")
THREADS, OURS = "OMP_NUM_THREADS", "PEREGRINE_FREE_CORES"
# OpenMP of GNU, LLVM and Intel and the pools of OpenBLAS wait asleep: threads that spin take the core of one
# that works, once there are more than cores.
ASLEEP = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0", "OPENBLAS_THREAD_TIMEOUT": "4"}


def own_cores() -> int:
    """Cores of this process: its share of those of its machine, if torchrun started several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    quota = quota_of_group()
    cores = cores if quota is None else min(cores, math.ceil(quota))
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def quota_of_group() -> float | None:
    """Return the cores that the control group of this process (a container) may take in all, or None."""
    try:
        files = (QUOTA,) if QUOTA.exists() else QUOTAS_OF_V1
        quota, period = " ".join(file.read_text() for file in files).split()
        cores = float(quota) / float(period)  # not a number where there is no limit
    except (OSError, ValueError):
        return None
    return cores if cores > 0 else None


def free_cores() -> int:
    """Return how many of its own cores this process can have: at least 1, fewer where others compute now."""
    busy = _busy_cores()
    if busy is None:
        return own_cores()
    return max(1, min(own_cores(), round((os.cpu_count() or 1) - busy)))


def _busy_cores() -> float | None:
    """Mean number of other threads of the machine that compute or wait for a core; None where unknown."""
    counts = []
    for number in range(SAMPLES):
        if number:
            time.sleep(APART)
        try:
            running = STATISTICS.read_text().partition("procs_running ")[2].split()[0]
        except (OSError, IndexError):
            return None
        counts.append(int(running) - 1)  # this one
    return sum(counts) / len(counts)


def settle_threads() -> None:
    """Let native libraries start as many threads as there are free cores, and none that spins.

    Call it before any of them is loaded. What the user has set stays; what a process of ours has set, from
    which this one was started, is measured again.
    """
    for name, value in ASLEEP.items():
        os.environ.setdefault(name, value)
    if os.environ.get(THREADS) in (None, os.environ.get(OURS)):
        os.environ[THREADS] = os.environ[OURS] = str(free_cores())
