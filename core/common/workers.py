"""Choose the number of image-decoding processes; tie each one to the process it works for. No torch."""

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

LOOK_EVERY = 1.0  # seconds between two checks for the parent
PR_SET_PDEATHSIG = 1


def tie() -> Callable[[], None]:
    """Return a function for a worker to call first, so that it ends with this process.

    Call this from the thread that starts the worker. Without it, the worker of a killed process can wait
    forever: nobody takes its last results, and Python waits for that before it ends.
    """
    return partial(_end_with, os.getpid(), threading.current_thread() is threading.main_thread())


def _end_with(parent: int, started_by_main_thread: bool) -> None:
    """End this process at once when process `parent` has ended.

    On Linux the kernel does this for the child that asks, when the *thread* that started it ends: only the
    main thread lasts as long as its process. It does not help when a fork server is in between. For these
    cases and for other systems, a thread of this process checks for the parent as well.
    """
    if started_by_main_thread and sys.platform == "linux" and os.getppid() == parent:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it ended before we asked the kernel
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
    """Number of decoding processes: as requested, else all cores but one, which feeds the encoder."""
    if run.workers is not None:
        return max(run.workers, 0)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return 0 if n_images < 256 else max(1, min(16, cores - 1))
