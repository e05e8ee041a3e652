"""Check that a Parquet file fits into memory when unpacked: a few kilobytes can hold gigabytes.

Rows can be claimed by the million, and a page of texts can name one long text in each of its rows. Neither
shows in the sizes that the file states of itself.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from core.common.arrow_frames import as_frame, exact_or_text
from core.common.parquet_footer import TEXT, Chunk, Footer, Leaf, read_footer
from core.errors import first_line

MOST_ROWS = 10_000_000  # rows of a table of images, which is kept in memory
MOST_BYTES = 4_000_000_000
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
    """Read a table of images; whole numbers beside missing ones stay whole, or text where a float rounds.

    Raises:
        ValueError, OSError: it cannot be read; see `check_image_rows`.
    """
    check_image_rows(path)
    frame = as_frame(pq.read_table(path))
    if any(name is not None for name in frame.index.names):  # pandas' index is a column of the file
        frame = frame.reset_index()
    return exact_or_text(frame)


def check_image_rows(path: str) -> None:
    """Raise ValueError for a table of images with too many rows, or too much text in them."""
    n_rows = check_unpacked(path, most=MOST_BYTES)
    if n_rows > MOST_ROWS:
        raise ValueError(f"it has {n_rows:,} rows; a study may have at most {MOST_ROWS:,} images")


def check_caption_rows(path: str, column: str) -> None:
    """Raise ValueError for a bank that must be repetitive: less than a byte for each of many captions."""
    n_rows, n_bytes = check_unpacked(path, [column], most=MOST_BYTES), os.path.getsize(path)
    if n_rows > MANY and n_bytes < n_rows:
        raise ValueError(f"it has {n_rows:,} rows in {n_bytes:,} bytes, so nearly all captions are the same")


def check_study_table(path: Path, columns: Sequence[str] | None = None) -> None:
    """Raise ValueError for a table of a study that unpacks to far more than any real one."""
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
