"""A small JSON file in a study that people change, such as the saved slices: no result, and in no manifest.

It is sealed and always replaced as a whole, and on the disk before a change counts as saved, since nothing in
it can be computed again. Every change reads the file, changes it and replaces it under a lock: two browsers,
or a browser and a notebook, do not lose each other's changes.

A copy lies beside it (`traces.json.last`), written first. It is read where the file is damaged or gone, which
stderr and every page say; the next save keeps the damaged file as `traces.json.damaged`.
"""

import errno
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from filelock import FileLock, Timeout

from core.common.formatting import for_terminal
from core.common.inside import MOST_BYTES, TooLarge, read_bounded, refused_once, replacing, stamp_of
from core.errors import DISK_FULL, DamagedKeptFile, StudyError
from core.study import layers, seals
from core.study.inside import inside
from core.study.write_access import check_write_access

T = TypeVar("T")
VERSION = 1
PATIENCE = 10.0  # seconds to wait for another writer, whose turn takes milliseconds
MALFORMED = (KeyError, AttributeError, TypeError, ValueError)  # of a text that holds something else
WHAT_TO_DO = {errno.EIO: "Check the disk", **dict.fromkeys(DISK_FULL, "Free up space")}
LAST, ASIDE = ".last", ".damaged"  # end the names of the copy, and of a damaged file that was replaced

_read_from_copy: dict[Path, str] = {}  # what is said of a file whose copy is read, as long as it is


def read_from_copy(*folders: Path | None) -> list[str]:
    """Return a line for each file of what people left on studies that is read from its copy, as damaged."""
    return [line for path, line in list(_read_from_copy.items()) if path.parent in folders]


@dataclass(frozen=True)
class KeptFile(Generic[T]):
    """One such file, and the words of its errors.

    Attributes:
        name: of the file. lock: the name of its lock file.
        entries: what it holds, next to its version and its checksum.
        what: of its content, as in "slices cannot be saved".
        damaged: the error of a file that was changed or damaged. remedy: what to do then.
        parse: makes a value of the content.
    """

    name: str
    lock: str
    entries: tuple[str, ...]
    what: str
    damaged: type[DamagedKeptFile]
    remedy: str
    parse: Callable[[dict[str, Any]], T]

    @property
    def last(self) -> str:
        """The name of the copy."""
        return f"{self.name}{LAST}"

    def read(self, folder: Path) -> T | None:
        """Return what `parse` makes of the content, of the copy where the file is damaged; None without both.

        A file without a checksum (written or mended by hand) is accepted.

        Raises:
            DamagedKeptFile: the file has been changed or damaged, or cannot be parsed, and there is no sound
                copy; the file is left unchanged.
            StudyError: the file cannot be read or points outside the study folder.
        """
        try:
            state = self.checked(folder, self.name)
        except DamagedKeptFile as error:
            copy = self._said_copy(folder, error.what)
            if copy is None:
                raise
            return copy
        if state is None and self.checked(folder, self.last) is not None:  # raises for a damaged copy alone
            return self._said_copy(folder, "is missing")
        _read_from_copy.pop(Path(folder) / self.name, None)
        return state

    def _said_copy(self, folder: Path, what: str) -> T | None:
        """Return the content of the copy and say what the file is; None where no copy can be read."""
        path = Path(folder) / self.name
        copy = self.copy(folder)
        if copy is None:
            _read_from_copy.pop(path, None)
            return None
        read = f"its copy {self.last} is read instead, and the next save restores it"
        line = f"{path.name} {' '.join(what.split())}; {read}"  # pages show it: without the folder
        if _read_from_copy.get(path) != line:
            _read_from_copy[path] = line
            print(f"note: {for_terminal(f'{path.parent}/{line}')}", file=sys.stderr)
        return copy

    def copy(self, folder: Path) -> T | None:
        """Return the content of the copy; None where there is none that can be read."""
        try:
            return self.checked(folder, self.last)
        except (DamagedKeptFile, StudyError):
            return None

    def checked(self, folder: Path, name: str) -> T | None:
        """Return the content of the file or of its copy, by name, and of no other; raises as `read`."""
        with refused_once(Path(folder) / name, DamagedKeptFile):
            return self._read(inside(folder, name))

    def _read(self, path: Path) -> T | None:
        try:
            content = seals.read_json(read_bounded(path), ("version", *self.entries))
            if content.get("version", VERSION) != VERSION:
                raise seals.Damaged(
                    f"has version {content['version']!r:.20}, which is not known here (update Peregrine)"
                )
            return self.parse(content)
        except TooLarge as error:
            raise self.damaged(path, f"is not a list of {self.what} ({error})", self.remedy) from error
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StudyError(f"cannot read {path}: {error.strerror}") from error
        except seals.Damaged as error:
            raise self.damaged(path, str(error), self.remedy) from error
        except MALFORMED as error:
            raise self.damaged(path, f"is not a list of {self.what}", self.remedy) from error

    def stamp(self, folder: Path) -> tuple[int, ...]:
        """Return a value that changes with every change of the file; empty if there is none, and no copy."""
        return stamp_of(Path(folder) / self.name) or stamp_of(Path(folder) / self.last)

    def change(self, folder: Path, content: Callable[[], Mapping[str, Any]]) -> None:
        """Replace the file by the content that a function returns, which is called under the lock.

        Raises:
            StudyError: the study cannot be written to, or another process holds the lock for too long.
            ReadOnlyAccess: a guest asks.
        """
        check_write_access()
        path = Path(folder) / self.name
        if layers.below(path.parent):
            layers.read_layered(path.parent)  # raises where the basis is gone; its folder need not exist
        elif not path.parent.is_dir():  # the lock would make the folder again
            raise StudyError(f"'{folder}' was renamed or deleted meanwhile, so {self.what} cannot be saved")
        try:
            with FileLock(path.with_name(self.lock), timeout=PATIENCE):
                sealed = seals.sealed_json({"version": VERSION, **content()})
                if len(sealed) > MOST_BYTES:
                    raise StudyError(f"'{path}' is full ({MOST_BYTES / 1e6:.0f} MB). Delete some {self.what}")
                self._replace(path, sealed)
        except Timeout as error:
            raise StudyError(f"another process is saving {self.what} in '{folder}'; try again") from error
        except OSError as error:
            why = error.strerror or str(error)
            what_to_do = WHAT_TO_DO.get(error.errno or 0, "Is the study read-only?")
            raise StudyError(f"{self.what} cannot be saved in '{folder}': {why}. {what_to_do}") from error

    def _replace(self, path: Path, sealed: bytes) -> None:
        """Replace the copy and then the file: at every moment one of them is whole, and on the disk."""
        with replacing(path.with_name(self.last)) as temporary:
            temporary.write_bytes(sealed)
        if path in _read_from_copy:
            with suppress(FileNotFoundError):
                os.replace(path, path.with_name(f"{self.name}{ASIDE}"))
        with replacing(path) as temporary:
            temporary.write_bytes(sealed)
