"""Temporary files of writers that were killed: `.NAME.PID.tmp` beside the file that they were to become."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from core.common.processes import is_running

TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.tmp", re.DOTALL)


def owner(name: str) -> int | None:
    """The process that writes a temporary file of ours, by its name; None for any other file.

    >>> owner(".00002.npy.4711.tmp"), owner("notes.tmp")
    (4711, None)
    """
    found = TEMPORARY.fullmatch(name)
    return int(found["pid"]) if found else None


def is_leftover(path: Path) -> bool:
    """Whether a file is a temporary one of ours whose writer runs no more on this machine."""
    pid = owner(path.name)
    return pid is not None and not is_running(pid, None)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left in a study; to be called by the one who holds its lock.

    Files of running processes stay: the other processes of a torchrun, and those that save slices or maps
    without the lock, may be writing just now. This process has not begun to write, so a file with its number
    is of an earlier one (in a container, commands often get the same number).
    """
    for path in _temporaries(folder):
        if owner(path.name) == os.getpid() or is_leftover(path):
            with contextlib.suppress(OSError):  # it may stay; `verify` names it
                path.unlink()


def _temporaries(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):  # follows no links
        yield from (Path(where, name) for name in names if owner(name) is not None)
