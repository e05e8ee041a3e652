"""Read objects by address: their sizes, their bytes, all below a folder. Every request goes through here.

fsspec speaks to the stores; credentials come from where its packages look in the environment. A request that
fails is repeated with back-off; an answer of another length than was asked for has failed. What was read is
kept in the cache under the object's version, so a changed object is read again.
"""

import errno
import importlib.util
import io
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar
from urllib.parse import quote, unquote

from core.common.addresses import SCHEMES, check_granted, is_url
from core.common.inside import MOST_BYTES, check_size, read_bounded
from core.common.remote_cache import SIZE, cached, entry_of, most_bytes
from core.errors import DISK_FULL, AddressRefused, RemoteError

T = TypeVar("T")
ATTEMPTS = 6
FIRST_WAIT = 0.25  # seconds; doubled after each attempt
TIMEOUT = 30  # seconds without a byte
BLOCK = 4 << 20  # bytes of one request
AT_ONCE = 16  # requests
LONGEST = 300  # seconds of one answer, and after which a request is not tried again
MOST_IN_ANSWER = 64 << 20  # bytes: of a page of links, a block where a server sends no parts
MOST_NAMES, DEEPEST = 2_000_000, 64  # of what a web server lists (ImageNet: 1.4 million); levels of folders
LINK = re.compile(r"""<a\s[^<>]*?(?<=\s)href=["']([^"']+)|https?://[-a-z0-9@:%_+.~#?&/=]+""", re.IGNORECASE)
REMEMBERED_FOR = 600  # seconds in which the size and version of a single object are not asked for again
GONE = (404, 410)
FORBIDDEN = (401, 403)
BUSY = (408, 425, 429)


class Object(NamedTuple):
    """What a store says of an object: its size in bytes, and a text that changes with its content."""

    size: int
    version: str


_known: dict[str, tuple[Object, float]] = {}  # by address: and until when


def stat(url: str) -> Object:
    """Return size and version at an address. Raises FileNotFoundError, PermissionError, RemoteError."""
    cached = _known.get(url)
    if cached is None or cached[1] < time.monotonic():
        facts = _patiently(url, lambda: _store(url).info(_path(url)))
        if facts.get("type") == "directory":
            raise IsADirectoryError(errno.EISDIR, "is a folder", url)
        cached = _remember(url, facts, REMEMBERED_FOR)
    return cached[0]


def stat_all(urls: Iterable[str]) -> list[Object | None]:
    """Ask again, in parallel, for size and version of the file at each address; None where that fails."""
    urls = list(urls)
    for url in urls:
        _known.pop(url, None)
    return list(_at_once(_stat_or_none, urls))


def is_file(address: str) -> bool:
    """Return True where a file is, on this machine or by an address that the owner has named."""
    return stat_all([address])[0] is not None if is_url(address) else Path(address).is_file()


def read_small(address: str, most: int = MOST_BYTES) -> bytes:
    """Read a whole small file, or a remote object by its address.

    Raises:
        OSError; TooLarge, before anything is read. AddressRefused, RemoteError: as `read_object`.
    """
    if not is_url(address):
        return read_bounded(address, most)
    check_granted(address)
    check_size(stat(address).size, most)
    return read_object(address)


def objects_below(url: str) -> list[str]:
    """List every object below a folder by its name from there, sorted; `stat` then knows them.

    Raises:
        FileNotFoundError: there is none. PermissionError, RemoteError.
    """
    listed = dict(_pages(url) if url.startswith("http") else _flat(url))
    if not listed:
        raise FileNotFoundError(errno.ENOENT, "nothing there", url)
    unsized = [name for name, facts in listed.items() if facts.get("size") is None]
    sized = [(f"{url}/{name}", facts) for name, facts in listed.items() if facts.get("size") is not None]
    for address, facts in sized:
        _remember(address, facts, float("inf"))
    stat_all(f"{url}/{name}" for name in unsized)  # a page of links says no sizes
    return sorted(listed)


