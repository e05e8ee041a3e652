"""Confidence intervals and tests for slices, vectorised over thousands of slices; numpy only.

All intervals are at 95 %. Undefined is NaN: the share of nothing, the spread of one value.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from core.common.arrays import safe_divide
from core.common.statistics.placements import Spread, spreads

Z = 1.959963984540054  # 97.5th percentile of the normal distribution
DRAWS_AT_ONCE = 1 << 20  # bounds the memory of a bootstrap to some 30 MB


def wilson(k: ArrayLike, n: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the score interval of a share k / n (Wilson 1927), in [0, 1].

    (p + z^2 / 2n  -+  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    >>> [round(float(end), 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    n = np.asarray(n, np.float64)
    p = safe_divide(k, n)
    share = safe_divide(Z**2, n)
    centre = (p + share / 2) / (1 + share)
    half = np.sqrt(safe_divide(p * (1 - p), n) * Z**2 + share**2 / 4) / (1 + share)
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def clustered_wilson(right: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Wilson's interval of a mean in [0, 1] whose values come in clusters, such as questions about one image.

    n is replaced by the number of independent values that would vary as much as the mean p over the C
    clusters does, n' = p (1 - p) / var p with var p = C / (C - 1) sum_c (sum of right - p in c)^2 / n^2, at
    most n. Where var p or p (1 - p) is 0, by C. With one value a cluster it is Wilson's interval.

    Args:
        right: (n,) in [0, 1], no NaN. clusters: (n,) of any kind that can be compared.
    """
    n = len(right)
    codes = np.unique(clusters, return_inverse=True)[1]
    n_clusters = int(codes.max()) + 1 if n else 0
    effective = float(n)
    if n_clusters < n:
        p = float(right.mean())
        sums = np.bincount(codes, right - p)
        variance = safe_divide(n_clusters * np.square(sums).sum(), (n_clusters - 1) * n**2)
        known = p * (1 - p) > 0 and variance > 0
        effective = min(n, float(p * (1 - p) / variance)) if known else float(n_clusters)
    low, high = wilson(effective * right.mean() if n else 0, effective)
    return float(low), float(high)


def newcombe(k_a: ArrayLike, n_a: ArrayLike, k_b: ArrayLike, n_b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the interval of p_a - p_b for independent samples (Newcombe 1998, method 10), in [-1, 1]."""
    p_a, p_b = safe_divide(k_a, n_a), safe_divide(k_b, n_b)
    (low_a, high_a), (low_b, high_b) = wilson(k_a, n_a), wilson(k_b, n_b)
    below = np.sqrt((p_a - low_a) ** 2 + (high_b - p_b) ** 2)
    above = np.sqrt((high_a - p_a) ** 2 + (p_b - low_b) ** 2)
    return p_a - p_b - below, p_a - p_b + above


def mean_interval(values: np.ndarray) -> tuple[float, float, float, int]:
    """Mean of the finite values, its interval (normal, mean -+ z s / sqrt(n)) and their count."""
    values = values[np.isfinite(values)].astype(np.float64)
    n = len(values)
    if not n:
        return np.nan, np.nan, np.nan, 0
    mean = float(values.mean())
    half = Z * float(values.std(ddof=1)) / np.sqrt(n) if n > 1 else np.nan
    return mean, mean - half, mean + half, n


def resampled_means(values: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
    """Column means under resampling of the rows with replacement (bootstrap).

    Args:
        values: (n, K) float; NaN entries are left out of their column.
        seed: the draws depend on it, on n and on nothing else.
    Returns:
        (resamples, K) float64, NaN where a resample met no number.
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
    """Mean of each column with its 95 % bootstrap interval.

    Args:
        values: (n, K) float; NaN entries are left out of their column.
    Returns:
        mean, low, high (K,) float64 and n (K,) int, the numbers in each column. All NaN without numbers; no
        interval from a single one.
    """
    n = np.isfinite(values).sum(0)
    mean = safe_divide(np.nansum(values, axis=0), n)
    low, high = percentile_interval(resampled_means(values, resamples=resamples, seed=seed))
    return mean, np.where(n > 1, low, np.nan), np.where(n > 1, high, np.nan), n


def leaves_out_0(low: ArrayLike, high: ArrayLike) -> np.ndarray:
    """Return whether an interval leaves out 0, so that what it belongs to is significant; False for NaN.

    >>> leaves_out_0([0.1, -0.2, 0.0, np.nan], [0.2, -0.1, 0.3, 1.0]).tolist()
    [True, True, False, False]
    """
    return (np.asarray(low) > 0) | (np.asarray(high) < 0)


def percentile_interval(draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """2.5 and 97.5 percentile of each column of (resamples, K), NaN draws left out; NaN where all are."""
    ends = np.full((2, draws.shape[1]), np.nan)
    some = np.isfinite(draws).any(0)
    if some.any():
        ends[:, some] = np.nanpercentile(draws[:, some], [2.5, 97.5], axis=0)
    return ends[0], ends[1]


def auroc_interval(score: np.ndarray, positive: np.ndarray) -> tuple[float, float, float, int]:
    """AUROC of a score for a binary outcome, its interval (DeLong 1988) and the number of images.

    Images without a score are left out; NaN unless both outcomes occur.
    """
    known = np.isfinite(score)
    found = spreads(score[known], np.asarray(positive, bool)[known])
    return *interval_of_auroc(*found), int(known.sum())


def interval_of_auroc(x: Spread, y: Spread) -> tuple[float, float, float]:
    """AUROC and its interval (DeLong 1988) from placements, within [0, 1]."""
    area, variance = area_and_variance(x, y)
    half = Z * float(np.sqrt(variance))
    return (area, np.nan, np.nan) if np.isnan(half) else (area, max(0.0, area - half), min(1.0, area + half))


def delong(score: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """AUROC of a score without NaN, and its variance (DeLong 1988); see `area_and_variance`."""
    return area_and_variance(*spreads(score, positive))


def area_and_variance(x: Spread, y: Spread) -> tuple[float, float]:
    """A = mean X = mean Y, var A = var X / m + var Y / n (DeLong 1988), of placements of m and n images.

    NaN unless both outcomes occur; the variance also where one occurs once.
    """
    if not x.n or not y.n:
        return np.nan, np.nan
    return x.mean, x.variance / x.n + y.variance / y.n


def at_least(k: ArrayLike, n: ArrayLike, marked: ArrayLike, total: ArrayLike) -> np.ndarray:
    """P(X >= k) for n draws from `total`, of which `marked` are marked (Fisher's exact test, one-sided).

    float64, exact to about nine digits. The arguments broadcast; 0 <= n, marked <= total.
    """
    parts = np.broadcast_arrays(*(np.asarray(part, np.int64) for part in (k, n, marked, total)))
    shape = parts[0].shape
    k, n, marked, total = (part.ravel() for part in parts)
    lowest, highest = np.maximum(0, n + marked - total), np.minimum(n, marked)
    mode = ((n + 1) * (marked + 1)) // (total + 2)
    found = np.where(k <= lowest, 1.0, 0.0)
    up = np.flatnonzero((k > lowest) & (k <= highest) & (k > mode))
    down = np.flatnonzero((k > lowest) & (k <= highest) & (k <= mode))
    if len(k):
        logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(total.max()) + 1)))])  # log i!
        found[up] = _summed(logs, k[up], n[up], marked[up], total[up], _rise, 1)
        found[down] = 1.0 - _summed(logs, k[down] - 1, n[down], marked[down], total[down], _fall, -1)
    return np.clip(found, 0.0, 1.0).reshape(shape)


