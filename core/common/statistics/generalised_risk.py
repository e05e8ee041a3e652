"""Area under the generalised risk-coverage curve (AUGRC), and its interval; numpy only."""

from __future__ import annotations

import numpy as np

from core.common.statistics.intervals import Z

HIGHEST = 0.5  # of AUGRC: every image is misclassified


def augrc_of(auroc: float, accuracy: float) -> float:
    """Area under the generalised risk-coverage curve of a score (Traub et al. 2024, arXiv 2407.01032).

    AUGRC = (1 - AUROC) a (1 - a) + (1 - a)^2 / 2, a the accuracy; exact, also with ties.

    Returns:
        float in [0, 1/2], lower is better; NaN where the AUROC is.

    >>> augrc_of(0.5, 0.75), augrc_of(float("nan"), 1.0)
    (0.125, nan)
    """
    return (1 - auroc) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2


def interval_of_augrc(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """AUGRC and its 95 % interval from the placements of correct and misclassified images.

    AUGRC = 1/N^2 sum_ij e_i (1[s_j < s_i] + 1[s_j = s_i] / 2), e_i = 1 for a misclassified image: a mean over
    pairs, so its variance is that of the projections g_i on single images, as DeLong's is of the AUROC:
    var AUGRC = var g / N,  g_i = (n/N) (1 - X_i) for a correct image, (m/N) (1 - Y_i) + n/N for another.
    Unlike DeLong's, it holds that the accuracy varies too.

    Args:
        x: (m,) share of the misclassified images below each correct one. y: (n,) share of the correct images
            above each misclassified one (`core.common.statistics.intervals.placements`).
    Returns:
        AUGRC, low, high, within [0, 1/2]; NaN unless both outcomes occur, no interval where one occurs once.
    """
    m, n = len(x), len(y)
    if not m or not n:
        return np.nan, np.nan, np.nan
    total = m + n
    parts = np.concatenate([(1 - x) * (n / total), (1 - y) * (m / total) + n / total])
    area = float(parts.mean()) / 2
    if min(m, n) < 2:
        return area, np.nan, np.nan
    half = Z * float(np.sqrt(parts.var(ddof=1) / total))
    return area, max(0.0, area - half), min(HIGHEST, area + half)
