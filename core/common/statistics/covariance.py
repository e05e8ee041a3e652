"""Mean and covariance of columns, joined from parts of the rows."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.blas import dsyrk  # pyright: ignore[reportAttributeAccessIssue]  (compiled)

from core.common.statistics.moments import BLOCK_ROWS


@dataclass(frozen=True)
class Covariance:
    """Count, mean and scatter matrix of the columns; merging is exact (Chan et al. 1979)."""

    n: int
    mean: np.ndarray  # (n_features,) float64
    scatter: np.ndarray  # (n_features, n_features) float64, sum of outer products of centred rows

    @classmethod
    def empty(cls, n_features: int) -> "Covariance":
        return cls(0, np.zeros(n_features), np.zeros((n_features, n_features)))

    @classmethod
    def of_rows(cls, rows: np.ndarray) -> "Covariance":
        """Compute mean and scatter of `rows` (n, n_features), in one pass around the mean of the first."""
        if not len(rows):
            return cls.empty(rows.shape[1])
        near, n_features = rows[:BLOCK_ROWS].mean(0, dtype=np.float64), rows.shape[1]
        sums, upper = np.zeros(n_features), np.zeros((n_features, n_features), order="F")
        for start in range(0, len(rows), BLOCK_ROWS):
            block = rows[start : start + BLOCK_ROWS] - near
            sums += block.sum(0)
            upper = dsyrk(1.0, block.T, beta=1.0, c=upper, overwrite_c=True)
        gap = sums / len(rows)
        upper = dsyrk(-len(rows), gap[:, None], beta=1.0, c=upper, overwrite_c=True)
        return cls(len(rows), near + gap, upper + np.triu(upper, 1).T)

    def merge(self, other: "Covariance") -> "Covariance":
        """Combine two sets of rows. Overwrites the scatter of `other`, so that no third matrix is held."""
        n = self.n + other.n
        if not n:
            return self
        gap = other.mean - self.mean
        scatter = other.scatter
        scatter += self.scatter
        scatter += np.outer(gap, gap * (self.n * other.n / n))
        return Covariance(n, self.mean + gap * (other.n / n), scatter)

    @property
    def matrix(self) -> np.ndarray:
        """Population covariance (ddof 0); NaN without rows."""
        return self.scatter / self.n if self.n else np.full_like(self.scatter, np.nan)
