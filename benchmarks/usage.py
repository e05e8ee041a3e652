"""Processor time, time and memory of a command with all that it starts (Linux)."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

SAMPLE_S = 0.5  # between two looks at the memory
MIB = 1024**2
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of Linux's prctl


@dataclass(frozen=True)
class Usage:
    """What a command took.

    Attributes:
        processor: seconds of all its processes, user and system.
        wall: seconds from its start to its end.
        peak_mib: the most memory that its processes held together (proportional set size, in MiB).
        output: what it printed, errors too.
    """

    processor: float
    wall: float
    peak_mib: float
    output: str


def measured(
    words: Sequence[str], cores: Collection[int], *, cwd: Path | None = None, env: Mapping[str, str] = {}
) -> Usage:
    """Run a command on some cores, and end what it leaves running.

    Raises:
        RuntimeError: it failed; with the end of what it wrote.
    """
    others = frozenset(_descendants(os.getpid()))  # what this process has started before
    with TemporaryFile("w+") as written, _adopting():
        began = time.perf_counter()
        started = subprocess.Popen(
            list(words),
            cwd=cwd,
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, set(cores)),
        )
        peak, status = 0, None
        while status is None:
            peak = max(peak, sum(map(_held_bytes, _descendants(os.getpid(), others))))
            ended, code, used = os.wait4(started.pid, os.WNOHANG)
            status = code if ended else None
            if status is None:
                time.sleep(SAMPLE_S)
        wall = time.perf_counter() - began
        seconds = used.ru_utime + used.ru_stime + _end(_descendants(os.getpid(), others))
        started.returncode = os.waitstatus_to_exitcode(status)  # it was not waited for by itself
        written.seek(0)
        output = written.read()
    if started.returncode:
        raise RuntimeError(f"{' '.join(words)[:200]} failed:\n{output[-2000:]}")
    return Usage(seconds, wall, peak / MIB, output)


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    """Of a command: bytecode is kept, as at any user, whatever runs the benchmark has set."""
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **env}


@contextmanager
def running(words: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] = {}) -> Iterator[int]:
    """Run a server with all that it starts for as long as the context lasts; its process number."""
    with TemporaryFile() as written:
        started = subprocess.Popen(
            list(words), cwd=cwd, env=_environment(env), stdout=written, stderr=subprocess.STDOUT
        )
        try:
            yield started.pid
        finally:
            below = _descendants(started.pid)
            started.kill()
            _end(below)
            started.wait()


def so_far(root: int) -> tuple[float, float]:
    """Processor seconds of a running process and of all below it until now, and the MiB that they hold."""
    pids = [root, *_descendants(root)]
    return sum(map(_spent, pids)), sum(map(_held_bytes, pids)) / MIB


def _spent(pid: int) -> float:
    """Processor seconds of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _adopting() -> Iterator[None]:
    """What loses its parent becomes a child of this process meanwhile, so that its time is counted, too."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_SUBREAPER, 0, 0, 0, 0)


def _descendants(root: int, others: Collection[int] = ()) -> list[int]:
    """All processes below one, which is not among them; none of others, and none below these."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    below, ahead = [], [root]
    while ahead:
        direct = [pid for pid in children.get(ahead.pop(), []) if pid not in others]
        below += direct
        ahead += direct
    return below


def _parents() -> Iterator[tuple[int, int]]:
    """Each process with its parent."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # it has just ended
                after_name = (folder / "stat").read_text().rpartition(")")[2].split()
                yield int(folder.name), int(after_name[1])


def _held_bytes(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it has just ended
        return 0
    return int(rollup.partition("\nPss:")[2].split()[0]) * 1024 if "\nPss:" in rollup else 0


def _end(pids: list[int]) -> float:
    """End processes; the processor seconds of those that are children of this one."""
    seconds = 0.0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        with suppress(ChildProcessError):
            used = os.wait4(pid, 0)[2]
            seconds += used.ru_utime + used.ru_stime
    return seconds
