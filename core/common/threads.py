"""Threads: how many cores this process may compute on, and work that threads share. No torch."""

import functools
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

# How many cores this process may compute on, and how many of them are free. No torch.


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
    quota = _quota_of_group()
    cores = cores if quota is None else min(cores, math.ceil(quota))
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))


def _quota_of_group() -> float | None:
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
    """Let native libraries compute in as many threads as there are free cores, and none that spins.

    Call it before any of them is loaded. What the user has set stays; what a process of ours has set, from
    which this one was started, is measured again.
    """
    for name, value in ASLEEP.items():
        os.environ.setdefault(name, value)
    if os.environ.get(THREADS) in (None, os.environ.get(OURS)):
        os.environ[THREADS] = os.environ[OURS] = str(free_cores())


# Work in several threads of this process, and how many cores of it each has.


MAX_THREADS = 8
Result = TypeVar("Result")


def own_threads() -> int:
    """Return how many threads this process computes in."""
    return min(own_cores(), MAX_THREADS)


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Restrict torch to one core per thread, because the threads together use all cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def map_in_order(work: Callable[..., Result], items: Iterable[tuple[Any, ...]]) -> Iterator[Result]:
    """Compute work(*item) of each item in several threads, each with one torch thread; yield in order.

    Only a few results are held, and an item is asked for when a thread will soon be free.
    """
    n_threads = own_threads()
    with one_torch_thread():
        if n_threads == 1:
            yield from starmap(work, items)
            return
        waiting: deque[Future[Result]] = deque()
        pool = ThreadPoolExecutor(n_threads)
        try:
            for item in items:
                waiting.append(pool.submit(work, *item))
                if len(waiting) > n_threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


# Attributes that are computed once, by several threads in Python 3.11. The server waits for this: no numpy.
#
# `functools.cached_property` has one lock for all instances. Where the attributes of two studies ask for
# each other's, two threads would wait for each other for ever. As from Python 3.12 on, there is none here.


if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property as cached_property
else:

    class cached_property(functools.cached_property):  # noqa: N801
        """As in Python 3.12: two threads may both compute the value, and one of them is kept."""

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            attributes = instance.__dict__
            return (
                attributes[self.attrname]
                if self.attrname in attributes
                else attributes.setdefault(self.attrname, self.func(instance))
            )
