"""Small numeric tools that need only numpy, so that importing them does not load torch."""

from __future__ import annotations

import numpy as np

from core.errors import ShapeError


def check_same_length(name: str, found: int, other: str, expected: int) -> None:
    """Raise ShapeError when two lengths that must be equal differ."""
    if found != expected:
        raise ShapeError(f"{name}: {found}, but {other}: {expected}. They must be the same")


def safe_divide(top: np.ndarray, bottom: np.ndarray, *, empty: float = np.nan) -> np.ndarray:
    """top / bottom in float64, `empty` where bottom is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(top, float), np.asarray(bottom, float))
    return np.divide(top, bottom, out=np.full(top.shape, empty), where=bottom != 0)
