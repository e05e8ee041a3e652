"""Private folders of one user: records of jobs, uploads waiting to be processed, what was read by URL."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from core.errors import JobError

STATE = "PEREGRINE_STATE"


def state_folder() -> Path:
    """Return the folder of job records: PEREGRINE_STATE, else `peregrine` in the user's state folder.

    It holds no part of a study, and nothing that is copied together with a study.
    """
    if named := os.environ.get(STATE):
        return Path(named).expanduser().resolve()
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser().resolve() / "peregrine"


def make_private(folder: Path, setting: str = STATE) -> Path:
    """Create a folder that only this user can access, and return it; `setting` is the variable that names it.

    Raises:
        JobError: it cannot be created, or another user owns it or may write to it.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
    except OSError as error:
        raise JobError(
            f"cannot write to '{folder}': {error.strerror or error}. Set {setting}=FOLDER"
        ) from error
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o022:
        raise JobError(f"'{folder}' is not a private folder of this user; delete it, or set {setting}=FOLDER")
    return folder
