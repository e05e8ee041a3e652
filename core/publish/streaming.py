"""Stream tables of a study as files, one part at a time, for any size. No torch."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.charts.table_file import provenance
from core.common.arrow_tables import as_frame
from core.common.csv_text import csv_text
from core.common.private_paths import folder_of_ids
from core.errors import SettingsError, StudyError, did_you_mean
from core.publish.export_files import (
    CLASS_NAME,
    COLUMNS,
    IMAGES,
    OF_TRACES,
    STORED_AS,
    has_ids,
    name_columns,
    names_of_classes,
    read_table,
    without_image_folder,
)
from core.store import Study
from core.study.inside import inside
from core.study.seals import Damaged
from core.study.table_files import NO_TABLE, checked_table, with_group_names

ROWS = 65_536  # rows per part
KINDS = ("csv", "parquet")
NAMES = (*IMAGES, "path")  # columns that may name a folder of this machine


@dataclass(frozen=True)
class Listed:
    """A table that can be downloaded: name, rows, and bytes on disk (None for a table built on request)."""

    name: str
    rows: int
    size: int | None


def tables_of(study: Study) -> list[Listed]:
    """List every table of a study to download: those that `export` promises, in order, then the others."""
    promised = {stored: name for name, stored in STORED_AS.items()}
    items = {name: item for name, item in study.manifest["items"].items() if study.has(name)}
    tables: dict[str, Listed] = {}
    for stored, item in items.items():
        name = str(promised.get(stored, stored))
        if item["kind"] == "table":
            size = None if study.is_made(stored) else _size(study, stored)
            tables[name] = Listed(name, item["shape"][0], size)
    if "neighbours" in items:
        n, k = items["neighbours"]["shape"]
        tables["neighbours"] = Listed("neighbours", n * min(k, study.n_images - n), None)  # of few, all
    traces = {name: len(read_table(study, name)) for name in OF_TRACES if study.has("images")}
    tables |= {name: Listed(name, n, None) for name, n in traces.items() if n}
    order = [name for name in COLUMNS if name in tables]
    return [tables[name] for name in [*order, *sorted(set(tables) - set(order))]]


def _size(study: Study, item: str) -> int | None:
    try:
        return inside(study.path, f"{item}.parquet").stat().st_size
    except (OSError, StudyError):
        return None


def stream_table(study: Study, table: str, kind: str) -> Iterator[bytes]:
    """Yield a table as the bytes of a .csv or .parquet file, part by part; the same rows as `export`.

    Args:
        table: a name from `tables_of`. kind: csv or parquet.
    Raises:
        SettingsError: another kind. StudyError: no such table, or it cannot be read. Both are raised at once,
            before the first part is requested.
    """
    if kind not in KINDS:
        raise SettingsError(f"a table is streamed as {' or '.join(KINDS)}, not '{kind}'")
    names = [one.name for one in tables_of(study)]
    if table not in names:
        raise StudyError(f"no table '{table}' in '{study.path}'.{did_you_mean(table, names)}")
    parts = _parts(study, table)
    return _as_csv(parts) if kind == "csv" else _as_parquet(parts, provenance(study))


def _parts(study: Study, table: str) -> Iterator[pa.Table]:
    """Yield the table in parts of at most ROWS rows; at least one, so that an empty table has a header."""
    stored = STORED_AS.get(table, table)
    if table in ("neighbours", *OF_TRACES) or study.is_made(stored):
        return iter([pa.Table.from_pandas(read_table(study, table), preserve_index=False)])
    try:
        entry = study.manifest["items"][stored]
        present = set(entry["columns"])  # without labels, or without an encoder, a study lacks some
        columns = [name for name in COLUMNS.get(table, ()) if name in present] or None
        path = checked_table(study.path, stored, entry, columns)
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (*NO_TABLE, Damaged) as error:
        raise StudyError(f"cannot read table '{table}' of '{study.path}': {error}") from error
    return _read(file, columns, lambda part: _handed_on(study, table, part))


def _handed_on(study: Study, table: str, part: pa.Table) -> pa.Table:
    """Return a part of a table as `export` writes it: without the folder of the images."""
    part = _with_names(study, with_group_names(table, part))
    present = [name for name in NAMES if name in part.column_names]
    if not present or not (
        table in ("images", "skipped") or folder_of_ids(study.column("images", "image_id"))
    ):
        return part
    shown = without_image_folder(study, table, as_frame(part.select(present)))
    for name in shown:
        position, field = part.column_names.index(name), part.schema.field(name)
        part = part.set_column(position, field, pa.array(shown[name], field.type, from_pandas=True))
    return part


def _with_names(study: Study, part: pa.Table) -> pa.Table:
    """Add the names of classes that are WordNet ids, as `export` does."""
    for name in name_columns(part.column_names) if has_ids(study) else ():
        names = names_of_classes(cast(pd.Series, as_frame(part.select([name]))[name]))
        part = part.append_column(f"{name}{CLASS_NAME}", pa.array(names, pa.string(), from_pandas=True))
    return part


def _read(
    file: pq.ParquetFile, columns: list[str] | None, change: Callable[[pa.Table], pa.Table]
) -> Iterator[pa.Table]:
    with file:
        schema = file.schema_arrow
        empty = True
        for batch in file.iter_batches(batch_size=ROWS, columns=columns):
            empty = False
            part = pa.Table.from_batches([batch]).replace_schema_metadata(schema.metadata)
            yield change(part.select(columns) if columns else part)
        if empty:
            whole = schema.empty_table()
            yield whole.select(columns) if columns else whole


def _as_csv(parts: Iterator[pa.Table]) -> Iterator[bytes]:
    for number, part in enumerate(parts):
        frame = as_frame(part)
        yield csv_text(frame, header=number == 0).encode()


class _Taken(io.RawIOBase):
    """A writable file whose bytes are taken out as they arrive."""

    def __init__(self) -> None:
        self.waiting, self.written = bytearray(), 0

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.waiting += data
        self.written += len(data)
        return len(data)

    def tell(self) -> int:
        return self.written

    def take(self) -> bytes:
        taken = bytes(self.waiting)
        self.waiting.clear()
        return taken


def _as_parquet(parts: Iterator[pa.Table], facts: dict[str, str]) -> Iterator[bytes]:
    sink, writer = _Taken(), None
    attrs = {b"PANDAS_ATTRS": json.dumps(facts).encode()}  # where pandas has them
    for part in parts:
        part = part.replace_schema_metadata((part.schema.metadata or {}) | attrs)
        writer = writer or pq.ParquetWriter(sink, part.schema)
        writer.write_table(part)
        if sink.waiting:
            yield sink.take()
    if writer is not None:
        writer.close()
        yield sink.take()
