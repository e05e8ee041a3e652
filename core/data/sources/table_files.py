"""Tables as frames: CSV, TSV, lines of JSON, Parquet."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from core.common.arrow_frames import as_frame, exact_or_text
from core.common.packed import PACKED, open_bytes
from core.common.remote.addresses import is_url
from core.common.remote.objects import local_copy
from core.data.sources.columns import LABELS, column_name
from core.data.sources.parquet_limit import MOST_ROWS, read_image_rows
from core.data.sources.table_text import old_writing, read_text, two_encodings, writing_of
from core.errors import ImageSourceError, did_you_mean, first_line

JSON_LINES = (".jsonl", ".ndjson", ".manifest")  # the last of SageMaker
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", *JSON_LINES)
BLOCK = 16_000_000  # bytes of lines of JSON that are looked at for the kinds of their values


def read_table_file(
    path: str,
    *,
    separator: str | None = None,
    header: bool | None = None,
    is_there: Callable[[str], bool] = lambda cell: False,
    old: bool = False,
) -> tuple[pd.DataFrame, list[str]]:
    """Read a table file, cells of text stay text; and notes on how it is written.

    Args:
        separator, header, is_there: as for `writing_of`. old: as versions before 0.4 did.
    Raises:
        ImageSourceError: the file is missing, empty, or not a table.
    """
    notes: list[str] = []
    ending = path.lower().removesuffix(PACKED)
    try:
        with _unpacked(str(local_copy(path)) if is_url(path) else path) as file:
            if ending.endswith(".parquet"):
                frame = read_image_rows(file)
            elif ending.endswith(JSON_LINES):
                frame = read_json_lines(file)
            else:
                writing = (
                    old_writing(file)
                    if old
                    else writing_of(file, separator=separator, header=header, is_there=is_there)
                )
                frame, notes = read_text(file, writing), list[str](writing.notes())
    except FileNotFoundError:
        folder = Path(path).parent
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        raise ImageSourceError(f"no such file: '{path}'.{did_you_mean(Path(path).name, names)}") from None
    except UnicodeDecodeError:
        raise ImageSourceError(f"'{path}' is not UTF-8 text{_where(path)}. Save it as CSV in UTF-8") from None
    except (OSError, EOFError, ValueError) as error:
        raise ImageSourceError(f"cannot read the table '{path}': {first_line(error)}") from None
    if frame.empty:
        raise ImageSourceError(f"the table '{path}' has no rows. Expected a header line and one image a row")
    frame.columns = [str(name).strip() for name in frame.columns]
    if (again := frame.columns.duplicated()).any():
        raise ImageSourceError(f"'{path}' has two columns '{frame.columns[again][0]}'. Rename one of them")
    return frame.reset_index(drop=True), notes


def is_table(name: str) -> bool:
    """Return True for the name of a table, also of one that is packed with gzip.

    >>> is_table("list.CSV"), is_table("list.csv.gz"), is_table("list.txt")
    (True, True, False)
    """
    return name.lower().removesuffix(PACKED).endswith(TABLE_SUFFIXES)


@contextmanager
def _unpacked(path: str) -> Iterator[str]:
    """Yield a file as it is, or unpacked in a folder that is removed afterwards."""
    if not path.lower().endswith(PACKED):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        name = Path(path).name[: -len(PACKED)]
        with open_bytes(Path(path)) as packed, open(os.path.join(folder, name), "wb") as file:
            shutil.copyfileobj(packed, file)
        yield file.name


def _where(path: str) -> str:
    sides = "" if is_url(path) else two_encodings(path)
    return f": {sides}" if sides else ""


def read_json_lines(path: str) -> pd.DataFrame:
    """Read lines of JSON, an object each: the fields that hold single values, and labels in those of objects.

    Raises:
        ValueError, OSError: it holds none.
    """
    options = pyarrow.json.ReadOptions(block_size=BLOCK)
    table = pyarrow.json.read_json(path, read_options=options)
    if table.num_rows > MOST_ROWS:
        raise ValueError(f"it has {table.num_rows:,} rows; a study may have at most {MOST_ROWS:,} images")
    table = _with_inner_labels(table)
    plain = [one.name for one in table.schema if not pa.types.is_nested(one.type)]
    return exact_or_text(as_frame(table.select(plain)))


def _with_inner_labels(table: pa.Table) -> pa.Table:
    """Add fields of objects that are called as labels are: `my-job-metadata.class-name` of SageMaker."""
    for one in list(table.schema):
        if not pa.types.is_struct(one.type):
            continue
        for inner in one.type:
            name = f"{one.name}.{inner.name}"
            if column_name(name) in LABELS and not pa.types.is_nested(inner.type):
                table = table.append_column(name, pc.struct_field(table.column(one.name), inner.name))
    return table
