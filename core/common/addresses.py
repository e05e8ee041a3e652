"""Which addresses (URLs) data may be read from, and how they are written down: without credentials.

A study, a table or a config may come from somebody else, so an address that stands in one is not the owner's
word. Nothing is fetched unless the owner named the address, or a folder above it, on the command line or in
PEREGRINE_URLS (docs/threat_model.md). What the command line names is remembered in the user's state folder.
"""

import json
import os
import posixpath
import re
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from core.common.assets import make_private, state_folder
from core.common.command_line import with_options
from core.common.inside import read_json_file, replacing
from core.errors import AddressRefused, PeregrineError

URLS = "PEREGRINE_URLS"  # what the owner names
SCHEMES = {"s3": "s3fs", "gs": "gcsfs", "https": "aiohttp", "http": "aiohttp"}  # and the package of each
REMEMBERED = "urls.json"
MOST_REMEMBERED = 1000
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(://|::)")  # `::` chains file systems of fsspec
PATTERN = re.compile(r"[{*\[]")


def is_url(text: object) -> bool:
    """Return True for text that names a place by its address, and no path.

    >>> is_url("s3://bucket/photos"), is_url("torchvision:CIFAR10"), is_url("/data/photos")
    (True, False, False)
    """
    return isinstance(text, str) and URL.match(text) is not None


def located(text: str) -> str:
    """Return the absolute path of a local file or folder (also `file://`), or the URL without escapes.

    >>> located("file:///data/a%20b"), located("https://example.org/a%20b/")
    ('/data/a b', 'https://example.org/a b')

    Raises:
        AddressRefused: data is not read from such an address, or it holds credentials.
    """
    if not is_url(text):
        return os.path.abspath(text)
    scheme, _, rest = text.partition("://")
    host, _, path = rest.partition("/")
    scheme = scheme.lower()
    if scheme == "file" and host in ("", "localhost"):
        return os.path.abspath("/" + unquote(path))
    if scheme not in SCHEMES or not host:
        schemes = ", ".join(f"{name}://" for name in (*SCHEMES, "file"))
        raise AddressRefused(
            f"data cannot be read from '{_without_secrets(text)}'. Addresses begin with {schemes}"
        )
    if "@" in host or "?" in rest or "#" in rest:
        raise AddressRefused(
            f"the address of '{_without_secrets(text)}' holds a password, a signature or options, which a "
            "study would store. Leave them out, and give credentials by the environment (docs/own_data.md)"
        )
    path = unquote(path) if scheme.startswith("http") else path
    if {".", ".."} & set(path.split("/")) or "\0" in path:
        raise AddressRefused(f"'{_without_secrets(text)}' holds '..' or '.'. Write the address without")
    return f"{scheme}://{host}/{path}".rstrip("/")


def study_folder(path: str | os.PathLike[str]) -> Path:
    """Return the folder that a user's address, a path or `file://`, means; refuse any other URL.

    >>> study_folder("studies/demo").as_posix(), study_folder("file:///data/a%20b").as_posix()
    ('studies/demo', '/data/a b')

    Raises:
        AddressRefused: it is an address: a study is read in a folder only.
    """
    text = os.fspath(path)
    text = located(text) if is_url(text) else text
    if is_url(text):
        raise AddressRefused(
            f"studies are folders, and '{text}' is an address. Mount it with `rclone mount`, or copy it with "
            "`aws s3 sync` (docs/scale.md)"
        )
    return Path(text)


def listed_place(folder: str, name: str) -> str:
    """Return the address, a path or a URL, of a file called `name`, which may be relative to `folder`.

    >>> listed_place("s3://bucket/lists", "../photos/1.jpg"), listed_place("/lists", "s3://bucket/1.jpg")
    ('s3://bucket/photos/1.jpg', 's3://bucket/1.jpg')
    """
    if is_url(name):
        with suppress(AddressRefused):
            return located(name)
        return name  # reading it says why not
    if is_url(folder):
        scheme, _, rest = f"{folder}/{name}".partition("://")
        return f"{scheme}://{posixpath.normpath(rest)}"
    return os.path.join(folder, os.path.expanduser(name))


def grant(texts: Iterable[object]) -> None:
    """Allow the URLs of remote files that the owner has named, and what lies below them, from now on.

    An address of a file, or a pattern, allows its folder.

    Raises:
        AddressRefused: as `located`.
    """
    words = [word for text in texts for word in (text if isinstance(text, list) else [text]) if word]
    parts = [part for word in words for part in _parts(str(word))]
    folders = [_folder(part) for part in parts if is_url(part)]
    new = [folder for folder in folders if folder and not is_granted(folder)]
    if not new:
        return
    os.environ[URLS] = " ".join([*_named(), *new])  # for the processes that this one starts
    with suppress(OSError, PeregrineError):  # a machine where nothing can be remembered
        path = make_private(state_folder()) / REMEMBERED
        with replacing(path) as temporary:
            remembered = list(dict.fromkeys([*_remembered(), *new]))[-MOST_REMEMBERED:]
            temporary.write_text(json.dumps(remembered), encoding="utf-8")


def is_granted(url: str) -> bool:
    """Return True when the owner has named this address, or a folder above it."""
    if ".." in url.split("/"):
        return False
    return any(url == granted or url.startswith(f"{granted}/") for granted in (*_named(), *_remembered()))


def check_granted(url: str) -> None:
    """Raise AddressRefused for an address that the owner has not named."""
    if not is_granted(url):
        raise AddressRefused(
            f"'{url}' is named by a file, not by you, so nothing is read from it. If you know it, set "
            f"{URLS}='{_folder(url)}' (several: with spaces between)"
        )


def _parts(spec: str) -> list[str]:
    """Return the places in `ARCH@PLACE`, `PLACE?root=PLACE` and the like."""
    path, options = with_options(spec)
    _, at, checkpoint = path.partition("@")
    return [checkpoint if at and is_url(checkpoint) else path, *options.values()]


def _folder(text: str) -> str:
    """Return the folder of a file or pattern by address; a folder unchanged; "" for a local place."""
    address = located(PATTERN.split(text)[0])
    if not is_url(address):
        return ""
    scheme, _, path = address.partition("://")
    folder, slash, last = path.rpartition("/")
    is_file = slash and ("." in last or PATTERN.search(text))
    return f"{scheme}://{folder}" if is_file else address


def _named() -> list[str]:
    addresses = []
    for text in os.environ.get(URLS, "").split():
        with suppress(AddressRefused):
            addresses.append(located(text))
    return [address for address in addresses if is_url(address)]


def _remembered() -> list[str]:
    path = state_folder() / REMEMBERED
    try:
        return _read_remembered(path, path.stat().st_mtime_ns)
    except (OSError, ValueError):
        return []


@lru_cache(maxsize=1)
def _read_remembered(path: Path, changed: int) -> list[str]:
    record = read_json_file(path)
    return [text for text in record if is_url(text)] if isinstance(record, list) else []


def _without_secrets(text: str) -> str:
    """Return an address without user, password, query and fragment, for messages."""
    chain, colons, last = text.rpartition("::")
    try:
        parts = urlsplit(last)
    except ValueError:
        return "the address"
    return f"{chain if chain.isalnum() else ''}{colons}{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
