"""Every pair of encoders on the same images, and many comparisons at once (docs/method.md 10.1). No torch."""

from collections.abc import Sequence
from itertools import combinations
from string import ascii_lowercase

import numpy as np
import pandas as pd

from core.common.dataframes import check_same_length
from core.errors import ShapeError
from core.measures.chance import LEAST
from core.measures.metrics import resample

# Many comparisons at once: adjusted p-values, and letters of groups (docs/method.md 10.1). numpy only.


LEVEL = 0.05  # of all comparisons together


def holm(p: np.ndarray) -> np.ndarray:
    """Adjust the p-values of pairs of encoders for their number: one error at most in 5 % of cases.

    Holm (1979), of the m defined ones sorted, p_(1) <= … <= p_(m):

        adjusted_(i) = min(1, max_{j <= i} (m - j + 1) p_(j)).

    Args:
        p: (m,) float in [0, 1]; NaN is no test: it stays NaN, and is not counted.
    Returns:
        (m,) float64 in the order given.
    Raises:
        ShapeError: p is not one row of numbers.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p, np.float64)
    if p.ndim != 1:
        raise ShapeError(f"p-values: expected one row, got an array of shape {p.shape}")
    tests = np.flatnonzero(np.isfinite(p))
    ascending = tests[np.argsort(p[tests], kind="stable")]
    steps = p[ascending] * np.arange(len(tests), 0, -1)
    adjusted = np.full(len(p), np.nan)
    adjusted[ascending] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(tests) else steps
    return adjusted


def letters(apart: np.ndarray) -> list[str]:
    """Give letters to encoders: two share one exactly where they cannot be told apart (Piepho 2004).

    Insert and absorb: begin with one set of all; for each pair that is told apart, replace every set that
    holds both by the two without one of them, and drop a set that lies within another. The sets that remain
    are named in the order of their first members.

    Args:
        apart: (k, k) bool, symmetric, in the order in which letters are given.
    Returns:
        k strings, such as "a", "ab", "b".
    Raises:
        ShapeError: apart is not square.
    """
    apart = np.asarray(apart, bool)
    if apart.ndim != 2 or apart.shape[0] != apart.shape[1]:
        raise ShapeError(f"apart: expected a square matrix, got an array of shape {apart.shape}")
    sets = [frozenset(range(len(apart)))]
    for first, second in zip(*np.nonzero(np.triu(apart, 1)), strict=True):
        parts: list[frozenset[int]] = []
        for one in sets:
            has_both = first in one and second in one
            parts += [one - {first}, one - {second}] if has_both else [one]
        sets = _absorbed(parts)
    in_order = sorted(sets, key=sorted)
    named = [(_letter(at), members) for at, members in enumerate(in_order)]
    return ["".join(letter for letter, members in named if row in members) for row in range(len(apart))]


def _absorbed(sets: list[frozenset[int]]) -> list[frozenset[int]]:
    """Drop every set that lies within another one."""
    distinct = list(dict.fromkeys(sets))
    return [one for one in distinct if not any(one < other for other in distinct)]


def _letter(at: int) -> str:
    """a … z, then a2 … z2, a3 …"""
    turn, place = divmod(at, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(turn + 1) if turn else "")


def groups_by_leader(apart: np.ndarray) -> np.ndarray:
    """Number the groups of a leaderboard's encoders that are not told apart, sorted from the best.

    The first and all that are not told apart from it are 1; of the others the first and all that are not
    told apart from it are 2, and so on.

    Args:
        apart: (k, k) bool, symmetric.
    Returns:
        (k,) int64 from 1.

    >>> groups_by_leader(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], bool)).tolist()
    [1, 1, 2]
    """
    groups = np.zeros(len(apart), np.int64)
    number = 0
    while (groups == 0).any():
        number += 1
        leader = int(np.argmin(groups))
        groups[(groups == 0) & ~np.asarray(apart, bool)[leader]] = number
    return groups


# Every pair of encoders on the same images: the difference of accuracies by a paired bootstrap. No torch.


COLUMNS = ("first", "second", "difference", "low", "high", "n_apart", "few", "p")
DRAWS_A_PAIR = 20  # so that the smallest p, 1 / (draws + 1), is significant after Holm's first step


def encoder_pairs(
    correct: np.ndarray, names: Sequence[str], units: np.ndarray, *, resamples: int, seed: int
) -> pd.DataFrame:
    """Compare the accuracies of every two encoders of a leaderboard.

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
        p = 1.0 if few else _two_sided_p(float(ahead), ahead_drawn, n_drawn, len(units))
        share_ahead, n_apart = ahead / len(units), int(apart.sum())
        rows.append([names[first], names[second], share_ahead, low, high, n_apart, few, p])
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"few": bool})


def _two_sided_p(ahead: float, ahead_drawn: np.ndarray, n_drawn: np.ndarray, n: int) -> float:
    """Return the p of a difference of two encoders' accuracies from resamples.

    (1 + #{|d* - d| >= |d|}) / (B + 1), d = ahead / n and d* = ahead_drawn / n_drawn, all whole numbers.

    Args:
        ahead: images that the first has right, less those that the second has. ahead_drawn, n_drawn: (B,).
    """
    moved = np.abs(ahead_drawn * n - ahead * n_drawn)
    return (1 + int((moved >= abs(ahead) * n_drawn).sum())) / (len(n_drawn) + 1)
