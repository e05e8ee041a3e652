"""The value of an option from what was typed, in a terminal or a form: one reader for a field.

A reader raises ValueError, whose text stands after what was typed: "is not a number".
"""

import math
import typing
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any

TOO_LARGE = 2**63  # for numbers and seeds of numpy and torch
AUTO = "auto"
LEAF = "leaf"  # the innermost folder
Reader = Callable[[str], Any]


def reader(hint: Any, *, minimum: float | None = None, above: float | None = None, unit: str = "") -> Reader:
    """Return the function that reads the value of a setting's field from text, by its type hint.

    Args:
        hint: type of the field; `float | str` is a number or 'auto', `int | str` a number or 'leaf'.
        minimum: smallest number that is accepted. above: every number is that is larger.
        unit: named in the error about a value that is no number.
    """
    kinds = set(typing.get_args(hint)) if isinstance(hint, UnionType) else {hint}
    kinds.discard(NoneType)
    if kinds == {int, str}:
        return _number_or_leaf(minimum)
    if kinds == {float, str}:
        return saying(_number_or_auto, f"a number{unit and f' of {unit}'} (0 or more) or '{AUTO}'")
    [kind] = kinds
    if kind is int:
        return whole_number(minimum)
    if kind is float:
        return saying(_finite_number(minimum, above), f"a number{_bounds(minimum, above)}")
    if kind == tuple[float, ...]:
        return saying(_triple(above), f"three numbers R,G,B{_bounds(minimum, above)}")
    whole = saying(_whole_numbers, f"a list of {unit or 'numbers'}, as in 5,10")
    return {str: str, tuple[int, ...]: whole, tuple[str, ...]: names}[kind]


def saying(convert: Reader, expected: str) -> Reader:
    """Return a reader of settings whose error says what is wanted instead of a Python function's name."""

    def read(text: str) -> Any:
        try:
            return convert(text)
        except ValueError:
            raise ValueError(f"is not {expected}") from None

    return read


def names(text: str) -> tuple[str, ...]:
    """Read a setting that is a list of names with commas between.

    >>> names("dog, golden retriever")
    ('dog', 'golden retriever')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


def parts_of_list(text: str) -> tuple[str, ...]:
    """Return the entries of a setting that is a list in text; ValueError where there is none."""
    if not (parts := names(text)):
        raise ValueError
    return parts


def _number_or_auto(text: str) -> float | str:
    """Read a setting that is a number of 0 or more, or 'auto'.

    >>> _number_or_auto("Auto"), _number_or_auto("3.5")
    ('auto', 3.5)
    """
    return AUTO if text.strip().lower() == AUTO else _finite_number(minimum=0)(text)


def _number_or_leaf(minimum: float | None = None) -> Callable[[str], int | str]:
    """Return the reader of a setting that is a whole number, or 'leaf' for the level of the classes.

    >>> _number_or_leaf(1)("Leaf"), _number_or_leaf(1)("2")
    ('leaf', 2)
    """

    def convert(text: str) -> int | str:
        return LEAF if text.strip().lower() == LEAF else whole_number(minimum)(text)

    bound = "" if minimum is None else f" of {minimum:g} or more"
    return saying(convert, f"a whole number{bound} or '{LEAF}'")


def _finite_number(minimum: float | None = None, above: float | None = None) -> Callable[[str], float]:
    """Return the function that reads a setting as a finite number within bounds. It raises ValueError."""

    def convert(text: str) -> float:
        value = float(_plain(text))
        is_low = (minimum is not None and value < minimum) or (above is not None and value <= above)
        if is_low or not math.isfinite(value):
            raise ValueError
        return value

    return convert


def _triple(above: float | None = None) -> Callable[[str], tuple[float, ...]]:
    """Return the reader of a setting with a number for each of three channels, or one for all of them.

    >>> _triple()("0.485, 0.456,0.406"), _triple()("0.5")
    ((0.485, 0.456, 0.406), (0.5, 0.5, 0.5))
    """

    def convert(text: str) -> tuple[float, ...]:
        values = tuple(_finite_number(above=above)(part) for part in text.split(","))
        if len(values) not in (1, 3):
            raise ValueError
        return values * 3 if len(values) == 1 else values

    return convert


def _whole_numbers(text: str) -> tuple[int, ...]:
    """Read a setting that is a list of whole numbers with commas between.

    >>> _whole_numbers("3, 98")
    (3, 98)
    """
    return tuple(int(_plain(part)) for part in parts_of_list(text))


def finite_numbers(text: str) -> tuple[float, ...]:
    """Read a setting that is a list of finite numbers with commas between.

    >>> finite_numbers("0,1e-4")
    (0.0, 0.0001)
    """
    return tuple(map(_finite_number(), parts_of_list(text)))


def whole_number(minimum: float | None = None) -> Callable[[str], int]:
    """Return the function that reads a setting as a whole number of at least a minimum, not too large."""

    def convert(text: str) -> int:
        value = int(_plain(text))
        if minimum is not None and value < minimum:
            raise ValueError
        return value

    within = saying(convert, f"a whole number{_bounds(minimum, minimum - 1 if minimum else None)}")

    def read(text: str) -> int:
        value = within(text)
        if value >= TOO_LARGE:
            raise ValueError("is too large")
        return value

    return read


def written(value: Any) -> str:
    """Return the value of a setting as it is typed; empty for a flag and where there is none.

    >>> written(4.0), written(1e-5), written((1e-5, 0.1)), written(None)
    ('4', '1e-05', '1e-05,0.1', '')
    """
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, tuple):
        return ",".join(map(written, value))
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _plain(text: str) -> str:
    """Return a text; ValueError for what only Python reads as a number: 1_0, and digits of other scripts."""
    if not text.isascii() or "_" in text:
        raise ValueError
    return text


def _bounds(minimum: float | None, above: float | None) -> str:
    if above is not None:
        return f" above {above:g}"
    return "" if minimum is None else f" of {minimum:g} or more"
