"""Read the file of a study's saved slices: `slices.json`, name to text form."""

from __future__ import annotations

from pathlib import Path

from core.common.inside import inside
from core.errors import DamagedSlices, SliceError, StudyError, did_you_mean
from core.storage import seals

FILE = "slices.json"
REPAIR = "Move it away; or repair its texts and delete the line with its checksum"


def texts(folder: Path) -> dict[str, str]:
    """Map the name of every saved slice to its text form, in alphabetical order; empty if none is saved.

    A file without a checksum (from an older version, or written by hand) is accepted.

    Raises:
        DamagedSlices: the file has been changed or damaged; it is left unchanged.
        StudyError: the file cannot be read or points outside the study folder.
    """
    path = inside(folder, FILE)
    try:
        held = seals.read_json(path.read_bytes(), ("version", "slices"))
        found = {str(name): str(text) for name, text in held["slices"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StudyError(f"cannot read {path}: {error.strerror}") from error
    except (seals.Damaged, KeyError, AttributeError) as error:
        what = str(error) if isinstance(error, seals.Damaged) else "is not a list of slices"
        raise DamagedSlices(path, what, REPAIR) from error
    return dict(sorted(found.items(), key=lambda pair: (pair[0].casefold(), pair[0])))


def text_of(folder: Path, name: str) -> str:
    """Return the text form of one saved slice.

    Raises:
        SliceError: there is no slice of that name. DamagedSlices, StudyError: as for `texts`.
    """
    known = texts(folder)
    if name not in known:
        listed = f" Saved: {', '.join(known)}" if known else " None is saved."
        hint = f"{did_you_mean(name, known)}{listed}"
        raise SliceError(
            f"no saved slice '{name}' in '{folder}'.{hint}", short=f"no saved slice '{name}'.{hint}"
        )
    return known[name]
