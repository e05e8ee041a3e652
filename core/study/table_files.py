"""Read a table of a study from its Parquet file; damaged data is never taken for numbers."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.common.arrow_tables import as_frame
from core.common.dataframes import LazyTable
from core.common.group_names import EARLIER, JOINED_BY
from core.common.parquet_footer import check_study_table, read_footer
from core.errors import NotEnoughMemory, PeregrineError, StudyError, first_line
from core.study.chunked_array import ChunkedArray, file_sha256
from core.study.inside import inside
from core.study.manifest import read_manifest
from core.study.seals import Damaged

# Bounds of the values that serve as indices and keys, so that a changed bit never becomes an index.
#
# Values of arrays are checked as they are read, a slice as a slice. What only a whole array can show (its
# sum, its order) is checked when the whole array is read.


Fault = Callable[[np.ndarray, bool], str | None]  # (values, whether complete) -> problem or None

# array -> its minimum, and what it indexes (the bound is the length of that item, or `COLUMNS`)
COLUMNS = "features"
INDICES = {
    "firing_features": (0, COLUMNS),
    "firing_by_feature_rows": (0, "images"),
    "top_images": (-1, "images"),  # -1 pads
    "neighbours": (-1, "images"),
    "heatmap_rows": (0, "images"),
    "heatmap_features": (0, COLUMNS),
}
COUNTS = {"firing_count": "firing_features", "heatmap_count": "heatmap_features"}  # their sum is its length
POINTERS = {"firing_by_feature_ptr": "firing_by_feature_rows"}  # ascending from 0 to its length
OF_BASIS = re.compile(r"(basis_[^_]+)(_position)?_(features|count)")  # its codes, as those that fire
OF_INDEX = re.compile(r"(basis_[^_]+)_index_(places|count)")

# column -> tables in which it is a key, and what it may hold
FEATURES = r"[0-9]{1,9}(?:\+[0-9]{1,9})*"  # one or several, as in "12+40"
KEYS = {
    "group": (
        ("concepts", "captions", "counterfactuals", "explained", "groups", "highly_activating"),
        FEATURES,
    ),
    "mask": (("overlap", "overlap_by_feature", "overlap_by_class", "overlap_summary"), "core|spurious"),
    "tail": (("features",), "lower|middle|upper"),
    "verdict": (("overlap_by_feature",), "core|spurious|undecided"),
}


def stored_array(
    folder: Path,
    name: str,
    items: Mapping[str, dict[str, Any]],
    damaged: Callable[[str], PeregrineError],
    opened: Callable[[], None],
) -> ChunkedArray:
    """Return an array of a study, whose values are checked as they are read.

    Args:
        items: the entries of the manifest. damaged, opened: see ChunkedArray.
    """
    entry = items[name]
    of = inside(folder, name)
    rows = [chunk["rows"] for chunk in entry["chunks"]]
    fault = _fault_of(name, items)
    return ChunkedArray(
        of, rows, entry["dtype"], entry["shape"][1:], fault=fault, damaged=damaged, opened=opened
    )


def _fault_of(name: str, items: Mapping[str, dict[str, Any]]) -> Fault | None:
    """Return the check of a study's array whose values are indices; None for one of other numbers.

    Args:
        items: the entries of the manifest, whose shapes bound the indices.
    """
    if name in INDICES:
        lowest, of = INDICES[name]
        n = items["representations"]["shape"][1] if of == COLUMNS else items[of]["shape"][0]
        return partial(_outside, lowest, n)
    if name in COUNTS:
        total = _length(items, COUNTS[name])
        return partial(_not_the_counts_of, total)
    if basis := OF_BASIS.fullmatch(name):
        if basis[3] == "features":
            return partial(_outside, 0, _length(items, f"{basis[1]}_decoder"))
        total = _length(items, f"{basis[1]}{basis[2] or ''}_features")
        return partial(_not_the_counts_of, total)
    if index := OF_INDEX.fullmatch(name):
        if index[2] == "places":
            return partial(_outside, 0, _length(items, f"{index[1]}_position_norm"))
        total = _length(items, f"{index[1]}_index_places")
        return partial(_not_the_counts_of, total)
    if name in POINTERS:
        total = _length(items, POINTERS[name])
        return partial(_not_pointers_into, total)
    return None


def wrong_key(name: str, frame: pd.DataFrame) -> str | None:
    """Return the problem of a study's table whose keys are another text; None for a sound one."""
    for column, (tables, allowed) in KEYS.items():
        if name in tables and column in frame:
            texts = pd.Series(frame[column].unique()).astype("string")
            fits = texts.str.fullmatch(allowed).fillna(False).to_numpy(bool)
            if not fits.all():
                return f"holds {str(texts.iloc[int(fits.argmin())])[:40]!r} as {column}"
    return None


