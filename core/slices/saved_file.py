"""Read the file of a study's saved slices: `slices.json`, name to text form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from core.errors import DamagedSlices, SliceError, did_you_mean
from core.storage.kept_file import KeptFile

FILE = "slices.json"
REPAIR = "Move it away; or repair its texts and delete the line with its checksum"
KEPT = KeptFile(FILE, ".slices.lock", ("slices",), "slices", DamagedSlices, REPAIR)


def texts(folder: Path) -> dict[str, str]:
    """Map the name of every saved slice to its text form, in alphabetical order; empty if none is saved.

    A file without a checksum (from an older version, or written by hand) is accepted.

    Raises:
        DamagedSlices: the file has been changed or damaged; it is left unchanged.
        StudyError: the file cannot be read or points outside the study folder.
    """
    slices = KEPT.read(folder, _parsed) or {}
    return dict(sorted(slices.items(), key=lambda pair: (pair[0].casefold(), pair[0])))


def _parsed(held: dict[str, Any]) -> dict[str, str]:
    return {str(name): str(text) for name, text in held["slices"].items()}


def text_of(folder: Path, name: str) -> str:
    """Return the text form of one saved slice.

    Raises:
        SliceError: there is no slice of that name. DamagedSlices, StudyError: as for `texts`.
    """
    slices = texts(folder)
    if name not in slices:
        listed = f" Saved: {', '.join(slices)}" if slices else " None is saved."
        hint = f"{did_you_mean(name, slices)}{listed}"
        raise SliceError(
            f"no saved slice '{name}' in '{folder}'.{hint}", short=f"no saved slice '{name}'.{hint}"
        )
    return slices[name]
