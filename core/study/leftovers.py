"""What killed writers leave: `.NAME.PID.tmp` beside the file that it was to replace, and `.STEP.redo`, the
folder in which a step that has a result was being made again.
"""

import contextlib
import glob
import os
import re
import shutil
from pathlib import Path

from core.common.processes import is_running

TEMPORARY = re.compile(r"\..+\.(?P<pid>\d+)\.tmp", re.DOTALL)
REDO = ".redo"


def folder_of_redo(step: str) -> str:
    """Return the name of the study's folder in which a step that has a result is made again.

    >>> folder_of_redo("features")
    '.features.redo'
    """
    return f".{step}{REDO}"


def is_begun_again(folder: Path, step: str) -> bool:
    """Return whether a step of a study is being made again, or was when its process ended."""
    with contextlib.suppress(OSError):
        return any((folder / folder_of_redo(step)).iterdir())
    return False


def owner(name: str) -> int | None:
    """Return the id of the process that writes a study's temporary file; None for any other file name.

    >>> owner(".00002.npy.4711.tmp"), owner("notes.tmp")
    (4711, None)
    """
    match = TEMPORARY.fullmatch(name)
    return int(match["pid"]) if match else None


def is_leftover(path: Path) -> bool:
    """Return True for a study's temporary file whose writer no longer runs on this machine."""
    pid = owner(path.name)
    return pid is not None and not is_running(pid, None)


def remove_leftovers_of(path: Path) -> None:
    """Delete the files and folders that killed writers left beside what they were to make, outside a study.

    What a running process of this machine writes stays.
    """
    for one in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        if one.name == f".{path.name}.{owner(one.name)}.tmp" and is_leftover(one):
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    one.unlink()


def remove_leftovers(folder: Path) -> None:
    """Delete the files that killed writers left in a study; the caller must hold the study's lock.

    Files of running processes stay: other processes of the same torchrun, and processes that save slices or
    maps without the lock, may be writing. This process has not written yet, so a file with its id belongs to
    an earlier process (in a container, commands often get the same id).
    """
    for where, _, names in os.walk(folder):  # follows no links
        for path in (Path(where, name) for name in names):
            if owner(path.name) == os.getpid() or is_leftover(path):
                with contextlib.suppress(OSError):  # it may stay; `verify` reports it
                    path.unlink()
    for begun in folder.glob(folder_of_redo("*")):
        with contextlib.suppress(OSError):  # it holds finished work
            begun.rmdir()