def read_object(url: str, start: int = 0, size: int | None = None) -> bytes:
    """Read a remote object or a part of it, through the cache; less than `size` where it ends.

    Raises:
        FileNotFoundError, PermissionError: as the store says.
        AddressRefused: the owner has not named it.
        RemoteError: no whole answer after all attempts, or changed while it was read.
    """
    check_granted(url)
    whole = stat(url)
    end = whole.size if size is None else min(start + size, whole.size)
    starts = range(start - start % BLOCK, end, BLOCK) if end > start else range(0)
    parts = b"".join(_at_once(lambda first: _block(url, whole, first), starts))
    return parts[start % BLOCK :][: max(end - start, 0)]


def fetch_ahead(urls: Iterable[str]) -> None:
    """Load the first block of remote objects into the cache in parallel.

    Errors are ignored here and raised when the object is read.
    """

    def fetch(url: str) -> None:
        with suppress(OSError, RemoteError):
            read_object(url, 0, BLOCK)

    for _ in _at_once(fetch, urls):
        pass


def local_copy(url: str) -> str:
    """Return the path of a whole copy in the cache, which ends like the address, for readers of files.

    Raises:
        RemoteError: as `read_object`, or the object is larger than half the cache.
    """
    check_granted(url)
    whole = stat(url)
    if whole.size > most_bytes() / 2:
        gigabytes = f"{2 * whole.size / 1e9:.0f}"
        raise RemoteError(f"'{url}' is larger than half the cache. Set {SIZE}={gigabytes} or more")
    entry = entry_of("copy", url, *whole)

    def fetch(path: Path) -> None:
        with open(path, "wb") as file:
            for first in range(0, whole.size, AT_ONCE * BLOCK):
                starts = range(first, min(first + AT_ONCE * BLOCK, whole.size), BLOCK)
                file.writelines(_at_once(lambda start: _fetched(url, whole, start), starts))

    name = url.rpartition("/")[2][-80:]
    return str(cached(entry.with_name(f"{entry.name}-{name}"), fetch, whole.size))


def local_file(address: str) -> Path:
    """Return the path of a file: the place itself, or that of a whole copy of an object in the cache."""
    return Path(local_copy(address) if is_url(address) else address)


def open_object(url: str) -> BinaryIO:
    """Open a remote object for reading and seeking. Raises as `read_object`."""
    check_granted(url)
    return io.BufferedReader(_Reader(url), 1 << 16)


class _Reader(io.RawIOBase):
    def __init__(self, url: str):
        self.url, self.size, self.at = url, stat(url).size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def readinto(self, buffer: Any) -> int:
        data = read_object(self.url, self.at, len(buffer))
        buffer[: len(data)] = data
        self.at += len(data)
        return len(data)


def _block(url: str, whole: Object, start: int) -> bytes:
    entry = entry_of(url, *whole, start, BLOCK)
    length = min(BLOCK, whole.size - start)
    try:
        path = cached(entry, lambda path: path.write_bytes(_fetched(url, whole, start)), length)
        return path.read_bytes()
    except OSError as error:  # no room on the disk, or removed before it was read: then without the cache
        if error.errno not in (*DISK_FULL, errno.ENOENT) or error.filename == url:
            raise
        return _fetched(url, whole, start)


def _fetched(url: str, whole: Object, start: int) -> bytes:
    """Fetch the block from `start`: all of it, or raise."""
    end = min(start + BLOCK, whole.size)
    is_part = (start, end) != (0, whole.size)
    asked = {"start": start, "end": end} if is_part else {}

    def fetch() -> bytes:
        data = _store(url).cat_file(_path(url), **asked)
        if is_part and len(data) == whole.size:
            raise RemoteError(
                f"the server of '{url}' does not send parts of objects. Use one that knows Range"
            )
        if len(data) != end - start:
            raise _Cut(f"{len(data):,} of {end - start:,} bytes came")
        return data

    try:
        return _patiently(url, fetch)
    except _Cut as error:
        _known.pop(url, None)
        changed = " It has changed since it was listed." if stat(url) != whole else ""
        raise RemoteError(f"cannot read '{url}': {error}.{changed} {REMEDY}") from None