def two_sided(k: ArrayLike, n: ArrayLike, marked: ArrayLike, total: ArrayLike) -> np.ndarray:
    """Twice the smaller tail of Fisher's exact test, at most 1."""
    more = at_least(k, n, marked, total)
    fewer = at_least(
        np.subtract(n, k), n, np.subtract(total, marked), total
    )  # as many unmarked ones, or more
    return np.minimum(1.0, 2.0 * np.minimum(more, fewer))


def welch(
    mean_a: ArrayLike, var_a: ArrayLike, n_a: int, mean_b: ArrayLike, var_b: ArrayLike, n_b: int
) -> np.ndarray:
    """p of Welch's test (1947, two-sided) that two means are equal, from means and variances (ddof 1).

    t = (mean_a - mean_b) / sqrt(u + v), u = var_a / n_a, v = var_b / n_b, with
    (u + v)^2 / (u^2 / (n_a - 1) + v^2 / (n_b - 1)) degrees of freedom. NaN where a side has fewer than two
    values, and where both variances are 0.
    """
    from scipy.special import stdtr

    u, v = safe_divide(var_a, n_a), safe_divide(var_b, n_b)
    apart = np.asarray(mean_a, np.float64) - np.asarray(mean_b, np.float64)
    freedom = safe_divide((u + v) ** 2, safe_divide(u**2, n_a - 1) + safe_divide(v**2, n_b - 1))
    return 2.0 * stdtr(freedom, -np.abs(safe_divide(apart, np.sqrt(u + v))))


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q: the smallest false discovery rate at which a test is significant (Benjamini & Hochberg 1995).

    With p sorted, q_(i) = min over j >= i of p_(j) m / j. NaN stays NaN and does not count as a test.

    >>> benjamini_hochberg(np.array([0.04, 0.01, 0.02])).round(3).tolist()
    [0.04, 0.03, 0.03]
    """
    p = np.asarray(p, np.float64)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(-p[known], kind="stable")]
    m = len(order)
    found = np.full(p.shape, np.nan)
    found[order] = np.minimum.accumulate(p[order] * m / np.arange(m, 0, -1)) if m else 0.0
    return np.where(np.isfinite(found), np.minimum(found, 1.0), np.nan)


TermRatio = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _rise(x: np.ndarray, n: np.ndarray, marked: np.ndarray, total: np.ndarray) -> np.ndarray:
    """P(x + 1) / P(x)."""
    return (marked - x) * (n - x) / ((x + 1.0) * (total - marked - n + x + 1.0))


def _fall(x: np.ndarray, n: np.ndarray, marked: np.ndarray, total: np.ndarray) -> np.ndarray:
    """P(x - 1) / P(x)."""
    return x * (total - marked - n + x) / ((marked - x + 1.0) * (n - x + 1.0))


def _summed(
    logs: np.ndarray,
    k: np.ndarray,
    n: np.ndarray,
    marked: np.ndarray,
    total: np.ndarray,
    step: TermRatio,
    direction: int,
) -> np.ndarray:
    """P(k) + P(k + direction) + … away from the mode, where the terms decrease, until they are negligible."""

    def choose(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return logs[a] - logs[b] - logs[a - b]

    start = choose(marked, k) + choose(total - marked, n - k) - choose(total, n)
    whole = np.ones(len(k))
    live, term, x = np.arange(len(k)), np.ones(len(k)), k.astype(np.float64)
    sizes = n.astype(np.float64), marked.astype(np.float64), total.astype(np.float64)
    while len(live):
        term = term * step(x[live], *(size[live] for size in sizes))
        x[live] += direction
        whole[live] += term
        going = term > 1e-15 * whole[live]
        live, term = live[going], term[going]
    return np.exp(start) * whole
