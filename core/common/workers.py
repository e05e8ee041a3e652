"""How many worker processes decode images; and each ends with the process that it works for. No torch."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import wait

from core.config import RunOptions

LOOK_EVERY = 1.0  # seconds between two looks for the parent
PR_SET_PDEATHSIG = 1


def tie() -> Callable[[], None]:
    """What a worker is to call first, so that it ends with this process; made by the thread that starts it.

    Without it a worker of a killed process can wait for ever: its last results are taken by nobody, and
    Python waits for that before it ends.
    """
    return partial(_end_with, os.getpid(), threading.current_thread() is threading.main_thread())


def _end_with(parent: int, started_by_main_thread: bool) -> None:
    """End this process at once when process `parent` has ended.

    Linux does it, to the child that asks, when the *thread* that started it ends: only the main thread lasts
    as long as its process. It is also no use where a fork server is in between. A thread of this process
    looks for the parent as well, for these cases and for other systems.
    """
    if started_by_main_thread and sys.platform == "linux" and os.getppid() == parent:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel was asked
            os._exit(1)
    threading.Thread(target=_watch, name="parent watch", daemon=True).start()


def _watch() -> None:
    parent, adopted_by = multiprocessing.parent_process(), os.getppid()
    sentinels = [parent.sentinel] if parent else []
    # The sentinel alone is not enough: workers that were forked later hold its other end.
    while os.getppid() == adopted_by and not wait(sentinels, timeout=LOOK_EVERY):
        pass
    os._exit(1)


def default_workers(run: RunOptions, n_images: int) -> int:
    """Decoding processes: what was asked for, else all cores but the one that feeds the encoder."""
    if run.workers is not None:
        return max(run.workers, 0)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return 0 if n_images < 256 else max(1, min(16, cores - 1))
