"""Tables of Arrow as data frames of pandas, and their columns of texts without a Python object a row."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import pandas as pd
import pyarrow as pa

# Tables of Arrow as data frames of pandas: whole numbers beside missing ones stay whole.


WIDTHS = ("Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
EXACT = 2**53  # up to here a float rounds no whole number
NULLABLE = {pa.from_numpy_dtype(name.lower()): pd.api.types.pandas_dtype(name) for name in WIDTHS}


def as_frame(table: pa.Table) -> pd.DataFrame:
    """Convert an Arrow table to pandas; whole numbers beside missing ones stay whole, long ids exact."""
    frame = table.to_pandas()
    for field, column in zip(table.schema, table.columns, strict=True):
        if field.type in NULLABLE and column.null_count:
            frame[field.name] = column.to_pandas(types_mapper=NULLABLE.get)
    return frame


def exact_or_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a data frame whose whole numbers beside missing ones are Int64, not floats.

    They are text where they are longer than a float holds, as what reads them later may make floats of
    them.
    """
    for name, column in frame.items():
        if column.dtype not in NULLABLE.values():
            continue
        values = [None if value is pd.NA else int(value) for value in column]
        is_long = any(value is not None and abs(value) >= EXACT for value in values)
        texts = [None if value is None else str(value) for value in values]
        frame[name] = pd.array(texts, dtype="str") if is_long else column.astype("Int64")
    return frame


# Columns of texts with millions of rows, worked on without a Python object a row.
#
# pandas keeps texts (dtype `str`) in Arrow's buffers, a byte a letter and eight a text. As objects they
# would take several times as much: what has to look at each text does so a batch at a time.


BATCH = 1 << 17  # rows that are Python objects at a time
KIND = pa.large_string()


class Coded(NamedTuple):
    """Texts as numbers: `codes` (n,) index `names`, -1 where a text is missing."""

    codes: np.ndarray
    names: list[str]


def as_texts(values: Iterable[str | None] | pd.Series) -> pd.Series:
    """Return texts as a pandas column of dtype `str`; one that is already is not copied."""
    if isinstance(values, pd.Series) and values.dtype == "str":
        return values
    return pd.Series(pd.array(list(values), dtype="str"))


def column_of(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return a column of a frame, which pandas' types leave open."""
    return cast(pd.Series, frame[name])


def arrow_of(column: pd.Series) -> pa.ChunkedArray:
    """Return the Arrow buffers of a pandas column of dtype `str`, which are not copied."""
    values: Any = pa.array(column, KIND)
    return values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([values])


def text_batches(column: pd.Series) -> Iterator[list[Any]]:
    """Yield the texts of a column, BATCH rows at a time; None where one is missing."""
    values = arrow_of(column)
    for start in range(0, len(values), BATCH):
        yield values.slice(start, BATCH).to_pylist()


def each(column: pd.Series) -> Iterator[Any]:
    """Yield the texts of a data frame's text column one by one."""
    for batch in text_batches(column):
        yield from batch


class TextsOf(Sequence[Any]):
    """The texts of a column of dtype `str`, each made when it is asked for; None where one is missing."""

    def __init__(self, column: pd.Series):
        self._column, self._values = column, arrow_of(column)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, row: Any) -> Any:
        return self._values[row].as_py()

    def __iter__(self) -> Iterator[Any]:
        return each(self._column)


def coded(column: pd.Series) -> Coded:
    """Number the texts of a column in the order in which they first come; for few different texts."""
    encoded: Any = arrow_of(column).dictionary_encode().unify_dictionaries()
    codes = np.empty(len(column), np.int32)
    at = 0
    for chunk in encoded.chunks:
        codes[at : at + len(chunk)] = chunk.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        at += len(chunk)
    return Coded(codes, encoded.chunk(0).dictionary.to_pylist() if encoded.num_chunks else [])


def texts_of_codes(codes: np.ndarray, names: Sequence[str]) -> pd.Series:
    """Return the text of each code, missing where a code is negative: the inverse of `coded`."""
    indices = pa.array(codes, mask=codes < 0)
    values = pa.DictionaryArray.from_arrays(indices, pa.array(list(names), KIND))
    return pd.Series(pd.array(cast(Any, values).dictionary_decode(), dtype="str"))


def hashes(column: pd.Series) -> np.ndarray:
    """(n,) int64: Python's hash of each text of a column, another one in each process."""
    return np.fromiter(map(hash, each(column)), np.int64, len(column))


def repeated(column: pd.Series) -> np.ndarray:
    """(n,) bool: whether a text of a column came before, as `Series.duplicated`; 17 bytes a row or none."""
    keys = hashes(column)
    ordered = np.sort(keys)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    is_again = np.zeros(len(column), bool)
    if not len(twice):
        return is_again
    rows = np.flatnonzero(np.isin(keys, twice))
    is_again[rows] = column.iloc[rows].duplicated().to_numpy()  # two texts may have one hash
    return is_again


def n_different(column: pd.Series) -> int:
    """Count the different texts of a column, of which none is missing, by their hashes.

    Of 10 million texts two have one hash with a chance of 3 in a million.
    """
    values = arrow_of(column)
    parts = [values.slice(start, BATCH).unique() for start in range(0, len(values), BATCH)]
    keys = [np.fromiter(map(hash, part.to_pylist()), np.int64, len(part)) for part in parts]
    return len(np.unique(np.concatenate(keys))) if keys else 0
