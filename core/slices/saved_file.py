"""The file of a study's saved slices, read: `slices.json`, name to text form."""

from __future__ import annotations

from pathlib import Path

from core.common.inside import inside
from core.errors import DamagedSlices, SliceError, StudyError, did_you_mean
from core.storage import seals

FILE = "slices.json"
REPAIR = "Move it away; or repair its texts, and delete the line with its checksum"


def texts(folder: Path) -> dict[str, str]:
    """The text form of every saved slice by name, in the order of the alphabet; empty where none is saved.

    A file without a checksum, of an older version or written by hand, is accepted.

    Raises:
        DamagedSlices: the file is not as it was written; it is left as it is.
        StudyError: it cannot be read, or leads out of the study's folder.
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
        what = str(error) if isinstance(error, seals.Damaged) else "is no list of slices"
        raise DamagedSlices(path, what, REPAIR) from error
    return dict(sorted(found.items(), key=lambda pair: (pair[0].casefold(), pair[0])))


def text_of(folder: Path, name: str) -> str:
    """The text form of one saved slice.

    Raises:
        SliceError: none has that name. DamagedSlices, StudyError: as for `texts`.
    """
    known = texts(folder)
    if name not in known:
        listed = f" Saved: {', '.join(known)}" if known else " None is saved."
        hint = f"{did_you_mean(name, known)}{listed}"
        raise SliceError(
            f"no saved slice '{name}' in '{folder}'.{hint}", short=f"no saved slice '{name}'.{hint}"
        )
    return known[name]
