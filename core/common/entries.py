"""Frozen dataclasses filled from what a file says, and which of its keys were asked for."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

# What was read of a settings file, and what was not: a mapping that remembers which keys were asked for.
#
# A reader takes what it understands, says which further keys change nothing, and asks `left` for the rest:
# a key that changes pixels, network, order or activation and that nobody took refuses the file, or is a
# note.


class Taken(Mapping[str, Any]):
    """The values of a settings file; each key that is read is remembered, also those of objects inside.

    >>> settings = Taken({"size": 224, "do_pad": True, "crop": {"height": 96, "width": 128}}, "config.json")
    >>> settings["size"], settings.inner("crop")["height"], settings.get("resample", 2)
    (224, 96, 2)
    >>> settings.left()
    {'do_pad': True, 'crop.width': 128}
    >>> settings.left("do_*")
    {'crop.width': 128}
    """

    def __init__(self, values: Mapping[str, Any], source: str = "") -> None:
        """Args: source: what the file is called in messages."""
        self.values_by_key = values
        self.source = source
        self.read: set[str] = set()
        self.objects: dict[str, Taken] = {}

    def __getitem__(self, key: str) -> Any:
        value = self.values_by_key[key]
        self.read.add(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_key)

    def __len__(self) -> int:
        return len(self.values_by_key)

    def __contains__(self, key: object) -> bool:
        return key in self.values_by_key

    def inner(self, key: str) -> "Taken":
        """The object below a key, of which the same is remembered; empty where there is no object."""
        if key not in self.objects:
            value = self.values_by_key.get(key)
            self.objects[key] = Taken(value if isinstance(value, Mapping) else {}, f"{self.source}: {key}")
        return self.objects[key]

    def left(self, *harmless: str) -> dict[str, Any]:
        """The values that nobody has read, by their keys ("crop.width" for one inside an object).

        Args:
            harmless: keys that change nothing, as they are written here; `*` stands for any part of one.
        """
        entries: dict[str, Any] = {}
        for key, value in self.values_by_key.items():
            if key in self.objects and isinstance(value, Mapping):
                inside = self.objects[key].left()
                entries |= {f"{key}.{inner}": one for inner, one in inside.items()}
            elif key not in self.read:
                entries[key] = value
        patterns = [re.compile(re.escape(one).replace(r"\*", ".*")) for one in harmless]
        return {key: value for key, value in entries.items() if not any(p.fullmatch(key) for p in patterns)}


# Frozen dataclasses that are filled from what a file says: its names, types and defaults are their fields.
#
# Entries without a field are ignored, and a field without an entry, or with None, keeps its default: an
# older file fills what it has. No torch.


_Record = TypeVar("_Record")
Read = Callable[[Any, str], Any]  # a value and the name of its entry -> the value of a field
NUMBERS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


class WrongEntry(ValueError):
    """An entry that is not of the type of its field: one line that names it."""


def whole_entry() -> Any:
    """Make a field, for any dataclass that `record_of` fills from a mapping, that holds the whole of it."""
    return field(default_factory=dict, repr=False, metadata={"whole": True})


def record_of(kind: type[_Record], values: Mapping[str, Any], where: str = "") -> _Record:
    """Fill a dataclass from a mapping read from JSON, and check the types.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Found:
    ...     n: int = 0
    ...     share: float | None = None
    ...     notes: tuple[str, ...] = ()
    >>> record_of(Found, {"n": 3, "share": 1, "notes": ["a"], "since": "a later version"})
    Found(n=3, share=1.0, notes=('a',))
    >>> record_of(Found, {"n": "three"})
    Traceback (most recent call last):
    core.common.entries.WrongEntry: its entry 'n' is not a whole number

    Args:
        where: the name of the entry that it is, with a dot; "" for the outermost.
    Raises:
        WrongEntry: an entry has another type than its field.
    """
    fields = {}
    for name, read in _readers(kind).items():
        if read is None:
            fields[name] = values
        elif values.get(name) is not None:
            fields[name] = read(values[name], f"{where}{name}")
    return kind(**fields)


@cache
def _readers(kind: type) -> dict[str, Read | None]:
    """What reads each field of a record; None for the field that holds all."""
    hints = get_type_hints(kind)
    return {
        one.name: None if one.metadata.get("whole") else _reader(hints[one.name])
        for one in fields(kind)
        if one.init
    }


def _reader(hint: Any) -> Read:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):  # None is said by no entry
        return _reader(next(argument for argument in arguments if argument is not type(None)))
    if origin is tuple:
        return _read_list(_reader(arguments[0]), None if arguments[-1] is ... else len(arguments))
    if origin in (dict, Mapping):
        return _read_mapping(_reader(arguments[1]))
    if isinstance(hint, type) and is_dataclass(hint):
        return _read_inner(hint)
    return _as_is if hint is Any else _read_plain(hint)


def _as_is(value: Any, name: str) -> Any:
    del name
    return value


def _read_plain(hint: type) -> Read:
    types = (int, float) if hint is float else (hint,)

    def read(value: Any, name: str) -> Any:
        if not isinstance(value, types) or (isinstance(value, bool) and hint is not bool):
            raise WrongEntry(f"its entry '{name}' is not {NUMBERS[hint]}")
        return float(value) if hint is float else value

    return read


def _read_list(read_one: Read, length: int | None) -> Read:
    def read(value: Any, name: str) -> Any:
        if not isinstance(value, (list, tuple)) or length not in (None, len(value)):
            raise WrongEntry(f"its entry '{name}' is not a list{f' of {length}' if length else ''}")
        return tuple(read_one(one, name) for one in value)

    return read


def _read_mapping(read_one: Read) -> Read:
    def read(value: Any, name: str) -> Any:
        mapping = _mapping(value, name)
        if read_one is _as_is:
            return dict(mapping)  # None is a value there: a transform without resizing says "resize": null
        return {key: read_one(one, f"{name}.{key}") for key, one in mapping.items() if one is not None}

    return read


def _read_inner(kind: type) -> Read:
    return lambda value, name: record_of(kind, _mapping(value, name), f"{name}.")


def _mapping(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise WrongEntry(f"its entry '{name}' is not an object")
    return value
