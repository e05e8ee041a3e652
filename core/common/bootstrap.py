"""Means with bootstrap intervals, for many columns at once."""

from __future__ import annotations

import numpy as np

from core.common.array_checks import safe_divide

DRAWS_AT_ONCE = 1 << 20  # limits memory to about 30 MB


def resampled_means(values: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
    """Compute column means of bootstrap resamples (rows drawn with replacement).

    Args:
        values: (n, K) float; NaN entries are left out of their column.
        seed: the draws depend only on it and on n.
    Returns:
        (resamples, K) float64, NaN where a resample drew no number.
    """
    n = len(values)
    if n == 0:
        return np.full((resamples, values.shape[1]), np.nan)
    known = np.isfinite(values)
    filled = np.where(known, values, 0.0)
    rng, parts = np.random.default_rng(seed), []
    size = max(1, DRAWS_AT_ONCE // n)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        draws = rng.integers(0, n, (rows, n))
        draws += np.arange(rows)[:, None] * n
        counts = np.bincount(draws.reshape(-1), minlength=rows * n).reshape(rows, n).astype(np.float64)
        parts.append(safe_divide(counts @ filled, counts @ known))
    return np.concatenate(parts)


def mean_intervals(
    values: np.ndarray, *, resamples: int = 1000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Compute the mean of each column with its 95 % bootstrap interval.

    Args:
        values: (n, K) float; NaN entries are left out of their column.
    Returns:
        mean, low, high (K,) float64 and n (K,) int, the count of numbers in each column. All NaN without
        numbers; no interval for a single number.
    """
    n = np.isfinite(values).sum(0)
    mean = safe_divide(np.nansum(values, axis=0), n)
    low, high = interval(resampled_means(values, resamples=resamples, seed=seed))
    return mean, np.where(n > 1, low, np.nan), np.where(n > 1, high, np.nan), n


def interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2.5th and 97.5th percentile of each column of (resamples, K), ignoring NaN; NaN if all are NaN."""
    ends = np.full((2, draws.shape[1]), np.nan)
    some = np.isfinite(draws).any(0)
    if some.any():
        ends[:, some] = np.nanpercentile(draws[:, some], [2.5, 97.5], axis=0)
    return ends[0], ends[1]
