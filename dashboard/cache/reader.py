"""The cache of everything that pages read: one decorator for functions that take a study first.

The key is `study.key` (path and manifest digest) and the arguments, so a rewritten study is never served
stale. Results are shared by all sessions: a data frame is returned as a copy-on-write view and an array is
read-only, so that no page changes what another one sees.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd
import streamlit as st

from core.measures import saved_slices
from core.measures.evaluate import may_depend_on_traces
from core.measures.slice import Slice
from core.measures.slice_tables import AS_DECIDED
from core.store import Answered, Study
from core.study.traces import traces_stamp

P = ParamSpec("P")
T = TypeVar("T")


KEYS: dict[str | type, Callable[[Any], Any]] = {
    Study: lambda study: study.key,
    Answered: lambda study: study.key,
    Slice: lambda where: where.to_json(),
    # Streamlit would only sample a large one.
    np.ndarray: lambda array: (array.dtype.str, array.shape, array.tobytes()),
}
PLAIN = (str, int, float, bool, type(None))
OF_TEXT = (Study, Answered, Slice)  # whose key is a text


def as_text(arguments: Iterable[Any]) -> tuple[str, list[Any]]:
    """Return a text that stands for the arguments, and those that no text stands for.

    Streamlit hashes each part of each argument by itself, which took a twelfth of a page: of one text, it
    takes little.

    >>> as_text([3, "a", (None, 1.5), {"b": 1}])
    ("[3, 'a', (None, 1.5,), ?]", [{'b': 1}])
    """
    others: list[Any] = []
    return f"[{', '.join(_as_text(one, others) for one in arguments)}]", others


def _as_text(value: Any, others: list[Any]) -> str:
    kind = type(value)
    if kind in PLAIN:
        return repr(value)
    if kind is tuple:
        return f"({''.join(f'{_as_text(one, others)}, ' for one in value).rstrip(' ')})"
    if kind in OF_TEXT:
        return f"{kind.__name__}({KEYS[kind](value)!r})"
    others.append(value)
    return "?"


def cached_read(
    *, max_entries: int, spinner: bool | str = False, names_features: bool = False
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Cache what a function reads from the study, or the studies, that are its first argument.

    The files that people change are no part of `study.key`, so their stamps join the key where the result
    may depend on them; arguments whose names begin with `_` do not. An error is not cached.

    Args:
        max_entries: results kept; the oldest goes first.
        spinner: text shown while the function runs.
        names_features: the result holds names of features, which people change.
    """

    def decorate(read: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(read)

        @st.cache_resource(max_entries=max_entries, show_spinner=spinner, hash_funcs=KEYS)
        @wraps(read)  # Streamlit tells caches apart by a function's name and source
        def cached(*, key: str, others: list[Any], _call: Callable[[], T]) -> Any:
            return _read_only(_call())

        @wraps(read)
        def returned(*args: P.args, **kwargs: P.kwargs) -> T:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()  # one entry, whichever way an argument is given
            given = [argument for name, argument in bound.arguments.items() if name[0] != "_"]
            stamps = saved_stamp(*given, names_features=names_features)
            key, others = as_text([*given, stamps])
            result: Any = cached(key=key, others=others, _call=partial(read, *args, **kwargs))
            seen: Any = result.copy(deep=False) if isinstance(result, pd.DataFrame) else result
            return seen

        return returned

    return decorate


def named_after(measure: Callable[..., Any]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Name a function after the measure that it calls: caches tell functions apart by name."""

    def decorate(read: Callable[P, T]) -> Callable[P, T]:
        for part in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(read, part, getattr(measure, part))
        return read

    return decorate


def saved_stamp(
    of: Study | tuple[Study, ...], *arguments: Any, names_features: bool = False
) -> tuple[int, ...]:
    """Return a value that changes whenever a slice among the arguments may hold other images, a table that
    they name may read otherwise, or (`names_features`) a feature may have another name.
    """
    slices = list(_slices(arguments))
    traced = (
        names_features
        or any(map(may_depend_on_traces, slices))
        or not AS_DECIDED.keys().isdisjoint(argument for argument in arguments if isinstance(argument, str))
    )
    stamps: list[int] = []
    for study in of if isinstance(of, tuple) else (of,):
        stamps += saved_slices.stamp(study.path) if any(where.saved for where in slices) else (0, 0)
        stamps += traces_stamp(study.path) if traced else (0, 0)
    return tuple(stamps)


def _slices(arguments: Iterable[Any]) -> Iterable[Slice]:
    for argument in arguments:
        if isinstance(argument, Slice):
            yield argument
        elif isinstance(argument, tuple):
            yield from _slices(argument)


def _read_only(value: Any) -> Any:
    for part in value if isinstance(value, tuple) else (value,):
        if isinstance(part, np.ndarray):
            part.setflags(write=False)
    return value
