"""Loops that numba compiles on their first call; the only home of numba."""

import functools
import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from core.common.remote_cache import cache_folder
from core.errors import PeregrineError

REORDER = {"reassoc", "nsz", "contract"}  # sums may be reordered; NaN and infinity keep their meaning


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compile a numeric kernel with numba for several threads, cached on disk if possible."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        lock, built = threading.Lock(), []

        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            if not built:
                with lock:
                    if not built:
                        built.append(_compile(function, options))
            return built[0](*arguments)

        return call

    return decorate


def _compile(function: Callable[..., Any], options: dict[str, Any]) -> Callable[..., Any]:
    import numba

    options = {"nogil": True, "error_model": "numpy", **options}
    try:
        return numba.njit(function, cache=True, **options)
    except RuntimeError:  # no cache can be written, neither beside the source nor in the user's cache folder
        return numba.njit(function, **options)


@contextmanager
def compiled_on_disk(*packages: str) -> Iterator[None]:
    """Keep on disk what numba compiles of packages that are imported here, which ask for no cache themselves.

    numba does not see when what a cached function calls has changed in another package: so each set of
    versions has a folder of its own. Nobody else can write to it, since what lies there is run.

    Args:
        packages: the distributions whose functions are compiled together.
    """
    import numba

    folder = _folder_of_versions(packages)
    if folder is None:
        yield
        return
    plain: Any = numba.njit
    numba.config.CACHE_DIR, usual = str(folder), numba.config.CACHE_DIR  # pyright: ignore
    numba.njit = functools.wraps(plain)(
        lambda *functions, **options: plain(*functions, **{"cache": True} | options)
    )
    try:
        yield
    finally:
        numba.njit, numba.config.CACHE_DIR = plain, usual  # pyright: ignore


def _folder_of_versions(packages: tuple[str, ...]) -> Path | None:
    """Return the folder of compiled code for these versions; None where no folder is ours alone."""
    versions = [f"{name} {version(name)}" for name in (*packages, "numba", "llvmlite", "numpy")]
    try:
        folder = cache_folder() / f"numba-{hashlib.sha256(' '.join(versions).encode()).hexdigest()[:16]}"
        folder.mkdir(exist_ok=True)
    except (OSError, PeregrineError):
        return None
    return folder
