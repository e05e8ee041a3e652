"""What a path or a name in a study may be: nothing leads out of its folder."""

import os
import re
from pathlib import Path

from core.errors import SettingsError, StudyError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,39}")  # of a basis or an answer: it becomes part of file names


def inside(folder: str | Path, relative: str | Path) -> Path:
    """Return the path of a file inside a study's folder, for reading or writing; it cannot lead out.

    The study folder itself may be a symbolic link, and a link inside it may point to another place inside it.

    Args:
        relative: a path below `folder`; the file need not exist.
    Raises:
        StudyError: the path leaves the folder, by a symbolic link, by `..` or because it is absolute.
    """
    folder = Path(folder)
    path = folder / relative
    try:
        home = Path(os.path.realpath(folder))
        leads_to = Path(os.path.realpath(path))
    except (OSError, ValueError) as error:  # a name that no file can have
        raise StudyError(f"'{relative}' is not a valid file name in '{folder}': {error}") from error
    if not leads_to.is_relative_to(home):
        raise StudyError(
            f"'{relative}' of '{folder}' points outside the study folder and is not read. "
            "Replace it by a copy of the file"
        )
    return path


def is_inside(folder: str | Path, relative: str | Path) -> bool:
    """Return True when a relative path stays inside a study's folder, as `inside` demands."""
    try:
        inside(folder, relative)
    except StudyError:
        return False
    return True


def check_name(name: str, reserved: str) -> str:
    """Return a name that a user gives to something kept in a study. Raises SettingsError."""
    if not NAME.fullmatch(name) or name == reserved:
        raise SettingsError(
            f"--name {name}: a name is up to 40 letters, digits and hyphens, begins with a letter, and is "
            f"not '{reserved}'"
        )
    return name


def name_from(path: Path) -> str:
    """A name that a study gives what it keeps, from that of a file or folder: preds_v2.csv gives preds-v2."""
    stem = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in path.stem).strip("-")
    return (stem if stem[:1].isalpha() else f"file-{stem}")[:40].strip("-")
