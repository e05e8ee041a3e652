"""Bounds of the values that serve as indices and keys, so that a changed bit never becomes an index.

Values of arrays are checked as they are read, a slice as a slice. What only a whole array can show (its sum,
its order) is checked when the whole array is read.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.common.inside import inside
from core.errors import PeregrineError
from core.storage.chunked_array import ChunkedArray

Fault = Callable[[np.ndarray, bool], str | None]  # (values, whether complete) -> problem or None

# array -> its minimum, and what it indexes (the bound is the length of that item, or `COLUMNS`)
COLUMNS = "features"
INDICES = {
    "firing_features": (0, COLUMNS),
    "firing_by_feature_rows": (0, "images"),
    "top_images": (-1, "images"),  # -1 pads
    "neighbours": (-1, "images"),
    "heatmap_rows": (0, "images"),
    "heatmap_features": (0, COLUMNS),
}
COUNTS = {"firing_count": "firing_features", "heatmap_count": "heatmap_features"}  # their sum is its length
POINTERS = {"firing_by_feature_ptr": "firing_by_feature_rows"}  # ascending from 0 to its length
OF_BASIS = re.compile(r"(basis_[^_]+)(_position)?_(features|count)")  # its codes, as those that fire
OF_INDEX = re.compile(r"(basis_[^_]+)_index_(places|count)")

# column -> tables in which it is a key, and what it may hold
FEATURES = r"[0-9]{1,9}(?:\+[0-9]{1,9})*"  # one or several, as in "12+40"
KEYS = {
    "group": (
        ("concepts", "captions", "counterfactuals", "explained", "groups", "highly_activating"),
        FEATURES,
    ),
    "mask": (("overlap", "overlap_by_feature", "overlap_by_class", "overlap_summary"), "core|spurious"),
    "tail": (("features",), "lower|middle|upper"),
    "verdict": (("overlap_by_feature",), "core|spurious|undecided"),
}


def stored_array(
    folder: Path,
    name: str,
    items: Mapping[str, dict[str, Any]],
    damaged: Callable[[str], PeregrineError],
    opened: Callable[[], None],
) -> ChunkedArray:
    """Return an array of a study, whose values are checked as they are read.

    Args:
        items: the entries of the manifest. damaged, opened: see ChunkedArray.
    """
    entry = items[name]
    of = inside(folder, name)
    rows = [chunk["rows"] for chunk in entry["chunks"]]
    fault = fault_of(name, items)
    return ChunkedArray(
        of, rows, entry["dtype"], entry["shape"][1:], fault=fault, damaged=damaged, opened=opened
    )


def fault_of(name: str, items: Mapping[str, dict[str, Any]]) -> Fault | None:
    """Return the check of an array whose values serve as indices; None for an array of other numbers.

    Args:
        items: the entries of the manifest, whose shapes bound the indices.
    """
    if name in INDICES:
        lowest, of = INDICES[name]
        n = items["representations"]["shape"][1] if of == COLUMNS else items[of]["shape"][0]
        return partial(_outside, lowest, n)
    if name in COUNTS:
        total = _length(items, COUNTS[name])
        return partial(_not_the_counts_of, total)
    if basis := OF_BASIS.fullmatch(name):
        if basis[3] == "features":
            return partial(_outside, 0, _length(items, f"{basis[1]}_decoder"))
        total = _length(items, f"{basis[1]}{basis[2] or ''}_features")
        return partial(_not_the_counts_of, total)
    if index := OF_INDEX.fullmatch(name):
        if index[2] == "places":
            return partial(_outside, 0, _length(items, f"{index[1]}_position_norm"))
        total = _length(items, f"{index[1]}_index_places")
        return partial(_not_the_counts_of, total)
    if name in POINTERS:
        total = _length(items, POINTERS[name])
        return partial(_not_pointers_into, total)
    return None


def wrong_key(name: str, frame: pd.DataFrame) -> str | None:
    """Return the problem of a table whose column of keys holds another text; None for a sound one."""
    for column, (tables, allowed) in KEYS.items():
        if name in tables and column in frame:
            texts = pd.Series(frame[column].unique()).astype("string")
            fits = texts.str.fullmatch(allowed).fillna(False).to_numpy(bool)
            if not fits.all():
                return f"holds {str(texts.iloc[int(fits.argmin())])[:40]!r} as {column}"
    return None


def _length(items: Mapping[str, dict[str, Any]], name: str) -> int:
    return int(items[name]["shape"][0])


def _outside(lowest: int, n: int, values: np.ndarray, whole: bool) -> str | None:
    """Return the problem of values outside of `lowest` to n - 1; of a part of an array as of a whole one."""
    if not values.size or (values.min() >= lowest and values.max() < n):
        return None
    wrong = values[(values < lowest) | (values >= n)].flat[0]
    return f"holds {wrong}, which is not one of {n:,}"


def _not_the_counts_of(total: int, values: np.ndarray, whole: bool) -> str | None:
    if not values.size:
        return None
    if values.min() < 0 or values.max() > total:
        return f"holds counts outside 0 to {total:,}"
    if whole and values.sum(dtype=np.int64) != total:
        return f"holds counts that add up to {values.sum(dtype=np.int64):,} instead of {total:,}"
    return None


def _not_pointers_into(total: int, values: np.ndarray, whole: bool) -> str | None:
    if (what := _outside(0, total + 1, values, whole)) or not values.size:
        return what
    if (np.diff(values.astype(np.int64)) < 0).any() or (whole and (values[0] != 0 or values[-1] != total)):
        return f"does not ascend from 0 to {total:,}"
    return None
