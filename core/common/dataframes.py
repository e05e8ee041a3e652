"""Read table columns as plain arrays: an absent column is undefined everywhere, not an error."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from core.errors import ShapeError, StudyError, without_middle

LEAST_NORM = 1e-12


class LazyTable:
    """A table of which a column is read when it is asked for: of a million images, all would be 300 MB.

    It does a part of what a data frame does: `table[name]`, `name in table`, `len(table)`, `table.columns`.
    """

    def __init__(
        self, names: Sequence[str], read: Callable[[str], pd.Series], has_values: Callable[[str], bool]
    ):
        """has_values: tells of a column whether it holds any value, without reading it."""
        self.columns, self._read, self._has_values = list(names), read, has_values

    def __contains__(self, name: object) -> bool:
        return name in self.columns

    def __len__(self) -> int:
        return len(self._read(self.columns[0]))

    def __getitem__(self, name: str) -> pd.Series:
        if name not in self.columns:
            raise KeyError(name)
        return self._read(name).copy(deep=False)

    def has_values(self, name: str) -> bool:
        """Return True for a column of the table that holds any value."""
        return name in self.columns and self._has_values(name)

    def frame(self, names: Sequence[str] | None = None) -> pd.DataFrame:
        """Return some columns, or all, as a data frame that shares their memory."""
        return pd.DataFrame({name: self[name] for name in names or self.columns}, copy=False)


def has_values(frame: pd.DataFrame | LazyTable, column: str) -> bool:
    """Return True for a column of a data frame, or of a table read lazily, that holds any value."""
    if isinstance(frame, LazyTable):
        return frame.has_values(column)
    return column in frame.columns and bool(cast(pd.Series, frame[column]).notna().any())


def numbers(frame: pd.DataFrame | LazyTable, column: str) -> np.ndarray:
    """(n_rows,) float64 values of a data frame's column; NaN where missing, or without the column.

    Raises:
        StudyError: the column holds no numbers, as no study has it that Peregrine wrote.
    """
    if column not in frame.columns:
        return np.full(len(frame), np.nan)
    try:
        return cast(pd.Series, frame[column]).to_numpy(dtype=np.float64, na_value=np.nan)
    except (ValueError, TypeError) as error:
        why = without_middle(str(error), 80)
        raise StudyError(f"the column '{column}' holds no numbers ({why})") from None


def words(frame: pd.DataFrame | LazyTable, column: str) -> list[str]:
    """Return the texts of a data frame's column; empty where missing, or everywhere without the column."""
    if column not in frame.columns:
        return [""] * len(frame)
    column_values = cast(pd.Series, frame[column])
    texts = column_values.to_numpy(dtype=object)
    return np.where(column_values.isna().to_numpy(), "", texts).astype(str).tolist()


def columns(frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """List those of `names` that are columns of a data frame with any value, in the order of `names`."""
    return frame.loc[:, [name for name in names if has_values(frame, name)]]


def by_values(frame: pd.DataFrame, names: list[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """Yield each combination of values of some columns of a data frame, with its rows.

    >>> table = pd.DataFrame({"kind": ["b", "a", "b"], "n": [1, 2, 3]})
    >>> [(values, rows["n"].tolist()) for values, rows in by_values(table, ["kind"])]
    [(('b',), [1, 3]), (('a',), [2])]
    """
    for values, rows in frame.groupby(names, sort=False):
        yield values if isinstance(values, tuple) else (values,), rows


def check_same_length(name: str, length: int, other: str, expected: int) -> None:
    """Check that two lengths of arrays that belong together are the same; else raise ShapeError."""
    if length != expected:
        raise ShapeError(f"{name}: {length}, but {other}: {expected}. They must be the same")


def safe_divide(numerator: ArrayLike, denominator: ArrayLike, *, empty: float = np.nan) -> np.ndarray:
    """Return numerator / denominator in float64, `empty` where the denominator is 0.

    >>> safe_divide([1, 2], [4, 0]).tolist(), float(safe_divide(0, 0, empty=0.0))
    ([0.25, nan], 0.0)
    """
    top, bottom = np.broadcast_arrays(np.asarray(numerator, float), np.asarray(denominator, float))
    return np.divide(top, bottom, out=np.full(top.shape, empty), where=bottom != 0)


def known_mean(values: Iterable[float]) -> float:
    """Return the mean of the finite values; NaN without any.

    >>> known_mean([1.0, float("nan"), 4.0]), known_mean([])
    (2.5, nan)
    """
    given = np.asarray(values if isinstance(values, np.ndarray) else list(values), np.float64)
    finite = given[np.isfinite(given)]
    return float(finite.mean()) if len(finite) else float("nan")


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """(n, n_features) float64: rows scaled to length 1; a zero row stays zero."""
    rows = rows.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), LEAST_NORM)


def evenly(count: int, n: int) -> np.ndarray:
    """Pick at most n of the indices below `count`, evenly spaced, the first and the last among them.

    >>> evenly(9, 3).tolist(), evenly(2, 5).tolist(), evenly(0, 4).tolist()
    ([0, 4, 8], [0, 1], [])
    """
    if not count:
        return np.arange(0)
    return np.unique(np.linspace(0, count - 1, min(n, count)).round().astype(int))


def group_codes(groups: pd.Series) -> np.ndarray:
    """Number the values of a data frame's column of groups; a row without one is a group of its own.

    >>> group_codes(pd.Series(["a", None, "b", "a", None])).tolist()
    [0, 2, 1, 0, 3]

    Returns:
        (n,) int32, from 0.
    """
    codes = pd.factorize(groups)[0]
    alone = codes < 0
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(np.count_nonzero(alone))
    return codes.astype(np.int32)


def one_of_each_first(values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Order the values of an array: the first one of each kind in front, then the second ones, as they were.

    >>> one_of_each_first(np.array([9, 8, 7, 6, 5]), np.array([0, 0, 1, 0, 1])).tolist()
    [9, 7, 8, 5, 6]
    """
    by_kind = np.argsort(kinds, kind="stable")
    sizes = np.bincount(np.unique(kinds, return_inverse=True)[1]) if len(kinds) else np.zeros(0, int)
    ranks = np.empty(len(kinds), int)
    ranks[by_kind] = np.arange(len(kinds)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return values[np.argsort(ranks, kind="stable")]


def read_only(array: np.ndarray) -> np.ndarray:
    """Return an array that many share as one that cannot be written to."""
    array.setflags(write=False)
    return array
