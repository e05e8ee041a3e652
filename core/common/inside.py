"""Files of a study lie in its folder. A study may come from somebody else: its links are not followed out."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import StudyError


def inside(folder: str | Path, relative: str | Path) -> Path:
    """Return the path of a file of a study, for reading or writing.

    The study folder itself may be a symbolic link, and a link within it may point to another place within it.

    Args:
        relative: a path below `folder`; the file need not exist.
    Raises:
        StudyError: the path leaves the folder, by a symbolic link, by `..` or because it is absolute.
    """
    path = Path(folder) / relative
    try:
        home, leads_to = os.path.realpath(folder), os.path.realpath(path)
    except (OSError, ValueError) as error:  # a name that no file can have
        raise StudyError(f"'{relative}' is no name of a file in '{folder}': {error}") from error
    if not Path(leads_to).is_relative_to(home):
        raise StudyError(
            f"'{relative}' of '{folder}' leads out of the study's folder and is not read. "
            "Put a copy of the file in its place"
        )
    return path


def is_inside(folder: str | Path, relative: str | Path) -> bool:
    """Whether `inside` accepts a path."""
    try:
        inside(folder, relative)
    except StudyError:
        return False
    return True
