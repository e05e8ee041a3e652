"""How strongly features are active: histograms and shares over an evenly spaced sample of rows."""

from __future__ import annotations

import numpy as np

from core.analysis.numeric import LEAST_NORM

BINS = 100
SAMPLE_ENTRIES = 1 << 22  # 2,048 rows of 2,048 features, 8,192 of 512
BLOCK_ENTRIES = 1 << 18


def sampled_rows(rows: np.ndarray, n_features: int) -> np.ndarray:
    """Every k-th of `rows`, as many as hold 4 million entries; even, so that no class is left out."""
    limit = max(1, SAMPLE_ENTRIES // n_features)
    return rows[:: max(1, -(-len(rows) // limit))]


class Activations:
    """Histogram of each feature of normalised h over the rows seen, and counts of special entries.

    Bins are evenly spaced in the square root of |h|, narrow near zero and wide far out, over [-1, 1].

    Args:
        near_zero: share of the row's maximum below which an entry counts as zero (METHOD 2). A row without
            a positive entry is near zero throughout.
    """

    def __init__(self, n_features: int, *, near_zero: float = 1e-2, bins: int = BINS):
        self.n_features, self.near_zero, self.bins = n_features, near_zero, bins
        self.counts = np.zeros((n_features, 2 * bins), np.int64)
        self.n_rows = self.n_near_zero = self.n_negative = 0

    def update(self, raw: np.ndarray) -> Activations:
        """Add raw rows (n, n_features), float32 or float16."""
        height = max(1, BLOCK_ENTRIES // self.n_features)
        for start in range(0, len(raw), height):
            self._add(raw[start : start + height].astype(np.float32))
        return self

    def _add(self, raw: np.ndarray) -> None:
        peak = raw.max(1, keepdims=True)
        self.n_rows += len(raw)
        self.n_near_zero += np.count_nonzero((raw < np.float32(self.near_zero) * peak) | (peak <= 0))
        self.n_negative += np.count_nonzero(raw < 0)
        place = bin_of(unit_rows(raw), self.bins).astype(np.int64)
        place += np.arange(self.n_features) * (2 * self.bins)
        self.counts += np.bincount(place.reshape(-1), minlength=self.counts.size).reshape(self.counts.shape)

    def merge(self, other: Activations) -> None:
        """Add what `other` has seen."""
        self.counts += other.counts
        self.n_rows += other.n_rows
        self.n_near_zero += other.n_near_zero
        self.n_negative += other.n_negative

    def histogram(self) -> tuple[np.ndarray, np.ndarray]:
        """counts (n_features, bins) int32 and edges (bins + 1,) float64 rising, without the outer bins that
        no feature reaches; negative bins only where there are negative values."""
        used = np.flatnonzero(self.counts.any(0))
        first = min(used.min(initial=self.bins), self.bins)
        last = max(used.max(initial=self.bins), self.bins) + 1
        root = np.linspace(-1.0, 1.0, 2 * self.bins + 1)
        edges = np.sign(root) * root**2
        return self.counts[:, first:last].astype(np.int32), edges[first : last + 1]

    @property
    def near_zero_share(self) -> float:
        """Share of near-zero entries; NaN without rows."""
        return self.n_near_zero / (self.n_rows * self.n_features) if self.n_rows else np.nan

    @property
    def negative_share(self) -> float:
        """Share of negative entries; NaN without rows."""
        return self.n_negative / (self.n_rows * self.n_features) if self.n_rows else np.nan


def bin_of(h: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each value of [-1, 1], same shape, int32: 0 … bins - 1 negative, bins … 2 bins - 1 not."""
    root = np.sqrt(np.abs(h))
    if h.min(initial=0) < 0:
        root = np.copysign(root, h)
    return np.clip(np.floor(bins + bins * root).astype(np.int32), 0, 2 * bins - 1)


def unit_rows(raw: np.ndarray) -> np.ndarray:
    """Normalised float32 rows."""
    norm = np.sqrt(np.einsum("ij,ij->i", raw, raw, dtype=np.float64))
    return raw * (1.0 / np.maximum(norm, LEAST_NORM)).astype(np.float32)[:, None]
