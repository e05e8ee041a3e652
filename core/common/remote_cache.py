"""A cache of bounded size on disk for what was read by address; several processes may share it.

PEREGRINE_CACHE names its folder (else `peregrine` in the user's cache folder), PEREGRINE_CACHE_GB its size.
What was used longest ago goes first. A crash leaves no half entry: an entry of another length does not count.
"""

import hashlib
import math
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from core.common.assets import make_private
from core.common.inside import replacing
from core.errors import SettingsError

CACHE, SIZE = "PEREGRINE_CACHE", "PEREGRINE_CACHE_GB"
USUAL_SIZE = "10"  # GB
LOCK, OUTER_LOCK = "lock", "outer_lock"  # a `fetch` under the outer one may itself read through the cache
LOOK_AFTER = 1 / 64  # of the size: what a process writes until it looks whether the cache is full
FULL, KEPT = 7 / 8, 3 / 4  # of the size; what is between full and the size is for eight processes at once

_written: dict[int, float] = {}  # by process: bytes since it last looked; the first write looks


def most_bytes() -> int:
    """Return the size of the cache of remote files in bytes. Raises SettingsError for a bad variable."""
    text = os.environ.get(SIZE, USUAL_SIZE)
    try:
        size = float(text)
    except ValueError:
        size = math.nan
    if not 0.01 <= size < math.inf:
        raise SettingsError(f"{SIZE} is '{text}', not a number of gigabytes from 0.01. Write {SIZE}=10")
    return int(size * 1e9)


def cache_folder() -> Path:
    """Return the private folder of the cache of remote files, made if needed. Raises JobError."""
    named = os.environ.get(CACHE) or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/peregrine"
    return make_private(Path(named).expanduser().resolve(), CACHE)


def entry_of(*parts: object) -> Path:
    """Return where the cache of remote files keeps what these parts name; it need not exist."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")  # the same bucket name of another store
    name = hashlib.sha256("\n".join([endpoint, *map(str, parts)]).encode("utf-8", "replace")).hexdigest()
    return cache_folder() / name[:2] / name


def cached(entry: Path, fetch: Callable[[Path], object], n_bytes: int = 0, lock: str = LOCK) -> Path:
    """Return a remote file's entry in the cache, filled by `fetch` once, whichever process comes first.

    Args:
        fetch: writes the file of the name that it is given.
        n_bytes: the length of a whole entry; 0: any.
        lock: OUTER_LOCK where `fetch` reads other entries, which take LOCK: so none waits for itself.
    """
    from filelock import FileLock

    if _is_whole(entry, n_bytes):
        return entry
    entry.parent.mkdir(mode=0o700, exist_ok=True)
    with FileLock(entry.parent / lock):  # one of 256: two entries of one lock wait for each other
        if not _is_whole(entry, n_bytes):
            _account(entry.parent.parent, n_bytes)
            with replacing(entry, durable=False) as temporary:
                fetch(temporary)
    return entry


def _is_whole(entry: Path, n_bytes: int) -> bool:
    try:
        if n_bytes and entry.stat().st_size != n_bytes:
            return False
        os.utime(entry)  # the times say what was used longest ago
    except OSError:
        return False
    return True


def _account(folder: Path, n_bytes: int) -> None:
    """Make room for an entry where this process has written enough to look."""
    written = _written.get(os.getpid(), math.inf) + n_bytes
    if written > LOOK_AFTER * most_bytes():
        _make_room(folder, most_bytes(), n_bytes)
        written = 0
    _written[os.getpid()] = written


def _make_room(folder: Path, most: int, n_bytes: int) -> None:
    entries = []
    for part in folder.iterdir():
        with suppress(OSError), os.scandir(part) as files:
            entries += [(file.stat().st_mtime_ns, file.stat().st_size, file.path) for file in files]
    total = sum(size for _, size, _ in entries) + n_bytes
    if total <= most * FULL:
        return
    for _, size, path in sorted(entries):
        if total <= most * KEPT:
            return
        if not path.endswith((f"/{LOCK}", f"/{OUTER_LOCK}")):
            with suppress(OSError):  # another process was faster
                os.unlink(path)
            total -= size
