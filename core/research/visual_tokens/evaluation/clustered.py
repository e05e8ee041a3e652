"""The interval of a share whose values come in clusters."""

import numpy as np

from core.common.dataframes import safe_divide
from core.common.statistics.intervals import wilson


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
        varies = p * (1 - p) > 0 and variance > 0
        effective = min(n, float(p * (1 - p) / variance)) if varies else float(n_clusters)
    low, high = wilson(effective * right.mean() if n else 0, effective)
    return float(low), float(high)