class _Cut(Exception):
    """An answer of another length than was asked for."""


class _TooMuch(Exception):
    """An answer of a web server beyond all bounds."""


REMEDY = "Run the same command again: it continues where it stopped"


def _patiently(url: str, request: Callable[[], T]) -> T:
    """Repeat a request until it is answered, with exponential back-off. Says nothing that a library said."""
    check_granted(url)
    reason, until = "", time.monotonic() + LONGEST
    for attempt in range(ATTEMPTS):
        if attempt and time.monotonic() > until:
            raise RemoteError(f"cannot read '{url}': {reason} ({LONGEST} seconds). {REMEDY}")
        if attempt:
            time.sleep(FIRST_WAIT * 2 ** (attempt - 1) * random.uniform(0.75, 1.25))
        try:
            return request()
        except RemoteError:
            raise
        except (MemoryError, _TooMuch) as error:
            much = str(error) or "more than fits into this machine's memory"
            raise RemoteError(
                f"cannot read '{url}': the server sends {much}. Name a smaller folder, or one whose server "
                "sends parts of objects (Range)"
            ) from None
        except Exception as error:
            reason = _reason(error, url)
            if isinstance(error, _Cut) and attempt == ATTEMPTS - 1:
                raise
    raise RemoteError(f"cannot read '{url}': {reason} ({ATTEMPTS} attempts). {REMEDY}")


def _reason(error: BaseException, url: str) -> str:
    """Say why a request failed that may be repeated. Raises the error of one that would fail again."""
    status = getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) and error.__cause__ and url.startswith("http"):
        return _reason(error.__cause__, url)  # fsspec makes one of every failed request for a size
    if status in GONE or isinstance(error, FileNotFoundError):
        raise FileNotFoundError(errno.ENOENT, "no such object", url) from None
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError"):
        raise RemoteError(f"'{url}' needs credentials; the environment has none (docs/own_data.md)") from None
    if status in FORBIDDEN or isinstance(error, PermissionError):
        raise PermissionError(errno.EACCES, "permission denied", url) from None
    if isinstance(status, int) and 400 <= status < 500 and status not in BUSY:
        raise RemoteError(f"cannot read '{url}': the server answers {status}. Check the address") from None
    if isinstance(status, int):
        return f"the server answers {status}"
    if isinstance(error, TimeoutError):
        return f"no whole answer in time ({TIMEOUT} seconds of silence, or {LONGEST} of waiting)"
    return str(error) if isinstance(error, _Cut) else f"no whole answer ({type(error).__name__})"


def _store(url: str) -> Any:
    scheme = url.partition("://")[0]
    if importlib.util.find_spec(SCHEMES[scheme]) is None:
        raise RemoteError(f"'{url}' needs one more package. Run: pip install {SCHEMES[scheme]}")
    return _opened(scheme, os.getpid())


@cache
def _opened(scheme: str, process: int) -> Any:
    """Open the file system of a scheme; a forked process needs its own."""
    import fsspec

    options: dict[str, Any] = {}
    if scheme.startswith("http"):
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=LONGEST, sock_connect=TIMEOUT, sock_read=TIMEOUT)
        session = {"timeout": timeout, "trust_env": True, "response_class": _bounded_answer()}
        options = {"client_kwargs": session, "encoded": True}
        options["headers"] = {"Accept-Encoding": "identity"}  # or lengths would be those of compressed bytes
    if scheme == "s3":
        wait = {"connect_timeout": TIMEOUT, "read_timeout": TIMEOUT}
        wait |= {"max_pool_connections": 2 * AT_ONCE}
        options = {"config_kwargs": {"retries": {"total_max_attempts": 1}, **wait}}
        options["max_concurrency"] = 1  # else it asks for each size again, which is known here
    return fsspec.filesystem(scheme, skip_instance_cache=True, use_listings_cache=False, **options)


