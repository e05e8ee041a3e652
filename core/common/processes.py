"""Processes: one identified across time, those that decode images, their end, torchrun's first. No torch.

A pid is reused, a pid together with its start time is not. Workers are tied to the process they work for.
"""

import ctypes
import multiprocessing
import os
import platform
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

from core.common.threads import own_cores
from core.config import RunOptions

LOST_AFTER = 180  # seconds without an answer of another machine, which one gives however slow a process is
LOOK_EVERY = 1.0  # seconds between two checks for the parent
PR_SET_PDEATHSIG = 1
TORCHRUN = (
    *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "ROLE_RANK", "ROLE_WORLD_SIZE"),
    *("GROUP_WORLD_SIZE", "TORCHELASTIC_RUN_ID"),
)


TOKENS = ("PEREGRINE_TOKEN", "PEREGRINE_GUEST_TOKEN")  # of a server; no process that it starts needs them


def without_tokens(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a child process: all but those with a server's access tokens."""
    return {name: value for name, value in environment.items() if name not in TOKENS}


def host_name() -> str:
    """Return the name of this machine, by which records of processes say where they run."""
    return platform.node()


def process_started(pid: int) -> str | None:
    """Return the start time of a process of this machine, as opaque text; None when it does not run.

    A finished process that has not been waited for yet (a zombie) counts as not running.
    """
    if Path("/proc/self/stat").exists():
        return _started_from_proc(pid)
    return _started_from_ps(pid)


def _started_from_proc(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the process name before it may contain spaces and brackets
    state, start_ticks = fields[0], fields[19]
    return None if state in "ZX" else start_ticks


def _started_from_ps(pid: int) -> str | None:
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split(maxsplit=1)
    return None if len(answer) < 2 or answer[0].startswith("Z") else answer[1].strip()


def is_running(pid: int | None, started: str | None) -> bool:
    """Return True when `pid` runs on this machine and was started at `started`."""
    if pid is None:
        return False
    now = process_started(pid)
    return now is not None and (started is None or now == started)


def signal_group(pid: int, number: int) -> None:
    """Send a signal to the process and its children, if they still run."""
    try:
        group = os.getpgid(pid)
        if group == pid:
            os.killpg(group, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return


def tie() -> Callable[[], None]:
    """Return a function that a worker process calls first, so that it ends with this process.

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


def is_first() -> bool:
    """Return True in a process without torchrun, and in the first process of a torchrun."""
    return os.environ.get("RANK", "0") == "0"


def watch_connections() -> None:
    """Let connections of a process of torchrun fail once another machine has not answered for LOST_AFTER.

    A process that is killed closes its connections. A machine without power or network does not, and who
    waits for its next message would do so for ever.
    """
    options = {"TCP_KEEPIDLE": LOST_AFTER // 3, "TCP_KEEPINTVL": LOST_AFTER // 9, "TCP_KEEPCNT": 6}
    options["TCP_USER_TIMEOUT"] = 1000 * LOST_AFTER  # while something that was sent is not confirmed
    for number in os.listdir("/proc/self/fd") if sys.platform == "linux" else ():
        with suppress(OSError):  # the folder itself is closed by now
            if not stat.S_ISSOCK(os.fstat(int(number)).st_mode):
                continue
            with socket.socket(fileno=os.dup(int(number))) as same:
                if same.family in (socket.AF_INET, socket.AF_INET6) and same.type == socket.SOCK_STREAM:
                    same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                    for name, value in options.items():
                        same.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def takes_part(shared: bool) -> bool:
    """Return True when this process, one of several of a command or alone, has work to do in it.

    Args:
        shared: the command is for several processes. Any other command runs in the first process alone, which
            from then on ignores the others and waits for none of them.
    """
    if shared:
        return True
    first = is_first()
    for name in TORCHRUN:
        os.environ.pop(name, None)
    return first


def default_workers(run: RunOptions, n_images: int) -> int:
    """Number of decoding processes: as requested, else all own cores but one, which feeds the encoder.

    One process has at least one; of several on one machine, each with a core, none has.
    """
    if run.workers is not None:
        return max(run.workers, 0)
    alone = os.environ.get("LOCAL_WORLD_SIZE", "1") == "1"
    return 0 if n_images < 256 else max(int(alone), min(16, own_cores() - 1))
