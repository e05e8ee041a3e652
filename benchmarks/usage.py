"""Processor time, time and memory of a command with all that it starts (Linux)."""

from __future__ import annotations

import ctypes
import os
import resource
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
    # What loses its parent becomes a child of this process, so that its time is counted, too.
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    with TemporaryFile("w+") as written:
        before, began = _of_children(), time.perf_counter()
        started = subprocess.Popen(
            list(words),
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, set(cores)),
        )
        peak = 0
        while started.poll() is None:
            peak = max(peak, sum(map(_held_bytes, _descendants(os.getpid()))))
            time.sleep(SAMPLE_S)
        wall = time.perf_counter() - began
        _end(_descendants(os.getpid()))
        written.seek(0)
        output = written.read()
    if started.returncode:
        raise RuntimeError(f"{' '.join(words)[:200]} failed:\n{output[-2000:]}")
    return Usage(_of_children() - before, wall, peak / MIB, output)


@contextmanager
def running(words: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] = {}) -> Iterator[int]:
    """Run a server with all that it starts for as long as the context lasts; its process number."""
    with TemporaryFile() as written:
        started = subprocess.Popen(
            list(words), cwd=cwd, env={**os.environ, **env}, stdout=written, stderr=subprocess.STDOUT
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


def _of_children() -> float:
    """Processor seconds of all children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _descendants(root: int) -> list[int]:
    """All processes below one, which is not among them."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents():
        children.setdefault(parent, []).append(pid)
    below, ahead = [], [root]
    while ahead:
        direct = children.get(ahead.pop(), [])
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


def _end(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)
