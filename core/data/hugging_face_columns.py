"""Columns of a Hugging Face data set: what they are, and how they are read from disk."""

import errno
import os
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.common.addresses import is_url
from core.common.formatting import first_of
from core.common.inside import parse_json
from core.common.parquet_footer import MOST_ROWS, MOST_UNPACKED, check_unpacked, read_footer
from core.common.remote_objects import local_file
from core.data.columns import COLUMNS, place_columns
from core.errors import ImageSourceError, did_you_mean

# What the columns of a Hugging Face data set are: from the schema of its files, and what `datasets` adds.


IMAGE_NAMES = ("image", "img", "picture", "jpg", "png", "image_bytes", "bytes")


@dataclass(frozen=True)
class Columns:
    """Which columns of a data set are the image, its label and further attributes."""

    image: str
    label: str | None
    by_place: bool = False  # `image` holds addresses or paths of pictures, as text
    classes: dict[str, list[str]] = field(default_factory=dict)  # of each column of ClassLabel
    further: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def find_roles(schema: pa.Schema, path: str, label: str | None, *, image: str | None = None) -> Columns:
    """Find the image, the label and the further columns of a Hugging Face data set.

    The label is `label`, else the column of ClassLabel that is called so, else the first of them, else a
    column with a usual name of labels.

    Raises:
        ImageSourceError: there is no column of images, or no column `label`.
    """
    images = image_columns(schema)
    if image is not None and image not in images:
        raise ImageSourceError(
            f"'{path}' has no column '{image}' of images (it has {first_of(images, 20)})."
            f"{did_you_mean(image, images)}"
        )
    if image is not None:
        images = [image]
    by_place = not images
    if by_place and not (images := places(schema)):
        raise ImageSourceError(
            f"no column of images in '{path}' (columns: {first_of(schema.names, 20)}). Expected bytes of "
            "image files, as `datasets` writes them, or a column `url` or `path` of text"
        )
    usual_images = [] if by_place else [name for name in IMAGE_NAMES if name in images]
    image = [*usual_images, *images][0]
    pictures = images[:1] if by_place else image_columns(schema)
    plain = [one.name for one in schema if one.name not in pictures and _is_plain(one.type)]
    if label is not None and label not in plain:
        raise ImageSourceError(
            f"'{path}' has no column '{label}' of labels (columns: {first_of(plain, 20)})."
            f"{did_you_mean(label, plain)}"
        )
    classes = class_labels(schema, plain)
    usual = [name for alias in COLUMNS["label"] for name in plain if name.lower() == alias]
    column = label or next((n for n in usual if n in classes), None) or next(iter(classes), None)
    column = column or next(iter(usual), None)
    left_out = tuple(one.name for one in schema if one.name != image and one.name not in plain)
    further = tuple(name for name in plain if name != column)
    return Columns(image, column, by_place, classes, further, left_out)


def class_labels(schema: pa.Schema, columns: Iterable[str]) -> dict[str, list[str]]:
    """Return the class names of each ClassLabel column of a data set, in the order of their numbers."""
    features = _features(schema)
    return {name: names for name in columns if (names := _class_names(features.get(name)))}


def image_columns(schema: pa.Schema) -> list[str]:
    """List the columns of a Hugging Face data set that hold images."""
    features = _features(schema)
    names = []
    for one in schema:
        kind = one.type
        is_marked = isinstance(features.get(one.name), dict) and features[one.name].get("_type") == "Image"
        parts = [kind.field(i) for i in range(kind.num_fields)] if pa.types.is_struct(kind) else []
        holder = any(part.name == "bytes" and _is_binary(part.type) for part in parts)
        if holder or (_is_binary(kind) and (is_marked or one.name.lower() in IMAGE_NAMES)):
            names.append(one.name)
    return names


def places(schema: pa.Schema) -> list[str]:
    """List the text columns of a data set that hold paths or URLs of images by their names."""
    return place_columns(one.name for one in schema if _is_text(one.type))


