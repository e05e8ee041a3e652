"""Whether what a manifest holds has the kinds that everything else expects of it. No torch.

A manifest may come from somebody else. It is looked at once, when it is read, so that no reader after it
meets a text where a number should stand, or a shape that no memory holds.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

ITEM = re.compile(r"[A-Za-z][\w-]{0,79}")
MOST = 2**48  # rows, columns and entries: far more than any disk holds
DTYPE_KINDS = "biufU"  # booleans, numbers and texts of a fixed width: nothing that would be unpickled
WIDEST_TEXT = 1 << 16  # bytes


def entry_fault(manifest: dict[str, Any]) -> str | None:
    """What is wrong with the steps and items of a manifest, in a few words; None where nothing is."""
    for name, step in manifest["steps"].items():
        if fault := _step_fault(step):
            return f"says of the step {name[:40]!r} {fault}"
    for name, item in manifest["items"].items():
        if not ITEM.fullmatch(name):
            return f"names no item of a study, but {name[:80]!r}"
        if fault := _item_fault(item):
            return f"says of '{name}' {fault}"
    return None


def _step_fault(step: Any) -> str | None:
    if not isinstance(step, dict):
        return "nothing that can be read"
    for part in ("settings", "inputs", "summary"):
        if not isinstance(step.get(part), dict):
            return f"no {part}"
    if not all(value is None or isinstance(value, str) for value in step["inputs"].values()):
        return "inputs without checksums"
    outputs = step.get("outputs")
    if not isinstance(outputs, list):
        return "no outputs"
    strange = next((one for one in outputs if not (isinstance(one, str) and ITEM.fullmatch(one))), None)
    return None if strange is None else f"that it made {str(strange)[:80]!r}, which names no item of a study"


def _item_fault(item: Any) -> str | None:
    if not isinstance(item, dict):
        return "nothing that can be read"
    if not isinstance(item.get("step"), str):
        return "no step that made it"
    if not _is_shape(item.get("shape")):
        return "no shape that it can have"
    if item.get("kind") == "table":
        return _table_fault(item)
    return _array_fault(item) if item.get("kind") == "array" else "no kind that is known"


def _is_shape(shape: Any) -> bool:
    sizes = isinstance(shape, list) and 1 <= len(shape) <= 8 and all(_is_count(size) for size in shape)
    return sizes and bool(np.prod([float(size) for size in shape]) < MOST)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < MOST


def _table_fault(item: dict[str, Any]) -> str | None:
    columns = item.get("columns")
    if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
        return "no columns"
    if not isinstance(item.get("sha256"), str):
        return "no checksum"
    return None if item["shape"][1:] == [len(columns)] else "a shape that does not fit its columns"


def _array_fault(item: dict[str, Any]) -> str | None:
    if not _is_dtype(item.get("dtype")):
        return "no dtype of numbers or texts"
    chunks = item.get("chunks")
    if not isinstance(chunks, list):
        return "no chunks"
    if not all(isinstance(one, dict) and _is_count(one.get("rows")) for one in chunks):
        return "chunks without rows"
    if not all(isinstance(one.get("sha256"), str) for one in chunks):
        return "chunks without checksums"
    return None if sum(one["rows"] for one in chunks) == item["shape"][0] else "chunks of another length"


def _is_dtype(name: Any) -> bool:
    if not isinstance(name, str) or len(name) > 40:
        return False
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError, OverflowError):
        return False
    return dtype.kind in DTYPE_KINDS and dtype.itemsize <= WIDEST_TEXT and dtype.shape == ()
