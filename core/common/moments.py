"""Mean and variance of columns, joined from parts of the rows."""

from dataclasses import dataclass

import numpy as np

BLOCK_ROWS = 256  # rows widened to float64 at a time


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each column; merging is exact (Chan et al. 1979)."""

    n: int
    mean: np.ndarray  # (n_features,) float64
    m2: np.ndarray  # (n_features,) float64

    @classmethod
    def empty(cls, n_features: int) -> "Moments":
        return cls(0, np.zeros(n_features), np.zeros(n_features))

    @classmethod
    def from_sums(cls, n: int, sums: np.ndarray, squares: np.ndarray) -> "Moments":
        """Build moments from the sum and the sum of squares of `n` rows."""
        if not n:
            return cls.empty(len(sums))
        mean = sums / n
        return cls(n, mean, np.maximum(squares - n * mean**2, 0.0))

    @classmethod
    def of_rows(cls, rows: np.ndarray) -> "Moments":
        """Compute the moments of the columns of `rows` (n, n_features), in two passes."""
        if not len(rows):
            return cls.empty(rows.shape[1])
        mean, m2 = rows.mean(0, dtype=np.float64), np.zeros(rows.shape[1])
        for start in range(0, len(rows), BLOCK_ROWS):
            m2 += np.square(rows[start : start + BLOCK_ROWS] - mean).sum(0)
        return cls(len(rows), mean, m2)

    def merge(self, other: "Moments") -> "Moments":
        """Combine the moments of two sets of rows."""
        n = self.n + other.n
        if not n:
            return self
        gap = other.mean - self.mean
        mean = self.mean + gap * (other.n / n)
        between = gap**2 * (self.n * other.n / n)
        return Moments(n, mean, self.m2 + other.m2 + between)

    @property
    def variance(self) -> np.ndarray:
        """Sample variance (ddof 1); NaN with fewer than two rows."""
        return self.m2 / (self.n - 1) if self.n > 1 else np.full(len(self.m2), np.nan)

    @property
    def std(self) -> np.ndarray:
        """Population standard deviation; NaN without rows."""
        return np.sqrt(self.m2 / self.n) if self.n else np.full(len(self.m2), np.nan)