def _bounded_answer() -> type:
    """Return the class of aiohttp's answers that end at MOST_IN_ANSWER bytes and whose text is links."""
    import aiohttp

    class BoundedAnswer(aiohttp.ClientResponse):
        async def read(self) -> bytes:
            if self._body is None:
                body = bytearray()
                async for part in self.content.iter_any():
                    body += part
                    if len(body) > MOST_IN_ANSWER:
                        raise _TooMuch(f"more than {MOST_IN_ANSWER / 2**20:,.0f} MB at once")
                self._body = bytes(body)
            return await super().read()

        async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
            return _links_alone((await self.read()).decode(encoding or self.get_encoding(), errors))

    return BoundedAnswer


def _links_alone(page: str) -> str:
    """Return a page with its links alone, in one pass over it; fsspec's own search may take many."""
    links: list[str] = []
    for link in LINK.finditer(page):
        links.append(link[1] or link[0])
        if len(links) > MOST_NAMES:
            raise _TooMuch(f"more than {MOST_NAMES:,} links on a page")
    return "\n".join(f'<a href="{link}">' for link in links)


def _path(url: str) -> str:
    """Write an address as its file system takes it: over HTTP with escapes."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{quote(rest, safe='/:')}" if scheme.startswith("http") else url


def _remember(url: str, facts: dict[str, Any], seconds: float) -> tuple[Object, float]:
    size = facts.get("size")
    if size is None:
        raise RemoteError(f"the server does not say how large '{url}' is, so it is not read")
    stamps = (facts.get(name) for name in ("ETag", "etag", "generation", "LastModified", "Last-Modified"))
    version = next((str(stamp).strip('"') for stamp in stamps if stamp), "")
    _known[url] = cached = Object(int(size), version), time.monotonic() + seconds
    return cached


def _stat_or_none(url: str) -> Object | None:
    try:
        return stat(url)
    except (OSError, AddressRefused):
        return None


def _at_once(work: Callable[[Any], T], items: Iterable[Any]) -> Iterator[T]:
    items = list(items)
    if len(items) < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(min(AT_ONCE, len(items))) as pool:
        yield from pool.map(work, items)


def _flat(url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """List a store of keys in one go: as many requests as there are thousands of objects."""
    root = url.partition("://")[2]
    listing = _patiently(url, lambda: _store(url).find(_path(url), detail=True))
    for path, facts in listing.items():
        if facts.get("type") == "file" and path.startswith(f"{root}/") and not path.endswith("/"):
            yield path.removeprefix(f"{root}/"), facts


def _pages(url: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """List the links of a web server's pages, folder by folder.

    Raises:
        RemoteError: more than MOST_NAMES, or deeper than DEEPEST, as where a folder lists itself.
    """
    root, n_names = f"{_path(url)}/", 0

    def listed(folder: str) -> list[dict[str, Any]]:
        nonlocal n_names
        links = _patiently(url, lambda: _store(url).ls(folder, detail=True))
        n_names += len(links)
        if n_names > MOST_NAMES:
            raise RemoteError(f"'{url}' lists more than {MOST_NAMES:,} files and folders. Name a part of it")
        return links

    todo, depth = [root], 0
    while todo:
        depth += 1
        if depth > DEEPEST:
            raise RemoteError(f"'{url}' has more than {DEEPEST} levels of folders: one may list itself")
        links = [link for page in _at_once(listed, todo) for link in page]
        links = [link for link in links if link["name"].startswith(root) and "?" not in link["name"]]
        todo = [link["name"] for link in links if link["type"] == "directory"]
        for link in links:
            if link["type"] == "file":
                yield unquote(link["name"].removeprefix(root)), link
