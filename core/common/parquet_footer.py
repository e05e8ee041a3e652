"""The footer of a Parquet file, and whether the file fits into memory when unpacked."""

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from core.common.arrow_tables import as_frame, exact_or_text
from core.errors import first_line

# The footer of a Parquet file: its columns, and the sizes and ranges of each in every row group.
#
# pyarrow is not asked for these: where a footer is damaged, its answer can be the end of the process. This
# reader of Thrift's compact protocol, as the Parquet format uses it, raises ValueError, whatever the bytes
# are.


MAGIC = b"PAR1"
END = 8  # bytes: the length of the footer, and MAGIC
LARGEST_FOOTER = 64 << 20
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
        if length > LARGEST_FOOTER:
            raise ValueError(f"its footer has {length / 1e6:,.0f} MB; limit {LARGEST_FOOTER / 1e6:,.0f} MB")
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


# Check that a Parquet file fits into memory when unpacked: a few kilobytes can hold gigabytes.
#
# Rows can be claimed by the million, and a page of texts can name one long text in each of its rows.
# Neither shows in the sizes that the file states of itself.


MOST_ROWS = 10_000_000  # rows of a table of images, which is kept in memory
MOST_UNPACKED = 4_000_000_000
MANY = 1_000_000
STUDY_BYTES = 1_000_000_000  # of a table of a study; a larger one must be large on disk, too …
PACKED = 16  # … by this factor. 1.28 M images: 26 MB on disk, 113 MB unpacked
BATCH_ROWS = 65_536
FUNCTIONS: Any = pyarrow.compute  # made when it is imported, so that no checker knows them


@dataclass(frozen=True)
class _Part:
    """A column in a row group. `n_rows`: of the group."""

    group: int
    n_rows: int
    leaf: Leaf
    chunk: Chunk

    @property
    def fixed(self) -> int:
        """Its bytes where it holds numbers; 0 for texts."""
        return max(self.chunk.n_values, self.n_rows) * self.leaf.width


def read_image_rows(path: str) -> pd.DataFrame:
    """Read a Parquet file as a data frame; whole numbers beside gaps stay whole, or text if a float rounds.

    Raises:
        ValueError, OSError: it cannot be read; see `check_image_rows`.
    """
    check_image_rows(path)
    frame = as_frame(pq.read_table(path))
    if any(name is not None for name in frame.index.names):  # pandas' index is a column of the file
        frame = frame.reset_index()
    return exact_or_text(frame)


def check_image_rows(path: str) -> None:
    """Raise ValueError for a Parquet file whose footer tells of too many rows, or too much text."""
    n_rows = check_unpacked(path, most=MOST_UNPACKED)
    if n_rows > MOST_ROWS:
        raise ValueError(f"it has {n_rows:,} rows; a study may have at most {MOST_ROWS:,} images")


def check_caption_rows(path: str, column: str) -> None:
    """Raise ValueError for a Parquet file of captions whose footer tells of less than a byte for each."""
    n_rows, n_bytes = check_unpacked(path, [column], most=MOST_UNPACKED), os.path.getsize(path)
    if n_rows > MANY and n_bytes < n_rows:
        raise ValueError(f"it has {n_rows:,} rows in {n_bytes:,} bytes, so nearly all captions are the same")


def check_study_table(path: Path, columns: Sequence[str] | None = None) -> None:
    """Raise ValueError for a Parquet file that unpacks to far more than any real table of a study."""
    check_unpacked(path, columns, most=max(STUDY_BYTES, PACKED * os.path.getsize(path)))


def check_unpacked(path: str | Path, columns: Sequence[str] | None = None, *, most: int) -> int:
    """Return the number of rows; raise ValueError if the columns unpack to more than `most` bytes.

    Texts are measured three times at most: by the sizes that the file states, which are enough for small
    tables; by the longest text of each dictionary; and exactly, without unpacking them.
    """
    about = read_footer(path)
    parts = [part for part in _parts(about) if _is_of(part.leaf.path, columns)]
    texts = sorted({part.leaf.path for part in parts if part.leaf.kind == TEXT})
    n_bytes = sum(part.chunk.n_bytes for part in parts)
    measures = (_stated, _by_longest, _exact) if n_bytes <= most else ()
    try:
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for measure in measures:
                n_bytes = sum(part.fixed or measure(file, part) for part in parts)
                if n_bytes <= most:
                    return about.n_rows
    except (OSError, NotImplementedError) as error:  # texts stored by what they share with the one before
        raise ValueError(f"its size when unpacked cannot be told ({first_line(error)})") from error
    raise ValueError(f"it has {n_bytes / 1e6:,.0f} MB when unpacked; limit {most / 1e6:,.0f} MB")


def _parts(about: Footer) -> Iterator[_Part]:
    for number, group in enumerate(about.groups):
        for leaf, chunk in zip(about.leaves, group.chunks, strict=True):
            yield _Part(number, group.n_rows, leaf, chunk)


def _is_of(name: str, columns: Sequence[str] | None) -> bool:
    """Return whether a leaf of the schema belongs to one of the columns, which may be nested."""
    return columns is None or any(name == column or name.startswith(f"{column}.") for column in columns)


def _stated(file: pq.ParquetFile, part: _Part) -> int:
    """Return the bytes of a column of texts, if each of them were as long as all together in the file."""
    return part.chunk.n_bytes * max(part.chunk.n_values, 1)


def _by_longest(file: pq.ParquetFile, part: _Part) -> int:
    """Return the same, if each were as long as the longest text in the dictionary."""
    first = next(_dictionaries(file, part, 1), None)
    longest = 0 if first is None else FUNCTIONS.max(FUNCTIONS.binary_length(first.dictionary)).as_py() or 0
    return part.chunk.n_bytes + longest * part.chunk.n_values


def _exact(file: pq.ParquetFile, part: _Part) -> int:
    """Return the bytes of the texts themselves."""
    total = 0
    for some in _dictionaries(file, part, BATCH_ROWS):
        lengths = FUNCTIONS.binary_length(some.dictionary).take(some.indices)
        total += FUNCTIONS.sum(lengths).as_py() or 0
    return total


def _dictionaries(file: pq.ParquetFile, part: _Part, n_rows: int) -> Iterator[Any]:
    """Yield the texts of a column, `n_rows` rows at a time, each text once and its number in every row."""
    name = part.leaf.path
    for batch in file.iter_batches(batch_size=n_rows, row_groups=[part.group], columns=[name]):
        values: Any = batch.column(0)
        while not pa.types.is_dictionary(values.type):  # a column may be nested
            if not pa.types.is_nested(values.type):
                raise ValueError(f"the size of column '{name}' cannot be told ({values.type})")
            values = values.field(0) if pa.types.is_struct(values.type) else values.flatten()
        yield values
