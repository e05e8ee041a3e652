"""Read a table of a study from its Parquet file; damaged data is never taken for numbers."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from core.common.arrow_frames import as_frame
from core.common.dataframes import LazyTable
from core.common.group_names import EARLIER, JOINED_BY
from core.common.inside import inside
from core.common.parquet_footer import read_footer
from core.data.sources.parquet_limit import check_study_table
from core.errors import NotEnoughMemory, StudyError, first_line
from core.storage.bounds import KEYS, wrong_key
from core.storage.chunked_array import file_sha256
from core.storage.manifest import read_manifest
from core.storage.seals import Damaged

NO_TABLE = (OSError, ValueError, pa.ArrowException)


def type_names(schema: pa.Schema) -> list[str]:
    """Return the type of each column in words, as the manifest holds them: "string", "int64", "double"."""
    return [str(kind) for kind in schema.types]


def check_types(schema: pa.Schema, name: str, entry: dict[str, Any]) -> None:
    """Raise Damaged when a table's types are not those that were written: no checksum of a page covers them.

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
    place = table.column_names.index(column)
    names = pc.replace_substring(table.column(place), EARLIER, JOINED_BY)  # pyright: ignore[reportAttributeAccessIssue]
    return table.set_column(place, table.field(place), names)


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
    check_types(pq.read_schema(path), path.name, entry)
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
        held = [one for one in chunks if one.n_nulls is None or one.n_nulls < one.n_values]
        ends = [one.ends for one in held if one.ends is not None]
        if held and len(ends) == len(held):
            ranges[leaf.path] = min(least for least, _ in ends), max(most for _, most in ends)
        elif held:
            ranges[leaf.path] = None, None
    return ranges


class KeptColumns:
    """Columns of the tables of a study, each read once, as it is stored, and shared by all that need it.

    A column of a million images is 10 MB, a table of them 300 MB. A base of `core.reader.StudyReader`.
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
