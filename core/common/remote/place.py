"""Paths by address: a study in an object store is read as one in a folder, and never written to.

What opens a path gets the whole copy of that object in the cache. What lies in a study is listed once, when
it is opened; files that change (the manifest, saved slices, notes) are asked for again after FRESH seconds.
"""

import errno
import os
import posixpath
import stat as modes
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import IO, Any

from core.common.remote import objects
from core.common.remote.addresses import is_url, located
from core.errors import StudyError

FRESH = 10  # seconds in which a store is not asked again about a file or a folder
MOST_ASKED = 100_000
PART = 1 << 16  # bytes that are fetched for a part of a file
SMALL, MOST_AHEAD = 1 << 20, 200  # bytes of a file, and files, that are fetched before they are asked for
AHEAD = "small files"  # the thread that does so

# By address: until when it is known …
_asked: dict[str, tuple[float, objects.Object | None]] = {}  # … what is there; None for nothing
_listed: dict[str, tuple[float, frozenset[str]]] = {}  # … all that lies below; also used when it is older
_folders: dict[str, tuple[float, list[str]]] = {}  # … the folders directly below


def as_path(place: str | os.PathLike[str]) -> Path:
    """Return the path of a local place, or an AddressPath for text that is an address.

    Raises AddressRefused.

    >>> as_path("studies/demo"), str(as_path("s3://bucket/studies/demo") / "manifest.json")
    (PosixPath('studies/demo'), 's3://bucket/studies/demo/manifest.json')
    """
    if isinstance(place, Path):
        return place
    text = os.fspath(place)
    text = located(text) if is_url(text) else text
    return AddressPath(text) if is_url(text) else Path(text)


def check_writable(folder: Path) -> None:
    """Raise StudyError for a study by address."""
    if isinstance(folder, AddressPath):
        raise StudyError(
            f"'{folder}' is read by its address, and nothing is written there. "
            "Copy it to a folder of this machine to change it"
        )


class AddressPath(type(Path())):  # pyright: ignore[reportGeneralTypeIssues, reportUntypedBaseClass]
    """The address of a study or of a file in one, wherever a path is expected.

    Raises RemoteError where the store does not answer.
    """

    def __str__(self) -> str:
        return super().__str__().replace(":/", "://", 1)

    def __fspath__(self) -> str:
        """Return the path of a whole copy in the cache."""
        url = str(self)
        if not objects.is_known(url):
            self.stat()
        return objects.local_copy(url)

    def resolve(self, strict: bool = False) -> "AddressPath":
        """Return the address without `..`: there are no links."""
        scheme, _, path = str(self).partition("://")
        return type(self)(f"{scheme}://{posixpath.normpath(path)}")

    def absolute(self) -> "AddressPath":
        return self

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size of an object, and a time of change that stands for its version."""
        held = _facts(str(self))
        if held is None:
            raise FileNotFoundError(errno.ENOENT, "no such object", str(self))
        version = int(sha256(held.version.encode()).hexdigest()[:15], 16)
        values = (modes.S_IFREG | 0o444, 0, 0, 1, 0, 0, held.size, 0, 0, 0)
        return os.stat_result(values, {"st_mtime_ns": version, "st_ctime_ns": version})

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        return bool(self.listed()) or self.is_file()

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        return _facts(str(self)) is not None

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Return False: stores have no folders, and nothing can be put into one."""
        return False

    def is_symlink(self) -> bool:
        return False

    def iterdir(self) -> "Iterator[AddressPath]":
        """Yield the folders directly below."""
        url = str(self)
        if _folders.get(url, (0, []))[0] < time.monotonic():
            _folders[url] = time.monotonic() + FRESH, objects.folders_in(url)
        yield from (self / name for name in _folders[url][1])

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> IO[Any]:
        if set(mode) & set("wax+"):
            check_writable(self)
        return super().open(mode, *args, **kwargs)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        check_writable(self)

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok:
            check_writable(self)

    def n_bytes(self) -> int:
        """Return the size of the version of an object that is read."""
        return objects.stat(str(self)).size

    def parts(self, ranges: Sequence[tuple[int, int]]) -> bytes:
        """Read parts of an object, (first byte, number of bytes) each, many at a time."""
        with ThreadPoolExecutor(min(objects.AT_ONCE, len(ranges))) as pool:
            read = partial(objects.read_object, str(self), block=PART)
            return b"".join(pool.map(lambda part: read(*part), ranges))

    def listed(self) -> frozenset[str] | None:
        """Return the names of all objects below a folder as it was last looked at; None where no list is."""
        return _listed[str(self)][1] if str(self) in _listed else None

    def look(self, file: str) -> None:
        """List again what lies in a folder, which has to hold this file.

        Raises:
            StudyError: it does not, or may not be read. RemoteError.
        """
        url, names = str(self), frozenset[str]()
        asked_at, facts = _asked.get(f"{url}/{file}", (0.0, None))
        is_fresh = facts is not None and asked_at >= time.monotonic()  # a list of studies has just asked
        objects.forget_below(url, but=f"{url}/{file}" if is_fresh else "")
        _listed.pop(url, None)
        try:
            if not url.startswith("http"):  # a page of a web server has the links of one folder only
                with suppress(FileNotFoundError, PermissionError), ThreadPoolExecutor(1) as beside:
                    if is_fresh:
                        beside.submit(objects.fetch_ahead, [f"{url}/{file}"], whole=True)
                    names = frozenset(objects.objects_below(url))
                    _listed[url] = time.monotonic() + FRESH, names
            objects.stat(f"{url}/{file}")
        except PermissionError:
            raise StudyError(f"cannot read '{self}': permission denied") from None
        except OSError:
            what = f"'{self}' is not a study yet" if names else f"no study at '{self}'"
            raise StudyError(f"{what} (no {file}). Check the address") from None


