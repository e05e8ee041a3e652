"""Check the structure and types of a manifest. No torch.

A manifest may come from somebody else. It is checked once, when it is read, so that no later reader meets
text in place of a number, or a shape that does not fit into memory.
"""

import re
from typing import Any

import numpy as np

ITEM = re.compile(r"[A-Za-z][\w-]{0,79}")
MOST = 2**48  # rows, columns and entries; more than any disk holds
DTYPE_KINDS = "biufU"  # booleans, numbers and fixed-width text; nothing that would be unpickled
OF_IMAGES = ("image_id", "split", "label")
WIDEST_TEXT = 1 << 16  # bytes


def entry_fault(manifest: dict[str, Any]) -> str | None:
    """Describe briefly what is wrong with the steps and items of a manifest; None where all is well."""
    for name, step in manifest["steps"].items():
        if fault := _step_fault(step):
            return f"has an invalid step {name[:40]!r}: {fault}"
    for name, item in manifest["items"].items():
        if not ITEM.fullmatch(name):
            return f"names an invalid item {name[:80]!r}"
        if fault := _item_fault(item):
            return f"has an invalid item '{name}': {fault}"
    if fault := _images_fault(manifest["items"].get("images")):
        return f"has an invalid item 'images': {fault}"
    unfinished = manifest.get("unfinished", {})
    if not isinstance(unfinished, dict) or not all(isinstance(one, dict) for one in unfinished.values()):
        return "has invalid settings of unfinished steps"
    return None


def _step_fault(step: Any) -> str | None:
    if not isinstance(step, dict):
        return "not an object"
    for part in ("settings", "inputs", "summary"):
        if not isinstance(step.get(part), dict):
            return f"no {part}"
    if not all(value is None or isinstance(value, str) for value in step["inputs"].values()):
        return "inputs without checksums"
    outputs = step.get("outputs")
    if not isinstance(outputs, list):
        return "no outputs"
    strange = next((one for one in outputs if not (isinstance(one, str) and ITEM.fullmatch(one))), None)
    return None if strange is None else f"its output {str(strange)[:80]!r} is not a valid item name"


def _item_fault(item: Any) -> str | None:
    if not isinstance(item, dict):
        return "not an object"
    if not isinstance(item.get("step"), str):
        return "no step"
    if not _is_shape(item.get("shape")):
        return "no valid shape"
    if item.get("kind") == "table":
        return _table_fault(item)
    return _array_fault(item) if item.get("kind") == "array" else "unknown kind"


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
    types = item.get("types")
    if not isinstance(types, list) or len(types) != len(columns):
        return "its types do not match its columns"
    return None if item["shape"][1:] == [len(columns)] else "its shape does not match its columns"


def _images_fault(item: dict[str, Any] | None) -> str | None:
    """Every page reads these columns of at least one image; a study that is only begun has no such item."""
    if item is None:
        return None
    missing = [one for one in OF_IMAGES if one not in item.get("columns", ())]
    if missing:
        return f"no column {missing[0]}"
    return None if item["shape"][0] else "no rows"


def _array_fault(item: dict[str, Any]) -> str | None:
    if not _is_dtype(item.get("dtype")):
        return "no dtype of numbers or text"
    chunks = item.get("chunks")
    if not isinstance(chunks, list):
        return "no chunks"
    if not all(isinstance(one, dict) and _is_count(one.get("rows")) for one in chunks):
        return "chunks without rows"
    if not all(isinstance(one.get("sha256"), str) for one in chunks):
        return "chunks without checksums"
    return None if sum(one["rows"] for one in chunks) == item["shape"][0] else "chunks of a different length"


def _is_dtype(name: Any) -> bool:
    if not isinstance(name, str) or len(name) > 40:
        return False
    try:
        dtype = np.dtype(name)
    except (TypeError, ValueError, SyntaxError, OverflowError):
        return False
    return dtype.kind in DTYPE_KINDS and dtype.itemsize <= WIDEST_TEXT and dtype.shape == ()
