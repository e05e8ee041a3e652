"""The checks of the fields of a command that came back from a record. No torch."""

import inspect
import typing
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from core.errors import JobError

LONGEST = 4096  # characters of one field: the longest path that Linux accepts
MOST_PARTS = 200


def check_field(command: str, name: str, value: Any, hint: Any) -> None:
    """Raise JobError for a field of the wrong type, of excessive length, or with a NUL character."""
    if not _fits(value, hint):
        kind = inspect.formatannotation(hint)
        raise JobError(f"'{name}' of the command '{command}' must be {kind}, got {str(value)[:60]!r}")
    texts = [part for one in field_parts(value) for part in field_parts(one) if isinstance(part, str | Path)]
    if any(len(str(text)) > LONGEST or "\0" in str(text) for text in texts):
        raise JobError(f"'{name}' of the command '{command}' is too long or contains a NUL; change it")


def check_names(command: str, names: Iterable[str], allowed: Container[str]) -> None:
    """Raise JobError for an option that a click may not give."""
    if unknown := [name for name in names if name not in allowed]:
        raise JobError(f"'{command}' has no option '{unknown[0][:40]}' that can be set from here")


def _fits(value: Any, hint: Any) -> bool:
    kinds = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        if not isinstance(value, tuple) or len(value) > MOST_PARTS:
            return False
        kinds = kinds[:1] * len(value) if kinds[-1] is Ellipsis else kinds
        return len(kinds) == len(value) and all(map(_fits, value, kinds))
    if kinds:  # a union
        return any(_fits(value, kind) for kind in kinds)
    if hint is int:
        return type(value) is int and abs(value) < 2**31
    return isinstance(value, hint)


def field_parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)
