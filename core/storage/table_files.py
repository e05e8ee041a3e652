"""Read a table of a study from its Parquet file; damaged data is never taken for numbers."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from core.common.inside import inside
from core.common.remote.place import AddressPath
from core.data.sources.parquet_limit import check_study_table
from core.errors import NotEnoughMemory, StudyError, first_line
from core.storage.bounds import wrong_key
from core.storage.chunked_array import file_sha256
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


@lru_cache(maxsize=256)
def _has_checksum(copy: str, checksum: str) -> bool:
    """copy: of one version of an object."""
    return file_sha256(Path(copy)) == checksum


def read_stored_table(
    folder: Path, name: str, entry: dict[str, Any], columns: list[str] | None
) -> pd.DataFrame:
    """Read a whole table or some of its columns, comparing the checksums of its pages.

    Args:
        entry: the table's entry in the manifest.
    Raises:
        Damaged: the file is damaged. StudyError: it points outside the study, or is being rewritten.
    """
    path = inside(folder, f"{name}.parquet")
    try:
        if isinstance(path, AddressPath) and not _has_checksum(os.fspath(path), entry["sha256"]):
            raise Damaged(f"{path.name} has changed since it was written (checksum differs)")
        check_types(pq.read_schema(path), path.name, entry)
        check_study_table(path, columns)
        frame = pq.read_table(path, columns=columns, page_checksum_verification=True).to_pandas()
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
