"""The footer of a Parquet file: its columns, and the sizes and ranges of each in every row group.

pyarrow is not asked for these: where a footer is damaged, its answer can be the end of the process. This
reader of Thrift's compact protocol, as the Parquet format uses it, raises ValueError, whatever the bytes are.
"""

import errno
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

MAGIC = b"PAR1"
END = 8  # bytes: the length of the footer, and MAGIC
MOST_BYTES = 64 << 20
MOST_VALUES = 8_000_000  # of numbers, texts and structures; ten a column of a row group
DEEPEST = 16  # structures in structures; a sound footer has seven
KINDS = ("BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")
WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
NUMBERS = {"BOOLEAN": "?", "INT32": "i", "INT64": "q", "FLOAT": "f", "DOUBLE": "d"}  # as `struct` names them
TEXT = "BYTE_ARRAY"
# Fields of the format by number: of a footer, a column of the schema, a row group, a chunk, its statistics.
SCHEMA, N_ROWS, GROUPS = 2, 3, 4
KIND, LENGTH, NAME, N_CHILDREN, CONVERTED, LOGICAL = 1, 2, 4, 5, 6, 10
CHUNKS, GROUP_ROWS = 1, 3
FACTS, N_VALUES, UNPACKED, STATISTICS = 3, 5, 6, 12
N_NULLS, LARGEST, SMALLEST = 3, 5, 6
INTEGER, IS_SIGNED = 10, 2  # of a logical type
UNSIGNED, SIGNED = range(11, 15), range(15, 19)  # converted types of whole numbers
STOP, TRUE, FALSE, BYTE, SHORT, INT, LONG, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(13)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Leaf:
    """A column without columns in it.

    Attributes:
        path: its name, after those of the columns that it lies in. kind: physical type, one of KINDS.
        width: bytes of a value; 0 for a text.
        code: how `struct` reads a value, where it is a plain number or truth; "" for times and all others.
    """

    path: str
    kind: str
    width: int
    code: str


@dataclass(frozen=True)
class Chunk:
    """A column in a row group.

    Attributes:
        n_bytes: when unpacked. n_nulls: missing values; None where the file does not say.
        ends: the smallest and the largest value; None where the file does not say, and of other than numbers.
    """

    n_values: int
    n_bytes: int
    n_nulls: int | None
    ends: tuple[Any, Any] | None


@dataclass(frozen=True)
class RowGroup:
    """A row group, with a chunk for each leaf."""

    n_rows: int
    chunks: list[Chunk]


@dataclass(frozen=True)
class Footer:
    n_rows: int
    leaves: list[Leaf]
    groups: list[RowGroup]


def read_footer(path: str | Path) -> Footer:
    """Read the footer of a Parquet file. Raises OSError; ValueError: it is no such file, or damaged."""
    fields = _Compact(_bytes_of(path)).struct()
    leaves = list(_leaves(_part(fields, SCHEMA, list)))
    groups = [_group(one, leaves) for one in _part(fields, GROUPS, list)]
    return Footer(_count(fields, N_ROWS), leaves, groups)


def count_rows(path: str | Path) -> int:
    """Return the number of rows that a Parquet file states. Raises as `read_footer`, and is faster."""
    return _count(_Compact(_bytes_of(path)).struct(until=N_ROWS), N_ROWS)


def _bytes_of(path: str | Path) -> bytes:
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe would be waited for
        raise OSError(errno.EINVAL, "no regular file", str(path))
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - END, 0))
        end = file.read(END)
        length = int.from_bytes(end[:4], "little")
        if size < len(MAGIC) + END or end[4:] != MAGIC or length > size - len(MAGIC) - END:
            raise ValueError("it is no Parquet file, or truncated")
        if length > MOST_BYTES:
            raise ValueError(f"its footer has {length / 1e6:,.0f} MB; limit {MOST_BYTES / 1e6:,.0f} MB")
        file.seek(size - END - length)
        return file.read(length)


