"""Measure how strongly features are active: histograms and shares over an evenly spaced sample of rows."""

import numpy as np

from core.analysis.features.kernels import count_bins
from core.analysis.features.rows import ChunkRows

BINS = 100
SAMPLE_ENTRIES = 1 << 22  # 2,048 rows of 2,048 features, 8,192 of 512


def sampled_rows(rows: np.ndarray, n_features: int) -> np.ndarray:
    """Return every k-th of `rows`, up to 4 million entries; evenly spaced, so that no class is left out."""
    limit = max(1, SAMPLE_ENTRIES // n_features)
    return rows[:: max(1, -(-len(rows) // limit))]


class Activations:
    """Histogram of each feature of normalised h over the sampled rows, and counts of special entries.

    Bins are evenly spaced in the square root of |h|, narrow near zero and wide at the ends of [-1, 1].

    Args:
        near_zero: share of the row's maximum below which an entry counts as zero (docs/method.md 2.5). All
            entries of a row without a positive entry are near zero.
    """

    def __init__(self, n_features: int, *, near_zero: float = 1e-2, bins: int = BINS):
        self.n_features, self.near_zero, self.bins = n_features, near_zero, bins
        self.counts = np.zeros((n_features, 2 * bins), np.int64)
        self.n_rows = self.n_near_zero = self.n_negative = 0

    def update(self, raw: ChunkRows) -> "Activations":
        """Add raw rows."""
        for here, x in raw.blocks():
            begin = raw.begin[here.start : here.stop + 1]
            near_zero, negative = count_bins(x, begin, raw.columns, self.near_zero, self.counts)
            self.n_near_zero += near_zero
            self.n_negative += negative
        self.n_rows += len(raw)
        return self

    def merge(self, other: "Activations") -> None:
        """Add the counts of `other`."""
        self.counts += other.counts
        self.n_rows += other.n_rows
        self.n_near_zero += other.n_near_zero
        self.n_negative += other.n_negative

    def histogram(self) -> tuple[np.ndarray, np.ndarray]:
        """Return counts (n_features, bins) int32 and edges (bins + 1,) float64 ascending, without the outer
        bins that no feature reaches; negative bins only if there are negative values."""
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
