"""A small JSON file in a study that people change, such as the saved slices: no result, and in no manifest.

It is sealed and always replaced as a whole. Every change reads the file, changes it and replaces it under a
lock: two browsers, or a browser and a notebook, do not lose each other's changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from core.common.inside import MOST_BYTES, TooLarge, inside, read_bounded, refused_once, replacing
from core.errors import DISK_FULL, DamagedKeptFile, StudyError
from core.storage import layers, seals

T = TypeVar("T")
VERSION = 1
PATIENCE = 10.0  # seconds to wait for another writer, whose turn takes milliseconds
MALFORMED = (KeyError, AttributeError, TypeError, ValueError)  # of a text that holds something else


@dataclass(frozen=True)
class KeptFile:
    """One such file, and the words of its errors.

    Attributes:
        name: of the file. lock: the name of its lock file.
        entries: what it holds, next to its version and its checksum.
        what: of its content, as in "slices cannot be saved".
        damaged: the error of a file that was changed or damaged. remedy: what to do then.
    """

    name: str
    lock: str
    entries: tuple[str, ...]
    what: str
    damaged: type[DamagedKeptFile]
    remedy: str

    def read(self, folder: Path, parse: Callable[[dict[str, Any]], T]) -> T | None:
        """Return what `parse` makes of the content; None if there is no file.

        A file without a checksum (written or mended by hand) is accepted.

        Raises:
            DamagedKeptFile: the file has been changed or damaged, or cannot be parsed; it is left unchanged.
            StudyError: the file cannot be read or points outside the study folder.
        """
        with refused_once(Path(folder) / self.name, DamagedKeptFile):
            return self._read(folder, parse)

    def _read(self, folder: Path, parse: Callable[[dict[str, Any]], T]) -> T | None:
        path = inside(folder, self.name)
        try:
            content = seals.read_json(read_bounded(path), ("version", *self.entries))
            if content.get("version", VERSION) != VERSION:
                raise seals.Damaged(
                    f"has version {content['version']!r:.20}, which is not known here (update Peregrine)"
                )
            return parse(content)
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

    def stamp(self, folder: Path) -> tuple[int, int]:
        """Return a value that changes with every change of the file; (0, 0) if there is none."""
        try:
            state = (Path(folder) / self.name).stat()
        except OSError:
            return 0, 0
        return state.st_mtime_ns, state.st_size

    def change(self, folder: Path, content: Callable[[], Mapping[str, Any]]) -> None:
        """Replace the file by the content that a function returns, which is called under the lock.

        Raises:
            StudyError: the study cannot be written to, or another process holds the lock for too long.
        """
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
                with replacing(path, durable=False) as temporary:
                    temporary.write_bytes(sealed)
        except Timeout as error:
            raise StudyError(f"another process is saving {self.what} in '{folder}'; try again") from error
        except OSError as error:
            why = error.strerror or str(error)
            what_to_do = "Free up space" if error.errno in DISK_FULL else "Is the study read-only?"
            raise StudyError(f"{self.what} cannot be saved in '{folder}': {why}. {what_to_do}") from error
