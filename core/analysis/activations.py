"""How strongly features are active: histograms and shares over an evenly spaced sample of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from core.analysis.firing import as_float32
from core.analysis.numeric import LEAST_NORM

BINS = 64
SAMPLE_ENTRIES = 20_000_000  # 10,000 rows of 2,048 features: plenty for a histogram, and quick
BLOCK_ENTRIES = 1 << 18


@dataclass(frozen=True)
class Activations:
    """What a sample says about the values of normalised h."""

    counts: np.ndarray  # (n_features, bins) int32
    edges: np.ndarray  # (bins + 1,) float64, rising
    near_zero: float  # share of entries with raw_ij < near_zero * max_j raw_ij
    negative: float  # share of negative entries
    n_rows: int


def sampled_rows(rows: np.ndarray, n_features: int) -> np.ndarray:
    """Every k-th of `rows`, as many as hold 20 million entries; even, so that no class is left out."""
    limit = max(1, SAMPLE_ENTRIES // n_features)
    return rows[:: max(1, -(-len(rows) // limit))]


def bin_edges(lowest: float, highest: float, bins: int = BINS) -> np.ndarray:
    """(bins + 1,) edges from min(lowest, 0) to `highest`.

    Without negative values they are evenly spaced in the square root: narrow near zero, wide far out.
    """
    highest = highest if highest > max(lowest, 0.0) else 1.0
    if lowest < 0:
        return np.linspace(lowest, highest, bins + 1)
    return highest * np.linspace(0.0, 1.0, bins + 1) ** 2


def measure_activations(raw: np.ndarray, *, near_zero: float = 1e-2, bins: int = BINS) -> Activations:
    """Histogram each feature of normalised h, and count near-zero and negative entries.

    Args:
        raw: (n, n_features) float32 or float16, raw rows.
        near_zero: share of the row's maximum below which an entry counts as zero (METHOD 2). A row without
            a positive entry is near zero throughout.
    Returns:
        counts and shares; the shares are NaN without rows.
    """
    n, n_features = raw.shape
    ranges = [(float(h.min()), float(h.max())) for _, h in _blocks(raw)] or [(0.0, 0.0)]
    edges = bin_edges(min(low for low, _ in ranges), max(high for _, high in ranges), bins)
    counts = np.zeros(n_features * bins, np.int64)
    n_near_zero = n_negative = 0
    for block, h in _blocks(raw):
        peak = block.max(1, keepdims=True)
        n_near_zero += np.count_nonzero((block < np.float32(near_zero) * peak) | (peak <= 0))
        n_negative += np.count_nonzero(block < 0)
        place = bin_of(h, edges).astype(np.int64)
        place += np.arange(n_features) * bins
        counts += np.bincount(place.reshape(-1), minlength=len(counts))
    shares = (n_near_zero / raw.size, n_negative / raw.size) if raw.size else (np.nan, np.nan)
    return Activations(counts.reshape(n_features, bins).astype(np.int32), edges, *shares, n)


def bin_of(h: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The bin of each value, same shape, int32; values outside go to the outermost bins."""
    bins, low, high = len(edges) - 1, np.float32(edges[0]), np.float32(edges[-1])
    place = (h - low) / (high - low)
    if low == 0:
        place = np.sqrt(place)
    return np.minimum((place * np.float32(bins)).astype(np.int32), bins - 1)


def _blocks(raw: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of raw rows in float32, each with its normalised rows."""
    height = max(1, BLOCK_ENTRIES // raw.shape[1])
    for start in range(0, len(raw), height):
        block = as_float32(raw[start : start + height])
        norm = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
        yield block, block * (1.0 / np.maximum(norm, LEAST_NORM)).astype(np.float32)[:, None]
