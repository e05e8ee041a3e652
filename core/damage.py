"""Which files of a study cannot be read, found at a glance; `core.info.verify` compares all contents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from core.arrays import chunk_name

HEADER_STEP = 64  # bytes: numpy fills the head of a file up to a multiple of it


def find_damage(folder: Path, items: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Tables and arrays that are gone, cut short or no longer tables, by name, each with what is wrong.

    Only the size of every file and the end of every table are looked at, which takes milliseconds.

    Args:
        items: entries of the manifest, by name.
    """
    looks = {"table": _table_damage, "array": _array_damage}
    found = {name: looks[item["kind"]](folder, name, item) for name, item in sorted(items.items())}
    return {name: what for name, what in found.items() if what}


def _table_damage(folder: Path, name: str, item: dict[str, Any]) -> str | None:
    file, expected = f"{name}.parquet", item["shape"][0]
    try:
        n_rows = pq.read_metadata(folder / file).num_rows
    except FileNotFoundError:
        return f"{file} is gone"
    except (OSError, ValueError):
        return f"{file} cannot be read"
    return None if n_rows == expected else f"{file} has {n_rows:,} rows instead of {expected:,}"


def _array_damage(folder: Path, name: str, item: dict[str, Any]) -> str | None:
    row_bytes = int(np.prod(item["shape"][1:], dtype=np.int64)) * np.dtype(item["dtype"]).itemsize
    for number, chunk in enumerate(item["chunks"]):
        file = f"{name}/{chunk_name(number)}"
        try:
            size = (folder / file).stat().st_size
        except FileNotFoundError:
            return f"{file} is gone"
        except OSError:
            return f"{file} cannot be read"
        header = size - chunk["rows"] * row_bytes
        if header <= 0 or header % HEADER_STEP:
            return f"{file} is cut short"
    return None
