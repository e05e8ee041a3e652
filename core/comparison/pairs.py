"""Every pair of encoders on the same images: the difference of accuracies by a paired bootstrap. No torch."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from core.common.dataframes import check_same_length
from core.common.statistics.chance import LEAST
from core.measures.metrics import resample

COLUMNS = ("first", "second", "difference", "low", "high", "n_apart", "few", "p")
DRAWS_A_PAIR = 20  # so that the smallest p, 1 / (draws + 1), is significant after Holm's first step


def encoder_pairs(
    correct: np.ndarray, names: Sequence[str], units: np.ndarray, *, resamples: int, seed: int
) -> pd.DataFrame:
    """Compare the accuracies of every two encoders.

    d = mean(correct_first - correct_second). Each draw takes as many units as there are, with replacement,
    with all their images, and is the same for all encoders: d* is the difference in a draw. With B draws,

        p = (1 + #{|d* - d| >= |d|}) / (B + 1):

    how often chance alone, the spread of d* around d, moves a difference as far as d lies from 0 (Hall and
    Wilson 1991, centred at the null hypothesis). p is 1 where they answer fewer than LEAST units differently.

    Args:
        correct: (k, n) bool. units: (n,) int from 0 without gaps.
        resamples: B, at least; DRAWS_A_PAIR for each pair where that is more.
    Returns:
        COLUMNS; low, high: 2.5 and 97.5 percentile of d*, NaN where few, that is where too few units differ.
        n_apart: images on which one alone is right.
    Raises:
        ShapeError: correct, names and units do not agree.
    """
    check_same_length("correct", len(correct), "names", len(names))
    check_same_length("images", correct.shape[1], "units", len(units))
    pairs = list(combinations(range(len(names)), 2))
    n_draws = max(resamples, DRAWS_A_PAIR * len(pairs))
    sizes = np.bincount(units).astype(np.float64)
    n_right = np.stack([np.bincount(units, weights=one) for one in correct], 1)  # (n_units, k), whole numbers
    n_units = len(sizes)
    n_drawn, n_right_drawn = np.empty(n_draws), np.empty((n_draws, len(names)))  # whole numbers, so exact
    for number in range(n_draws):
        counts = resample(n_units, seed, number)
        n_drawn[number], n_right_drawn[number] = counts @ sizes, counts @ n_right
    rows = []
    for first, second in pairs:
        apart = correct[first] != correct[second]
        totals = n_right.sum(0)
        ahead = totals[first] - totals[second]
        ahead_drawn = n_right_drawn[:, first] - n_right_drawn[:, second]
        few = len(np.unique(units[apart])) < LEAST
        low, high = (np.nan, np.nan) if few else np.percentile(ahead_drawn / n_drawn, [2.5, 97.5])
        p = 1.0 if few else two_sided_p(float(ahead), ahead_drawn, n_drawn, len(units))
        share_ahead, n_apart = ahead / len(units), int(apart.sum())
        rows.append([names[first], names[second], share_ahead, low, high, n_apart, few, p])
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"few": bool})


def two_sided_p(ahead: float, ahead_drawn: np.ndarray, n_drawn: np.ndarray, n: int) -> float:
    """(1 + #{|d* - d| >= |d|}) / (B + 1), d = ahead / n and d* = ahead_drawn / n_drawn, all whole numbers.

    Args:
        ahead: images that the first has right, less those that the second has. ahead_drawn, n_drawn: (B,).
    """
    moved = np.abs(ahead_drawn * n - ahead * n_drawn)
    return (1 + int((moved >= abs(ahead) * n_drawn).sum())) / (len(n_drawn) + 1)