def _features(schema: pa.Schema) -> dict[str, Any]:
    """Return what `datasets` wrote of each column; empty where it is missing or damaged."""
    try:
        features = parse_json((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def _class_names(feature: Any) -> list[str]:
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return []
    names = feature.get("names")
    return [str(name) for name in names] if isinstance(names, list) else []


def _is_binary(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _is_plain(kind: pa.DataType) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, _is_text)
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return any(test(kind) for test in tests)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


# Columns of a Parquet or Arrow file: small ones at once, pictures one by one without holding the file.
#
# A file by address is copied into the cache as a whole, once; each time that it is opened, the cache is
# asked.


GROUP_BYTES = 2_000_000_000  # of the pictures of one row group, unpacked


class ColumnFile(ABC):
    """One file of rows. Everything raises OSError or ValueError (pyarrow's own errors are of these)."""

    schema: pa.Schema
    n_rows: int

    @abstractmethod
    def small(self, names: Sequence[str]) -> pa.Table:
        """Read whole columns, after their size was looked at."""

    @abstractmethod
    def _rows(self, name: str, row: int) -> tuple[int, Any]:
        """Return a part of a column that holds `row`, and the row at which the part begins."""

    @abstractmethod
    def _inner_paths(self, name: str) -> list[str | None]: ...

    def binary(self, name: str, row: int) -> memoryview | None:
        """Return the bytes of a picture; None where the row has none."""
        start, values = self._rows(name, row)
        if pa.types.is_struct(values.type):
            if not values[row - start].is_valid:
                return None
            values = values.field("bytes")
        value = values[row - start]
        return memoryview(value.as_buffer()) if value.is_valid else None

    def paths(self, name: str) -> list[str]:
        """Return the address or the former file name of each picture; "" where there is none."""
        kind = self.schema.field(name).type
        names = {kind.field(i).name: kind.field(i).type for i in range(kind.num_fields)}
        if "path" not in names or not (
            pa.types.is_string(names["path"]) or pa.types.is_large_string(names["path"])
        ):
            return [""] * self.n_rows
        paths = (path or "" for path in self._inner_paths(name))
        return [path if is_url(path) else os.path.basename(path.replace("\\", "/")) for path in paths]


class ParquetColumns(ColumnFile):
    """A Parquet file, read forwards: a row before the last one starts its row group again."""

    def __init__(self, path: str):
        self._place = path
        about = read_footer(self.path)
        self.schema = pq.read_schema(self.path)
        self.n_rows = about.n_rows
        if self.n_rows > MOST_ROWS:
            raise ValueError(f"it has {self.n_rows:,} rows; a study may have at most {MOST_ROWS:,} images")
        self._starts = [0, *np.cumsum([group.n_rows for group in about.groups]).tolist()]
        self._about = about
        self._batches: Iterator[tuple[int, Any]] = iter(())
        self._last: tuple[int, Any] = (self.n_rows, [])  # behind every row: nothing is begun

    @property
    def path(self) -> Path:
        """Return where the file lies now: its copy may have left the cache."""
        return local_file(self._place)

    def small(self, names: Sequence[str]) -> pa.Table:
        check_unpacked(self.path, names, most=MOST_UNPACKED)
        return self._read(list(names))

    def _inner_paths(self, name: str) -> list[str | None]:
        check_unpacked(self.path, [f"{name}.path"], most=MOST_UNPACKED)
        parts: list[Any] = self._read([f"{name}.path"])[name].chunks
        return [path for part in parts for path in part.field("path").to_pylist()]

    def _read(self, names: list[str]) -> pa.Table:
        with pq.ParquetFile(self.path) as file:
            return file.read(names)

    def _rows(self, name: str, row: int) -> tuple[int, Any]:
        start, values = self._last
        group = bisect_right(self._starts, row) - 1
        if not start <= row < start + len(values):
            is_ahead = start + len(values) <= row and self._starts[group] <= start + len(values)
            if not is_ahead:
                self._batches, self._last = self._from(name, group), (self._starts[group], [])
            while row >= self._last[0] + len(self._last[1]):
                part = next(self._batches, None)
                if part is None:
                    raise ValueError("it has fewer rows than it says")
                self._last = part
        return self._last

    def _from(self, name: str, group: int) -> Iterator[tuple[int, Any]]:
        """Yield the rows of a column from a row group on, with the number of the first row of each part."""
        leaves = [leaf.path for leaf in self._about.leaves]
        mine = [leaf for leaf, path in enumerate(leaves) if path in (name, f"{name}.bytes")]
        groups = list(range(group, len(self._about.groups)))
        for number in groups:
            n_bytes = sum(self._about.groups[number].chunks[leaf].n_bytes for leaf in mine)
            if n_bytes > GROUP_BYTES:
                raise ValueError(
                    f"row group {number} has {n_bytes / 1e6:,.0f} MB of pictures; write smaller ones"
                )
        columns = [leaves[leaf] for leaf in mine]
        with pq.ParquetFile(self.path, buffer_size=1 << 20, pre_buffer=False) as file:
            # one at a time: a large picture that a dictionary names in many rows is in memory once
            batches = file.iter_batches(1, row_groups=groups, columns=columns, use_threads=False)
            for number, batch in enumerate(batches, self._starts[group]):
                yield number, batch.column(0)


class ArrowColumns(ColumnFile):
    """An Arrow stream, as save_to_disk writes it: mapped into memory, so that nothing is read twice."""

    def __init__(self, path: Path):
        with pa.memory_map(os.fspath(path)) as file:
            self._batches = list(_stream_or_file(file))
        self.schema = self._batches[0].schema if self._batches else pa.schema([])
        self._starts = [0, *np.cumsum([batch.num_rows for batch in self._batches]).tolist()]
        self.n_rows = int(self._starts[-1])
        if self.n_rows > MOST_ROWS:
            raise ValueError(f"it has {self.n_rows:,} rows; a study may have at most {MOST_ROWS:,} images")
        self._checked: set[tuple[int, str]] = set()

    def small(self, names: Sequence[str]) -> pa.Table:
        table = pa.Table.from_batches(self._batches).select(list(names))
        table.validate(full=True)
        return table

    def _inner_paths(self, name: str) -> list[str | None]:
        parts: list[Any] = [self._valid(number, name) for number in range(len(self._batches))]
        return [path for part in parts for path in part.field("path").to_pylist()]

    def _rows(self, name: str, row: int) -> tuple[int, Any]:
        number = bisect_right(self._starts, row) - 1
        return self._starts[number], self._valid(number, name)

    def _valid(self, number: int, name: str) -> Any:
        """Return a column of a batch; a file may lie about where its values begin and end."""
        values = self._batches[number].column(name)
        if (number, name) not in self._checked:
            values.validate(full=True)
            self._checked.add((number, name))
        return values


def _stream_or_file(file: Any) -> Iterator[pa.RecordBatch]:
    try:
        yield from pa.ipc.open_stream(file)
    except pa.ArrowInvalid:
        file.seek(0)
        reader = pa.ipc.open_file(file)
        yield from (reader.get_batch(number) for number in range(reader.num_record_batches))


def open_column_file(path: str) -> ColumnFile:
    """Open a .parquet or .arrow file of a Hugging Face data set, also by address.

    Raises:
        OSError, ValueError, RemoteError: it cannot be opened.
    """
    if not is_url(path) and not os.path.isfile(path):  # a pipe would be waited for
        raise FileNotFoundError(errno.ENOENT, "no such file", path)
    if path.lower().endswith(".parquet"):
        return ParquetColumns(path)
    return ArrowColumns(local_file(path))
