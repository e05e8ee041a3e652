"""Labels of the pictures that img2dataset downloads into folders: NNNNN.parquet beside each folder NNNNN/.

Further columns of the list that was downloaded stand there (`--save_additional_columns`).
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.common.arrow_frames import as_frame
from core.common.remote.addresses import is_url
from core.data.sources.columns import decide_columns
from core.data.sources.folder_splits import join
from core.data.sources.folder_walk import Folder
from core.data.sources.parquet_limit import check_image_rows
from core.data.sources.table_cells import labels_of_cells, text_column
from core.errors import ImageSourceError

KEY = "key"  # of a picture: its name without extension
WRITTEN = frozenset(  # columns of img2dataset itself
    (
        KEY,
        "url",
        "caption",
        "status",
        "error_message",
        "exif",
        "similarity",
        "hash",
        "sha256",
        "md5",
        "sha512",
    )
    + ("width", "height", "original_width", "original_height")
)


def shard_tables(root: str, tree: Mapping[str, Folder], prefixes: Iterable[str]) -> dict[str, str]:
    """Return the table of each folder of pictures below one of `prefixes` that has one beside it."""
    if is_url(root):
        return {}
    places = [
        (join(prefix, name), join(prefix, f"{name}.parquet"))
        for prefix in prefixes
        for name in tree[prefix].folders
    ]
    held = {join(prefix, name) for prefix in prefixes for name in tree[prefix].tables}
    return {folder: table for folder, table in places if table in held}


def label_column(root: str, table: str) -> str | None:
    """Return the column of a shard's table that holds labels; None where there is none."""
    try:
        frame = _read(os.path.join(root, table))
    except (OSError, ValueError, pa.ArrowException):
        return None
    try:
        decision = decide_columns(frame, stated={"path": KEY, "split": None}, files=None, table=table)
    except ImageSourceError:  # no keys, or columns that contradict each other
        return None
    return decision.columns.get("label")


def labels_of_shards(
    root: str, tables: Mapping[str, str], column: str, names: Sequence[str]
) -> list[str | None]:
    """Return the label of each picture, SHARD/KEY.ext; None where its table has none."""
    labels: dict[str, str] = {}
    for folder, table in tables.items():
        try:
            frame = _read(os.path.join(root, table))[[KEY, column]]
        except (OSError, ValueError, KeyError, pa.ArrowException):
            continue
        texts, _ = labels_of_cells(text_column(cast(pd.Series, frame[column])))
        keys = [join(folder, str(key)) for key in frame[KEY]]
        labels |= {key: text for key, text in zip(keys, texts, strict=True) if isinstance(text, str)}
    return [labels.get(os.path.splitext(name)[0]) for name in names]


def _read(path: str) -> pd.DataFrame:
    """Read the keys and the columns that are not img2dataset's."""
    check_image_rows(path)
    fields = [one for one in pq.read_schema(path) if not pa.types.is_nested(one.type)]
    names = [one.name for one in fields if one.name == KEY or one.name not in WRITTEN]
    return as_frame(pq.read_table(path, columns=names))