def bytes_below(folder: Path) -> int:
    """Add up the files below a folder, which may go meanwhile; 0 for an address that cannot be listed."""
    if isinstance(folder, AddressPath):
        files: Iterator[Path] = (folder / name for name in folder.listed() or ())
    else:
        files = (Path(where, name) for where, _, names in os.walk(folder) for name in names)
    n_bytes = 0
    for path in files:
        with suppress(FileNotFoundError):
            n_bytes += path.lstat().st_size
    return n_bytes


def fetch_small_files(folder: Path) -> None:
    """Begin to copy small tables, arrays and first chunks of a study by address, which most pages read."""
    if isinstance(folder, AddressPath) and (names := folder.listed()):
        sizes = {name: objects.stat(f"{folder}/{name}").size for name in names}
        of_item = Counter[str]()
        for name, size in sizes.items():
            of_item[_item(name)] += size
        early = [
            name
            for name, size in sizes.items()
            if of_item[_item(name)] <= SMALL or (size <= SMALL and name.endswith("/00000.npy"))
        ]
        early = [name for name in early if name.endswith((".parquet", ".npy"))]
        early.sort(key=lambda name: ("/" in name, not name.endswith("/00000.npy"), name))
        urls = [f"{folder}/{name}" for name in early[:MOST_AHEAD]]
        options = {"whole": True, "at_once": objects.SMALL_AT_ONCE}
        Thread(None, objects.fetch_ahead, AHEAD, (urls,), options, daemon=True).start()


def _item(name: str) -> str:
    """Return the array that a chunk belongs to; a table's file is one."""
    return name.partition("/")[0]


def folders_with(folder: AddressPath, file: str, depth: int) -> list[AddressPath]:
    """List the folders that hold a file, up to so many levels below."""
    children = [child for child in folder.iterdir() if not child.name.startswith(".")] if depth else []
    _ask([str(child / file) for child in children])
    folders: list[AddressPath] = []
    for child in children:
        folders += [child] if (child / file).is_file() else folders_with(child, file, depth - 1)
    return folders


def _facts(url: str) -> objects.Object | None:
    """Size and version of an object, not older than FRESH; None where there is none that may be read."""
    now = time.monotonic()
    for folder, (until, names) in [*_listed.items()]:
        if until >= now and url.startswith(f"{folder}/"):
            return objects.stat(url) if url.removeprefix(f"{folder}/") in names else None
    if _asked.get(url, (0, None))[0] < now:
        _ask([url])
    return _asked[url][1]


def _ask(urls: list[str]) -> None:
    now = time.monotonic()
    urls = [url for url in urls if _asked.get(url, (0, None))[0] < now]
    if len(_asked) > MOST_ASKED:
        _asked.clear()
    for url, facts in zip(urls, objects.stat_all(urls), strict=True):
        _asked[url] = now + FRESH, facts
