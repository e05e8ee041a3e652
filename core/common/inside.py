"""Read files of a study or another stranger: only inside its folder, never too large, never twice in vain."""

import errno
import gzip
import io
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from core.errors import SettingsError

# Files that may be packed with gzip, unpacked on the way and up to a limit.


PACKED = ".gz"
MOST_UNPACKED = 4_000_000_000  # bytes


class _Bounded(io.RawIOBase):
    """The bytes of a .gz; ValueError once more than MOST_UNPACKED of them came out."""

    def __init__(self, path: Path) -> None:
        self.file, self.n = gzip.open(path, "rb"), 0  # noqa: SIM115 - closed by `close`

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        part = self.file.read(len(buffer))
        self.n += len(part)
        if self.n > MOST_UNPACKED:
            raise ValueError(f"it unpacks to more than {MOST_UNPACKED / 1e6:,.0f} MB")
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        self.file.close()
        super().close()


def open_bytes(path: Path) -> IO[bytes]:
    """Open any file for reading; one that ends in .gz is unpacked on the way."""
    if path.suffix.lower() == PACKED:
        return io.BufferedReader(_Bounded(path))
    return open(path, "rb")


# Read files of a study or another stranger: only inside its folder, never too large, never twice in vain.
#
# Files are replaced in one go, so that a reader sees the old or the new one, never a part of it.


MOST_BYTES = 8 << 20  # of a sidecar, saved slices, lists …
MOST_REMEMBERED = 64
Hook = Callable[[dict[str, Any]], Any]

_refused: dict[str, tuple[tuple[int, ...], Exception]] = {}  # by path: what the file was, and what it raised


class TooLarge(ValueError):
    """A file has more bytes than any real one of its kind."""


def read_bounded(path: str | Path, most: int = MOST_BYTES) -> bytes:
    """Read a whole file of a bounded size. Raises OSError, and TooLarge without reading it."""
    state = Path(path).stat()
    if not stat.S_ISREG(state.st_mode):  # a pipe would be waited for
        raise OSError(errno.EINVAL, "no regular file", str(path))
    check_size(state.st_size, most)
    with open(path, "rb") as file:
        return file.read(min(most, os.fstat(file.fileno()).st_size + 1))  # that much memory is taken


def check_size(n_bytes: int, most: int) -> None:
    """Refuse any file of more than `most` bytes: raise TooLarge."""
    if n_bytes > most:
        raise TooLarge(f"it has {n_bytes / 1e6:,.0f} MB; limit {most / 1e6:,.0f} MB")


def read_json_file(path: str | Path, most: int = MOST_BYTES, hook: Hook | None = None) -> Any:
    """Read a JSON file. Raises OSError; ValueError: too large, or see `parse_json`."""
    return parse_json(read_bounded(path, most), hook)


def parse_json(text: str | bytes, hook: Hook | None = None) -> Any:
    """Parse JSON in UTF-8; `hook` replaces each object as it is read. Raises ValueError, also if too deep."""
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8-sig"), object_hook=hook)
    except RecursionError:
        raise ValueError("lists are nested too deeply") from None


@contextmanager
def replacing(path: Path, *, durable: bool = True, parents: bool = False) -> Iterator[Path]:
    """Yield a temporary name beside `path`, which is renamed to it; after an error, nothing is left behind.

    Args:
        durable: the bytes are on the disk before the file has its name, so that no crash leaves it empty; and
            the name is there before anything that follows is written.
        parents: make the folders that are missing.
    """
    if parents:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        if durable:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):  # the error that is told is that of the writing
            temporary.unlink()
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the names of the files in a folder on the disk: syncing a file does not include its name."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:  # some file systems sync no folders, and some folders cannot be listed
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EACCES):
            raise


def bytes_below(folder: Path) -> int:
    """Add up the files below a folder, which may go meanwhile."""
    n_bytes = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                n_bytes += Path(where, name).lstat().st_size
    return n_bytes


def make_durable_folder(folder: Path) -> None:
    """Make a folder and those above it that are missing, and put their names on the disk."""
    if not folder.is_dir():
        make_durable_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


@contextmanager
def refused_once(path: Path, error_type: type[Exception]) -> Iterator[None]:
    """Raise again what reading a file has raised, without reading, until the file changes.

    A page reads a study's files each time that it is drawn; a large damaged one would cost seconds each time.
    """
    key, stamp = str(path), stamp_of(path)
    refusal = _refused.get(key)
    if refusal is not None and refusal[0] == stamp:
        raise refusal[1].with_traceback(None)
    try:
        yield
    except error_type as error:
        while len(_refused) >= MOST_REMEMBERED:
            _refused.pop(next(iter(_refused)), None)
        _refused[key] = stamp, error
        raise


def stamp_of(path: Path) -> tuple[int, ...]:
    """Return a value that differs once a file was replaced, even by one of equal size and time.

    Also where a clock was set back; empty where there is no file.
    """
    try:
        state = path.stat()
    except OSError:
        return ()
    return state.st_ino, state.st_mtime_ns, state.st_ctime_ns, state.st_size


def check_output_file(out: Path, what: str, endings: Sequence[str]) -> str:
    """Return the ending of a file that is to be written; called before any work is done.

    Args:
        what: is written, in words. endings: those that it may have.
    Raises:
        SettingsError: the file has another ending, or is a folder.
    """
    if (ending := out.suffix.lower()) not in endings:
        has = f"'{out.suffix}'" if ending else "no extension"
        raise SettingsError(f"'{out}' has {has}; {what} can be written as {', '.join(endings)}")
    if out.is_dir():
        raise SettingsError(f"'{out}' is a folder; name a file in it")
    return ending
