"""metadata.csv, .jsonl or .parquet in a folder of pictures, as the imagefolder of `datasets` knows them.

A table lies in the folder or in each folder of it (train/, test/, or one a class), and its column file_name,
or one that ends so, names pictures from there.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import cast

import pandas as pd

from core.common.remote.addresses import is_url
from core.data.sources.columns import UNITS
from core.data.sources.folder_words import split_of_folder
from core.data.sources.table_files import read_table_file
from core.errors import ImageSourceError

NAMES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # the first that is there
FILE, OF_FILE = "file_name", "_file_name"
CAPTIONS = UNITS[UNITS.index("caption") :]
CAPTION = "caption"


def metadata_tables(root: str) -> dict[str, str]:
    """Return the tables of a folder by their paths from there, each with the folder that it lies in."""
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
    """Read the tables of a folder as one, with the paths of pictures from the folder in the column file_name.

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
    """Call the column of captions as captions of all other sources are called."""
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
    held = [captions.get(name) for name in names]
    texts = [text if isinstance(text, str) and text else None for text in held]
    return texts if any(texts) else None
