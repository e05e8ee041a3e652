"""Keep file access inside the study folder: a study may be foreign and contain links that point out."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import StudyError


def inside(folder: str | Path, relative: str | Path) -> Path:
    """Return the path of a file of a study, for reading or writing.

    The study folder itself may be a symbolic link, and a link inside it may point to another place inside it.

    Args:
        relative: a path below `folder`; the file need not exist.
    Raises:
        StudyError: the path leaves the folder, by a symbolic link, by `..` or because it is absolute.
    """
    path = Path(folder) / relative
    try:
        home, leads_to = os.path.realpath(folder), os.path.realpath(path)
    except (OSError, ValueError) as error:  # a name that no file can have
        raise StudyError(f"'{relative}' is not a valid file name in '{folder}': {error}") from error
    if not Path(leads_to).is_relative_to(home):
        raise StudyError(
            f"'{relative}' of '{folder}' points outside the study folder and is not read. "
            "Replace it by a copy of the file"
        )
    return path


def is_inside(folder: str | Path, relative: str | Path) -> bool:
    """Return True when `inside` accepts the path."""
    try:
        inside(folder, relative)
    except StudyError:
        return False
    return True
