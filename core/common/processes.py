"""Identify processes across time: a pid is reused, a pid together with its start time is not."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def host_name() -> str:
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
