"""Check that a Parquet file fits into memory when unpacked: a few kilobytes can hold gigabytes.

Rows can be claimed by the million, and a page of texts can name one long text in each of its rows. Neither
shows in the sizes that the file states of itself.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

from core.errors import first_line

MOST_ROWS = 10_000_000  # rows of a table of images, which is kept in memory
EXACT = 2.0**53  # up to here a float rounds no whole number
MOST_BYTES = 4_000_000_000
MANY = 1_000_000
STUDY_BYTES = 1_000_000_000  # of a table of a study; a larger one must be large on disk, too …
PACKED = 16  # … by this factor. 1.28 M images: 26 MB on disk, 113 MB unpacked
BATCH_ROWS = 65_536
WIDTHS = {"BOOLEAN": 1, "INT32": 4, "FLOAT": 4, "INT64": 8, "DOUBLE": 8, "INT96": 12}
TEXT = "BYTE_ARRAY"
FUNCTIONS: Any = pyarrow.compute  # made when it is imported, so that no checker knows them


def read_image_rows(path: str) -> pd.DataFrame:
    """Read a table of images; whole numbers beside missing ones stay whole, or text where a float rounds.

    Raises:
        ValueError, OSError: it cannot be read; see `check_image_rows`.
    """
    check_image_rows(path)
    frame = pd.read_parquet(path)
    schema = pq.read_schema(path)
    integers = {field.name for field in schema if pa.types.is_integer(field.type)}
    for name in integers & set(frame.select_dtypes("float").columns):
        if (frame[name].abs() < EXACT).to_numpy()[frame[name].notna()].all():
            frame[name] = frame[name].astype("Int64")
        else:
            texts = pq.read_table(path, columns=[name])[name].cast(pa.string())
            frame[name] = pd.array(texts.to_pylist(), dtype="str")
    return frame


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
    about = pq.read_metadata(path)
    names = [about.schema.column(number).path for number in range(about.num_columns)]
    leaves = [number for number, name in enumerate(names) if _is_of(name, columns)]
    places = [(group, leaf) for group in range(about.num_row_groups) for leaf in leaves]
    texts = [names[leaf] for leaf in leaves if about.schema.column(leaf).physical_type == TEXT]
    n_bytes = sum(about.row_group(group).column(leaf).total_uncompressed_size for group, leaf in places)
    measures = (_stated, _by_longest, _exact) if n_bytes <= most else ()
    try:
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            for measure in measures:
                n_bytes = sum(_fixed(about, *column) or measure(file, *column) for column in places)
                if n_bytes <= most:
                    return about.num_rows
    except (OSError, NotImplementedError) as error:  # texts stored by what they share with the one before
        raise ValueError(f"its size when unpacked cannot be told ({first_line(error)})") from error
    raise ValueError(f"it has {n_bytes / 1e6:,.0f} MB when unpacked; limit {most / 1e6:,.0f} MB")


def _is_of(name: str, columns: Sequence[str] | None) -> bool:
    """Return whether a leaf of the schema belongs to one of the columns, which may be nested."""
    return columns is None or any(name == column or name.startswith(f"{column}.") for column in columns)


def _fixed(about: Any, group: int, leaf: int) -> int:
    """Return the bytes of a column of numbers in a group of rows; 0 for texts."""
    chunk, column = about.row_group(group).column(leaf), about.schema.column(leaf)
    n_values = max(chunk.num_values, about.row_group(group).num_rows)
    return n_values * (WIDTHS.get(column.physical_type) or max(column.length, 0))


def _stated(file: pq.ParquetFile, group: int, leaf: int) -> int:
    """Return the bytes of a column of texts, if each of them were as long as all together in the file."""
    chunk = file.metadata.row_group(group).column(leaf)
    return chunk.total_uncompressed_size * max(chunk.num_values, 1)


def _by_longest(file: pq.ParquetFile, group: int, leaf: int) -> int:
    """Return the same, if each were as long as the longest text in the dictionary."""
    chunk = file.metadata.row_group(group).column(leaf)
    first = next(_dictionaries(file, group, leaf, 1), None)
    longest = 0 if first is None else FUNCTIONS.max(FUNCTIONS.binary_length(first.dictionary)).as_py() or 0
    return chunk.total_uncompressed_size + longest * chunk.num_values


def _exact(file: pq.ParquetFile, group: int, leaf: int) -> int:
    """Return the bytes of the texts themselves."""
    return sum(
        FUNCTIONS.sum(FUNCTIONS.binary_length(part.dictionary).take(part.indices)).as_py() or 0
        for part in _dictionaries(file, group, leaf, BATCH_ROWS)
    )


def _dictionaries(file: pq.ParquetFile, group: int, leaf: int, n_rows: int) -> Iterator[Any]:
    """Yield the texts of a column, `n_rows` rows at a time, each text once and its number in every row."""
    name = file.metadata.schema.column(leaf).path
    for batch in file.iter_batches(batch_size=n_rows, row_groups=[group], columns=[name]):
        values: Any = batch.column(0)
        while not pa.types.is_dictionary(values.type):  # a column may be nested
            if not pa.types.is_nested(values.type):
                raise ValueError(f"the size of column '{name}' cannot be told ({values.type})")
            values = values.field(0) if pa.types.is_struct(values.type) else values.flatten()
        yield values
