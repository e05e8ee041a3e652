"""Tables as frames: CSV, TSV, lines of JSON, Parquet, and metadata beside pictures."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from core.common.addresses import is_url
from core.common.arrow_tables import as_frame, exact_or_text
from core.common.inside import PACKED, open_bytes
from core.common.parquet_footer import MOST_ROWS, read_image_rows
from core.common.remote_objects import local_copy
from core.data.columns import LABELS, UNITS, column_name
from core.data.folder_words import split_of_folder
from core.data.table_text import old_writing, read_text, two_encodings, writing_of
from core.errors import ImageSourceError, did_you_mean, first_line

# Tables as frames: CSV, TSV, lines of JSON, Parquet.


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
    """Read a user's table of images, cells of text stay text; and notes on how it is written.

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
                frame = _read_json_lines(file)
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
    """Return True for the file name of a table of images, also of one that is packed with gzip.

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


def _read_json_lines(path: str) -> pd.DataFrame:
    """Read a table of images of JSON lines: fields that hold single values, and labels in objects.

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
    for field in list(table.schema):
        if not pa.types.is_struct(field.type):
            continue
        for inner in field.type:
            name = f"{field.name}.{inner.name}"
            if column_name(name) in LABELS and not pa.types.is_nested(inner.type):
                cells = pc.struct_field(table.column(field.name), inner.name)  # pyright: ignore[reportAttributeAccessIssue]
                table = table.append_column(name, cells)
    return table


# metadata.csv, .jsonl or .parquet in a folder of pictures, as the imagefolder of `datasets` knows them.
#
# A table lies in the folder or in each folder of it (train/, test/, or one a class), and its column
# file_name, or one that ends so, names pictures from there.


NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # the first that is there
FILE, OF_FILE = "file_name", "_file_name"
CAPTIONS = UNITS[UNITS.index("caption") :]
CAPTION = "caption"


def metadata_tables(root: str) -> dict[str, str]:
    """Return the tables of a folder of images by their paths from there, each with its folder."""
    if (name := _table_in(root)) is not None:
        return {name: ""}
    with suppress(OSError):
        folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir() and entry.name[0] != ".")
        tables = {folder: _table_in(os.path.join(root, folder)) for folder in folders}
        return {f"{folder}/{name}": folder for folder, name in tables.items() if name is not None}
    return {}


def _table_in(folder: str) -> str | None:
    return next((name for name in NAMES if os.path.isfile(os.path.join(folder, name))), None)


def joined_metadata(root: str, tables: Mapping[str, str]) -> pd.DataFrame:
    """Read the tables of a folder of images as one, with paths from the folder in the column file_name.

    Where the names of the folders that they lie in are splits, these are the column split.

    Raises:
        ImageSourceError: a table cannot be read, or has no such column.
    """
    splits = [split_of_folder(folder) for folder in tables.values()]
    parts = []
    for (table, folder), split in zip(tables.items(), splits, strict=True):
        frame, _ = read_table_file(os.path.join(root, table))
        name = next((one for one in frame if one == FILE or one.endswith(OF_FILE)), None)
        if name is None:
            raise ImageSourceError(f"'{os.path.join(root, table)}' has no column {FILE}")
        paths = cast(pd.Series, frame[name]).astype("str").str.replace("\\", "/", regex=False)
        frame = frame.drop(columns=name)
        frame.insert(0, FILE, [os.path.normpath(f"{folder}/{path}" if folder else path) for path in paths])
        parts.append(frame.assign(split=split) if all(splits) else frame)
    return pd.concat(parts, ignore_index=True)


def with_captions(extras: pd.DataFrame | None) -> pd.DataFrame | None:
    """Call the column of captions of a table of images as captions of all other sources are called."""
    name = None if extras is None else next((name for name in CAPTIONS if name in extras), None)
    return extras if extras is None or name is None else extras.rename(columns={name: CAPTION})


def captions_of_metadata(root: str, names: Sequence[str]) -> list[str | None] | None:
    """Return the caption of each picture of a folder by its tables; None where they have none."""
    tables = {} if is_url(root) else metadata_tables(root)
    if not tables:
        return None
    try:
        frame = joined_metadata(root, tables)
    except ImageSourceError:
        return None
    column = next((name for name in CAPTIONS if name in frame), None)
    if column is None:
        return None
    firsts = frame.drop_duplicates(FILE)
    captions = dict(zip(firsts[FILE], firsts[column], strict=True))
    by_image = [captions.get(name) for name in names]
    texts = [text if isinstance(text, str) and text else None for text in by_image]
    return texts if any(texts) else None
