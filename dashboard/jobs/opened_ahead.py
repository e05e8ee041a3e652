"""A study on which a server ended before anybody looked is not opened ahead again. No streamlit.

Native code can end the process where Python expects an exception, and each start would end on the same study.
So a marker lies in the state folder while a study is opened ahead; one that an ended process left names it.
"""

import atexit
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from core.common.assets import make_private, state_folder
from core.common.processes import is_running, process_started
from core.study.progress import read_record, write_record

FOLDER = "opened_ahead"
_left_out: set[Path] = set()  # by this server


def first_to_open(studies: Iterable[Path]) -> Path | None:
    """Return the first study on which no server has ended; None without one.

    Studies on which a server has ended are noted, so that their pages can say that they were left out.
    """
    openable: list[Path] = []
    for study in studies:
        if _has_ended_on(study):
            _left_out.add(study.resolve())
        else:
            openable.append(study)
    return openable[0] if openable else None


@contextmanager
def marked(study: Path) -> Iterator[None]:
    """Keep a marker while a study is opened ahead.

    Raises:
        JobError, OSError: it cannot be written, so the study is not to be opened.
    """
    make_private(make_private(state_folder()) / FOLDER)
    remove = partial(_marker(study).unlink, missing_ok=True)
    pid = os.getpid()
    atexit.register(remove)  # a server that is asked to end has not ended on the study
    write_record(_marker(study), {"pid": pid, "started": process_started(pid)})
    try:
        yield
    finally:
        remove()
        atexit.unregister(remove)


def was_left_out(study: Path) -> bool:
    """Return whether this server did not open a study ahead, since an earlier one ended on it."""
    return study.resolve() in _left_out


def shown(study: Path) -> None:
    """Let the next server open a study ahead again: a page of it was shown, and nothing ended."""
    if was_left_out(study):
        with suppress(OSError):
            _marker(study).unlink(missing_ok=True)


def _has_ended_on(study: Path) -> bool:
    record = read_record(_marker(study))
    if record is None:
        return False
    pid, started = record.get("pid"), record.get("started")
    return not (isinstance(pid, int) and isinstance(started, str) and is_running(pid, started))


def _marker(study: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(study.resolve())).hexdigest()[:32]
    return state_folder() / FOLDER / f"{digest}.json"