def _length(items: Mapping[str, dict[str, Any]], name: str) -> int:
    return int(items[name]["shape"][0])


def _outside(lowest: int, n: int, values: np.ndarray, whole: bool) -> str | None:
    """Return the problem of values outside of `lowest` to n - 1; of a part of an array as of a whole one."""
    if not values.size or (values.min() >= lowest and values.max() < n):
        return None
    wrong = values[(values < lowest) | (values >= n)].flat[0]
    return f"holds {wrong}, which is not one of {n:,}"


def _not_the_counts_of(total: int, values: np.ndarray, whole: bool) -> str | None:
    if not values.size:
        return None
    if values.min() < 0 or values.max() > total:
        return f"holds counts outside 0 to {total:,}"
    if whole and values.sum(dtype=np.int64) != total:
        return f"holds counts that add up to {values.sum(dtype=np.int64):,} instead of {total:,}"
    return None


def _not_pointers_into(total: int, values: np.ndarray, whole: bool) -> str | None:
    if (what := _outside(0, total + 1, values, whole)) or not values.size:
        return what
    if (np.diff(values.astype(np.int64)) < 0).any() or (whole and (values[0] != 0 or values[-1] != total)):
        return f"does not ascend from 0 to {total:,}"
    return None


# Read a table of a study from its Parquet file; damaged data is never taken for numbers.


NO_TABLE = (OSError, ValueError, pa.ArrowException)


def type_names(schema: pa.Schema) -> list[str]:
    """Return the type of each column of a study's table as its manifest states it: "string", "int64" …."""
    return [str(kind) for kind in schema.types]


def _check_types(schema: pa.Schema, name: str, entry: dict[str, Any]) -> None:
    """Raise Damaged when the types of a study's table are not those that were written.

    Args:
        name: the file's name. entry: the table's entry in the manifest.
    """
    if type_names(schema) != entry["types"]:
        raise Damaged(f"the columns of {name} have other types than those that were written")


def with_group_names(name: str, table: pa.Table) -> pa.Table:
    """Return a stored table with the names of groups as they are written now, whichever version wrote it."""
    column, (tables, _) = "group", KEYS["group"]
    if name not in tables or column not in table.column_names:
        return table
    column_number = table.column_names.index(column)
    names = pc.replace_substring(table.column(column_number), EARLIER, JOINED_BY)  # pyright: ignore[reportAttributeAccessIssue]
    return table.set_column(column_number, table.field(column_number), names)


def checked_table(folder: Path, name: str, entry: dict[str, Any], columns: Sequence[str] | None) -> Path:
    """Return the file of a table that may be parsed: it is the one that was written, and fits into memory.

    The checksum comes first: nothing else is asked of bytes that are not those of the study.

    Args:
        entry: the table's entry in the manifest. columns: that are to be read; None: all.
    Raises:
        Damaged, or one of NO_TABLE: the file is damaged. StudyError: as `read_stored_table`.
    """
    path = inside(folder, f"{name}.parquet")
    _check_sum(path, folder, entry["sha256"])
    _check_types(pq.read_schema(path), path.name, entry)
    _check_size(path, entry["sha256"], None if columns is None else tuple(columns))
    return path


def _check_sum(path: Path, folder: Path, expected: str) -> None:
    """Raise Damaged where a file is not the one that the manifest names, StudyError while it is replaced."""
    about = path.stat()
    if _remembered_sha256(path, about.st_size, about.st_mtime_ns, about.st_ino) == expected:
        return
    now = read_manifest(folder)["items"].get(path.stem, {})
    if now.get("sha256") != expected:  # a step forgets its tables before it replaces them
        raise StudyError(f"{path} is being rewritten; open the study again")
    raise Damaged(f"{path.name} has changed since it was written (checksum differs)")


@lru_cache(maxsize=4096)
def _remembered_sha256(path: Path, n_bytes: int, changed_ns: int, inode: int) -> str:
    """Return the checksum of a file, which is read once for as long as it stays the same."""
    return file_sha256(path)


@lru_cache(maxsize=4096)
def _check_size(path: Path, checksum: str, columns: tuple[str, ...] | None) -> None:
    """Raise ValueError as `check_study_table`; asked once of the same bytes, whose checksum was compared."""
    check_study_table(path, columns)


