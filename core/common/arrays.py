"""Small numeric tools that need numpy alone, so that modules which use them load no torch."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from core.errors import ShapeError

LEAST_NORM = 1e-12


def check_same_length(name: str, length: int, other: str, expected: int) -> None:
    """Raise ShapeError when two lengths that belong together differ."""
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
    """At most n of the indices below `count`, evenly spaced, the first and the last among them.

    >>> evenly(9, 3).tolist(), evenly(2, 5).tolist(), evenly(0, 4).tolist()
    ([0, 4, 8], [0, 1], [])
    """
    return np.unique(np.linspace(0, count - 1, min(n, count)).round().astype(int)) if count else np.arange(0)


def one_of_each_first(values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Return values with the first one of each kind in front, then the second ones, in their order.

    >>> one_of_each_first(np.array([9, 8, 7, 6, 5]), np.array([0, 0, 1, 0, 1])).tolist()
    [9, 7, 8, 5, 6]
    """
    by_kind = np.argsort(kinds, kind="stable")
    sizes = np.bincount(np.unique(kinds, return_inverse=True)[1]) if len(kinds) else np.zeros(0, int)
    ranks = np.empty(len(kinds), int)
    ranks[by_kind] = np.arange(len(kinds)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return values[np.argsort(ranks, kind="stable")]


def read_only(array: np.ndarray) -> np.ndarray:
    """Return an array that many share; to write to it is an error."""
    array.setflags(write=False)
    return array
