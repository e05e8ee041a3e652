"""Area under the generalised risk-coverage curve (AUGRC), and its interval; numpy only."""

import numpy as np

from core.common.statistics.intervals import logit_interval
from core.common.statistics.placements import Spread, placed


def projections(score: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """(N,) the projections g of `interval_of_augrc` on single images, for the design effect of groups."""
    x, y = placed(score, correct)
    m, n = len(x), len(y)
    values = np.empty(m + n)
    values[correct] = n / (m + n) * (1 - x)
    values[~correct] = m / (m + n) * (1 - y) + n / (m + n)
    return values


def interval_of_augrc(x: Spread, y: Spread, *, effect: float = 1.0) -> tuple[float, float, float]:
    """AUGRC and its 95 % interval from the placements of correct and misclassified images.

    AUGRC = 1/N^2 sum_ij e_i (1[s_j < s_i] + 1[s_j = s_i] / 2), e_i = 1 for a misclassified image: a mean over
    pairs (Traub et al. 2024, arXiv 2407.01032), so its variance is that of the projections g_i on single
    images, as DeLong's is of the AUROC: var AUGRC = var g / N,  g_i = (n/N) (1 - X_i) for a correct image,
    (m/N) (1 - Y_i) + n/N for another. Unlike DeLong's, it holds that the accuracy varies too. The
    interval is that of 2 AUGRC, which lies in [0, 1], on the scale of the logit (`logit_interval`).

    Args:
        effect: the design effect of g, where images come in groups (`design_effect.of_mean`).
        x: of m shares of the misclassified images below each correct one. y: of n shares of the correct
            images above each misclassified one (`core.common.statistics.placements`).
    Returns:
        AUGRC, low, high, within [0, 1/2]; NaN unless both outcomes occur, no interval where one occurs once.
    """
    m, n = x.n, y.n
    if not m or not n:
        return np.nan, np.nan, np.nan
    right, wrong = m / (m + n), n / (m + n)
    of_right, of_wrong = wrong * (1 - x.mean), right * (1 - y.mean) + wrong  # means of g
    mean = right * of_right + wrong * of_wrong
    if min(m, n) < 2:
        return mean / 2, np.nan, np.nan
    within_right = (m - 1) * wrong**2 * x.variance
    within_wrong = (n - 1) * right**2 * y.variance
    within = within_right + within_wrong
    between = m * (of_right - mean) ** 2 + n * (of_wrong - mean) ** 2
    error = 2 * np.sqrt(effect * (within + between) / (m + n - 1) / (m + n))
    low, high = logit_interval(mean, error, m + n)
    return mean / 2, float(low) / 2, float(high) / 2
