"""Domains found by clustering, and which rows are too uncertain to have one (Kalibhat, dissertation,
section 2.5).
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from core.errors import SettingsError
from core.research.domains_config import RULES

THRESHOLDS = (1.0, 0.5, 0.25, 0.1, 0.05)  # that "auto" tries
LEAST_SHARE, LEAST_ROWS = 0.2, 2  # what such a threshold must keep: of all rows, and in each cluster
STARTS = 10


@dataclass(frozen=True)
class Clusters:
    """k-means of rows.

    codes: (n,) int64, the nearest centroid of each row. centroids: (M, d) float64. n_empty: centroids that
    are nearest to no row, as happens when fewer than M rows differ.
    """

    codes: np.ndarray
    centroids: np.ndarray

    @property
    def n_empty(self) -> int:
        return len(self.centroids) - len(np.unique(self.codes))


def squared_distances(h: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """(n, M) float64 of (n, d) rows from (M, d) centroids of domains (research); exactly 0 if equal.

    (n, M) float64 of (n, d) rows from (M, d) centroids; exactly 0 where the two are equal.
    """
    rows = np.asarray(h, np.float64)
    return np.stack([np.square(rows - centroid).sum(1) for centroid in np.asarray(centroids)], axis=1)


def cluster(h: np.ndarray, n_clusters: int, *, seed: int, most_rows: int = 50_000) -> Clusters:
    """Cluster rows to domains (research) by k-means++ with ten starts, on `most_rows` seeded rows.

    Args:
        h: (n, d) float, L2-normalised rows.
    Raises:
        SettingsError: more clusters than rows.
    """
    if n_clusters > len(h):
        raise SettingsError(
            f"domains.n_domains = {n_clusters} is more than the {len(h)} images that are clustered."
        )
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    sampled = np.sort(np.random.default_rng(seed).permutation(len(h))[:most_rows])
    with threadpool_limits(1), warnings.catch_warnings():  # sums of threads would depend on their number
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than clusters: see n_empty
        starts: Any = STARTS  # scikit-learn's default is "auto", from which pyright takes it for a text
        model = KMeans(n_clusters, init="k-means++", n_init=starts, random_state=seed)
        model.fit(np.asarray(h, np.float64)[sampled])
    centroids = model.cluster_centers_
    return Clusters(squared_distances(h, centroids).argmin(1), centroids)


def separation(h: np.ndarray, centroids: np.ndarray, *, rule: str = "paper") -> np.ndarray:
    """How much closer a row is to its domain's centroid (research) than to another: (n,) float64 ratio.

    paper:   max_{m,n} ||h_i - c_m||^2 / ||h_i - c_n||^2 = farthest / nearest  (eq. 2.2)
    nearest: second nearest / nearest
    The two are equal for two centroids. At least 1; infinite on a centroid; NaN on two or more of them.

    Args:
        h: (n, d) float rows. centroids: (M, d), M >= 2.
    Raises:
        SettingsError: unknown rule.
    """
    if rule not in RULES:
        raise SettingsError(f"rule '{rule}': expected {', '.join(RULES)}")
    distances = np.sort(squared_distances(h, centroids), axis=1)  # (n, M), ascending
    other = distances[:, -1] if rule == "paper" else distances[:, 1]
    ratio = np.full(len(distances), np.inf)
    np.divide(other, distances[:, 0], out=ratio, where=distances[:, 0] > 0)
    ratio[distances[:, 1] == 0] = np.nan
    return ratio


def kept(ratio: np.ndarray, epsilon: float) -> np.ndarray:
    """(n,) bool: rows that are no outliers of their domain's cluster (research), ratio > 1 + epsilon.

    (n,) bool: the rows that are no outliers, ratio > 1 + epsilon (eq. 2.2); NaN is an outlier.
    """
    return ratio > 1 + epsilon


def automatic_threshold(ratio: np.ndarray, codes: np.ndarray, n_clusters: int) -> float:
    """The largest of THRESHOLDS that keeps a fifth of rows and two of each domain's cluster (research)."""
    for epsilon in THRESHOLDS:
        rows = kept(ratio, epsilon)
        sizes = np.bincount(codes[rows], minlength=n_clusters)
        if rows.mean() >= LEAST_SHARE and sizes.min() >= LEAST_ROWS:
            return epsilon
    return 0.0


def epsilon_at(first: float, number: int, last: int) -> float:
    """Epsilon of clustering domains (research) for the `number`-th time: halved, and 0 at the last."""
    return 0.0 if number >= last else first / 2**number


def clustering_times(warmup: float, every: float) -> list[float]:
    """Shares of the training at which domains are clustered (research): after the warm-up, then evenly."""
    times = [warmup + number * every for number in range(int(1 / every) + 1)]
    return [round(time, 9) for time in times if time < 1 - 1e-9]


def renaming(old: np.ndarray, new: np.ndarray, n_clusters: int | None = None) -> np.ndarray:
    """(M,) int64: the old name of each new cluster of domains (research), so that they overlap most.

    The renaming is the permutation with the largest total overlap (Hungarian method).

    Args:
        old, new: (n,) int, codes of the same rows from 0; -1 in `old`: no cluster then.
    """
    n = n_clusters or int(max(old.max(initial=0), new.max(initial=0))) + 1
    overlap = np.zeros((n, n), np.int64)  # new, old
    there = old >= 0
    np.add.at(overlap, (new[there], old[there]), 1)
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    names = np.empty(n, np.int64)
    names[rows] = columns
    return names


def purity(codes: np.ndarray, truth: np.ndarray) -> float:
    """Share of rows whose true domain (research) is the most common of their cluster; NaN without rows."""
    if not len(codes):
        return float("nan")
    counts = np.zeros((codes.max() + 1, truth.max() + 1), np.int64)
    np.add.at(counts, (codes, truth), 1)
    return float(counts.max(1).sum() / len(codes))
