"""Quick check for unreadable files of a study; `verify` compares all contents."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from core.common.inside import inside
from core.common.parquet_footer import count_rows
from core.errors import StudyError
from core.storage.chunked_array import chunk_name

HEADER_STEP = 64  # bytes: numpy pads the header of a file to a multiple of it


def find_damage(folder: Path, items: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Map each missing, truncated or unreadable item to a description of the problem.

    Checks only the size of every file and the end of every table, which takes milliseconds.

    Args:
        items: entries of the manifest, by name.
    """
    faults = {name: _first_fault(folder, name, item) for name, item in sorted(items.items())}
    return {name: what for name, what in faults.items() if what}


def _first_fault(folder: Path, name: str, item: dict[str, Any]) -> str | None:
    if item["kind"] == "table":
        return _fault(folder, f"{name}.parquet", _table_fault, item["shape"][0])
    row_bytes = int(np.prod(item["shape"][1:], dtype=np.int64)) * np.dtype(item["dtype"]).itemsize
    sizes = _sizes(folder, name)
    for number, chunk in enumerate(item["chunks"]):
        file, n_bytes = chunk_name(number), chunk["rows"] * row_bytes
        is_whole = file in sizes and _is_whole(sizes[file], n_bytes)
        if not is_whole and (what := _fault(folder, f"{name}/{file}", _chunk_fault, n_bytes)):
            return what
    return None


def _sizes(folder: Path, name: str) -> dict[str, int]:
    """Return the size of each file of an array in one go; not of links, which are followed one by one."""
    try:
        with os.scandir(inside(folder, name)) as files:
            return {file.name: file.stat().st_size for file in files if file.is_file(follow_symlinks=False)}
    except (OSError, StudyError):
        return {}


def _fault(folder: Path, file: str, look: Callable[[Path, int], str | None], expected: int) -> str | None:
    try:
        what = look(inside(folder, file), expected)
    except FileNotFoundError:
        what = "is missing"
    except StudyError:
        what = "points outside the study folder"
    except (OSError, ValueError):
        what = "cannot be read"
    return what and f"{file} {what}"


def _table_fault(path: Path, n_rows: int) -> str | None:
    held = count_rows(path)
    return None if held == n_rows else f"has {held:,} rows instead of {n_rows:,}"


def _chunk_fault(path: Path, n_bytes: int) -> str | None:
    return None if _is_whole(path.stat().st_size, n_bytes) else "is truncated"


def _is_whole(size: int, n_bytes: int) -> bool:
    return size > n_bytes and (size - n_bytes) % HEADER_STEP == 0