def read_stored_table(
    folder: Path, name: str, entry: dict[str, Any], columns: list[str] | None
) -> pd.DataFrame:
    """Read a whole table or some of its columns, comparing the checksums of the file and of its pages.

    Args:
        entry: the table's entry in the manifest.
    Raises:
        Damaged: the file is damaged. StudyError: it points outside the study, or is being rewritten.
    """
    path = folder / f"{name}.parquet"
    try:
        checked_table(folder, name, entry, columns)
        table = pq.read_table(path, columns=columns, page_checksum_verification=True)
        frame = as_frame(with_group_names(name, table))
    except MemoryError as error:
        raise NotEnoughMemory(f"not enough memory to read {path}") from error
    except NO_TABLE as error:
        raise Damaged(f"{path.name} cannot be read: {first_line(error).rstrip('. ')}") from error
    if list(frame.columns) != (entry["columns"] if columns is None else columns):
        raise Damaged(f"{path.name} does not have the columns that were written")
    if len(frame) != entry["shape"][0]:
        raise StudyError(f"{path} is being rewritten; open the study again")
    if what := wrong_key(name, frame):
        raise Damaged(f"{path.name} {what}")
    return frame


@lru_cache(maxsize=256)
def _value_ranges(folder: Path, name: str, checksum: str) -> dict[str, tuple[Any, Any]] | None:
    """Return the smallest and the largest number of each column of a table that holds any value, as the file
    states them: (None, None) where it does not.

    None where the file is damaged; reading a column then raises. checksum: of the table, in the manifest.
    """
    try:
        path = inside(folder, f"{name}.parquet")
        _check_sum(path, folder, checksum)
        about = read_footer(path)
    except (*NO_TABLE, Damaged):
        return None
    ranges: dict[str, tuple[Any, Any]] = {}
    for number, leaf in enumerate(about.leaves):
        chunks = [group.chunks[number] for group in about.groups]
        filled = [chunk for chunk in chunks if chunk.n_nulls is None or chunk.n_nulls < chunk.n_values]
        ends = [one.ends for one in filled if one.ends is not None]
        if filled and len(ends) == len(filled):
            ranges[leaf.path] = min(least for least, _ in ends), max(most for _, most in ends)
        elif filled:
            ranges[leaf.path] = None, None
    return ranges


class KeptColumns:
    """Columns of the tables of a study, each read once, as it is stored, and shared by all that need it.

    A column of a million images is 10 MB, a table of them 300 MB. A base of `core.study.reader.StudyReader`.
    """

    kept_columns: dict[tuple[str, str], pd.Series]  # by table and name
    columns: Callable[[str], list[str]]
    table: Callable[..., pd.DataFrame]
    _entry: Callable[[str, str], tuple[Path, dict[str, Any]]]
    _current_entry: Callable[[str, str], tuple[Path, dict[str, Any]]]

    def holder(self, table: str, column: str) -> Any:
        """Return the study that caches a column and everything that is computed from that column alone."""
        return self

    def column(self, table: str, name: str) -> pd.Series:
        """Return a column of a table: read once, kept as long as the study is, and shared but not changed."""
        if (table, name) not in self.kept_columns:
            self.kept_columns.setdefault((table, name), cast(pd.Series, self.table(table, [name])[name]))
        return self.kept_columns[table, name].copy(deep=False)

    def value_range(self, table: str, name: str) -> tuple[Any, Any] | None:
        """Return the smallest and the largest value of a column, without reading it; (None, None) where its
        file does not state them, None for a column without values.
        """
        folder, entry = self._current_entry(table, "table")
        ranges = _value_ranges(folder, table, entry["sha256"])
        return (None, None) if ranges is None else ranges.get(name)

    def has_values(self, table: str, name: str) -> bool:
        """Return True when a column of a table holds any value, without reading it."""
        return self.value_range(table, name) is not None

    def kept(self, table: str) -> LazyTable:
        """Return a table whose columns are read when they are asked for, and kept."""
        return LazyTable(self.columns(table), partial(self.column, table), partial(self.has_values, table))

    def image_index(self) -> pd.Index:
        """Return the names of the images as a new index; one of a million names takes 100 MB.

        Raises:
            StudyError: two images have the same name.
        """
        names = pd.Index(self.column("images", "image_id"))
        if not names.is_unique:
            folder = self._entry("images", "table")[0]
            doubled = names[names.duplicated()][0]
            raise StudyError(f"'{folder}' holds two images named {doubled!r}. Make the study again: embed")
        return names

    def rows_held(self, image_ids: Sequence[str]) -> dict[str, int]:
        """Return the row of each of these images, by name; an index of a million names would take 100 MB."""
        names = self.column("images", "image_id")
        rows = np.flatnonzero(names.isin(list(image_ids)))
        return dict(zip(names.iloc[rows].tolist(), rows.tolist(), strict=True))