class _Compact:
    """What the compact protocol of Thrift wrote: structures are dicts by the number of the field."""

    def __init__(self, data: bytes):
        self._data, self._at, self._n_values = data, 0, 0

    def struct(self, until: int | None = None, depth: int = 0) -> dict[int, Any]:
        """Read a structure; only up to one of its fields where `until` names it."""
        fields: dict[int, Any] = {}
        number = 0
        while (head := self._byte()) != STOP:
            kind = head & 15
            number = number + (head >> 4) if head >> 4 else self._whole()
            fields[number] = kind == TRUE if kind in (TRUE, FALSE) else self._value(kind, depth + 1)
            if number == until:
                break
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        self._n_values += 1
        if depth > DEEPEST or self._n_values > MOST_VALUES:
            raise ValueError("its footer is nested too deeply, or has too many values")
        if kind in (SHORT, INT, LONG):
            return self._whole()
        if kind == BINARY:
            return self._taken(self._varint())
        if kind in (TRUE, FALSE, BYTE):  # the truths of a list
            return self._byte()
        if kind == DOUBLE:
            return self._taken(8)
        if kind == STRUCT:
            return self.struct(depth=depth)
        if kind in (LIST, SET):
            return self._list(depth)
        if kind == MAP:
            return self._map(depth)
        raise _damaged()

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        length = self._varint() if head >> 4 == 15 else head >> 4
        return [self._value(head & 15, depth + 1) for _ in range(length)]

    def _map(self, depth: int) -> list[tuple[Any, Any]]:
        length = self._varint()
        kinds = self._byte() if length else 0
        pairs = range(length)
        return [(self._value(kinds >> 4, depth + 1), self._value(kinds & 15, depth + 1)) for _ in pairs]

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise _damaged()
        self._at += 1
        return self._data[self._at - 1]

    def _taken(self, length: int) -> bytes:
        start = self._at
        self._at += length
        if self._at > len(self._data):
            raise _damaged()
        return self._data[start : self._at]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise _damaged()

    def _whole(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)


def _leaves(elements: list[Any]) -> Iterator[Leaf]:
    """Yield the leaves of a schema, whose columns stand before the columns in them."""
    above: list[list[Any]] = []  # names with the number of columns that are still to come
    for number, element in enumerate(elements):
        n_children = _part(element, N_CHILDREN, int, 0)
        name = _part(element, NAME, bytes, b"").decode("utf-8")  # UnicodeDecodeError is a ValueError
        if number and not above:
            raise _damaged()
        if n_children > 0 or number == 0:
            above.append([name, n_children])
        else:
            yield _leaf(".".join([*(one for one, _ in above[1:]), name]), element)
            above[-1][1] -= 1
        while above and above[-1][1] <= 0:
            above.pop()
            if above:
                above[-1][1] -= 1
    if above:
        raise _damaged()


def _leaf(path: str, element: dict[int, Any]) -> Leaf:
    kind = _part(element, KIND, int)
    if not 0 <= kind < len(KINDS):
        raise _damaged()
    name = KINDS[kind]
    width = WIDTHS.get(name) or max(_part(element, LENGTH, int, 0), 0)
    code = NUMBERS.get(name, "")
    logical = _part(element, LOGICAL, dict, {})
    converted = _part(element, CONVERTED, int, None)
    integer = _part(logical, INTEGER, dict, None)
    is_whole = integer is not None or converted in (*UNSIGNED, *SIGNED)
    if not is_whole and (logical or converted is not None):  # a time, a date, a decimal number
        return Leaf(path, name, width, "")
    is_signed = converted not in UNSIGNED if integer is None else _part(integer, IS_SIGNED, bool, False)
    return Leaf(path, name, 0 if name == TEXT else width, code if is_signed or not is_whole else code.upper())


def _group(fields: Any, leaves: list[Leaf]) -> RowGroup:
    chunks = _part(fields, CHUNKS, list)
    if len(chunks) != len(leaves):
        raise _damaged()
    return RowGroup(_count(fields, GROUP_ROWS), [_chunk(*one) for one in zip(chunks, leaves, strict=True)])


def _chunk(fields: Any, leaf: Leaf) -> Chunk:
    facts = _part(fields, FACTS, dict)
    statistics = _part(facts, STATISTICS, dict, {})
    n_nulls = _count(statistics, N_NULLS) if N_NULLS in statistics else None
    return Chunk(_count(facts, N_VALUES), _count(facts, UNPACKED), n_nulls, _ends(statistics, leaf))


def _ends(statistics: dict[int, Any], leaf: Leaf) -> tuple[Any, Any] | None:
    """Return the smallest and the largest value of a column of numbers."""
    ends = [_part(statistics, field, bytes, None) for field in (SMALLEST, LARGEST)]
    if not leaf.code or None in ends:
        return None
    code = f"<{leaf.code}"
    if any(len(end) != struct.calcsize(code) for end in ends):
        raise _damaged()
    least, most = (struct.unpack(code, end)[0] for end in ends)
    return least, most


def _part(fields: Any, number: int, kind: type[_T], default: Any = ...) -> _T:
    """Return a field of a structure, which must be of a kind; `default` where there is none."""
    if not isinstance(fields, dict):
        raise _damaged()
    value = fields.get(number, default)
    if value is default and default is not ...:
        return value
    if not isinstance(value, kind):
        raise _damaged()
    return value


def _count(fields: dict[int, Any], number: int) -> int:
    value = _part(fields, number, int)
    if value < 0:
        raise _damaged()
    return value


def _damaged() -> ValueError:
    return ValueError("its footer is damaged")
