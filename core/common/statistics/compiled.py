"""Loops that numba compiles on their first call; the only home of numba."""

import functools
import threading
from collections.abc import Callable
from typing import Any


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Apply numba.njit for several threads, with a disk cache if possible; the first call imports numba."""

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
