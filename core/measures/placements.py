"""Placements: the share of the images of the other outcome that each image's score lies above or below.

The AUROC is their mean; the interval of AUGRC and that of a difference of AUROCs follow from their variances
(DeLong 1988). They are found by sorting the scores of some images, or, for many, by a walk along the order of
all, sorted once.
"""

from dataclasses import dataclass

import numpy as np

from core.measures.score_kernels import walk_in_order

LEFT_OUT, OTHER, POSITIVE = -1, 0, 1  # outcomes of an image


@dataclass(frozen=True)
class Spread:
    """Number, mean, and variance (n - 1 in the denominator) of the placements of one outcome.

    mean is NaN of none, variance of fewer than two.
    """

    n: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: np.ndarray) -> "Spread":
        """Measure the spread of (n,) float64 values."""
        n = len(values)
        mean = float(values.mean()) if n else np.nan
        variance = float(values.var(ddof=1)) if n > 1 else np.nan
        return cls(n, mean, variance)

    @classmethod
    def from_sums(cls, n: int, total: float, squares: float) -> "Spread":
        """Measure the spread of n values from their sum and the sum of their squares."""
        mean = total / n if n else np.nan
        return cls(n, mean, max(0.0, squares - total * mean) / (n - 1) if n > 1 else np.nan)


def ranking(score: np.ndarray) -> np.ndarray:
    """(n,) int32: the images by score, lowest first, those with NaN or infinite scores left out.

    (n,) int32: the rows of (N,) scores, lowest first, NaN and infinite ones left out.
    """
    finite = np.flatnonzero(np.isfinite(score))
    return finite[np.argsort(score[finite])].astype(np.int32)


def ties(score: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(n,) bool, for metrics of a score: whether each image of `order` has the score of the one before it."""
    ordered = score[order]
    return np.concatenate([[False], ordered[1:] == ordered[:-1]])[: len(order)]


def ranked_spreads(order: np.ndarray, tied: np.ndarray, outcome: np.ndarray) -> tuple[Spread, Spread]:
    """Compute `spreads` of the images that are not LEFT_OUT, from the ranking of all images.

    Args:
        order: (n,) int32 and tied: (n,) bool, see `ranking` and `ties`.
        outcome: (N,) int8: POSITIVE, OTHER or LEFT_OUT.
    """
    m, n, x, xx, y, yy = walk_in_order(order, tied, outcome)
    if not m or not n:
        return Spread(m, np.nan, np.nan), Spread(n, np.nan, np.nan)
    return _spreads_of_sums(m, n, x, xx, y, yy)


def placed(score: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X and Y of an AUROC's `placements` by image, so that those of two scores can be subtracted."""
    up, down = score[positive].astype(np.float64), score[~positive].astype(np.float64)
    if not len(up) or not len(down):
        return np.zeros(len(up)), np.zeros(len(down))
    return _share_under(up, np.sort(down)), 1 - _share_under(down, np.sort(up))


def _share_under(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of the sorted others below each value; ties count half."""
    return (np.searchsorted(others, values, "left") + np.searchsorted(others, values, "right")) / (
        2 * len(others)
    )


def spreads(score: np.ndarray, positive: np.ndarray) -> tuple[Spread, Spread]:
    """Spreads of X, the share of the others below each positive, and of Y, the share of the positives above
    each other; ties count half. Undefined unless both outcomes occur.

    Args:
        score: (N,) without NaN. positive: (N,) bool.
    """
    score = score.astype(np.float64)
    up, down = np.sort(score[positive]), np.sort(score[~positive])
    m, n = len(up), len(down)
    if not m or not n:
        return Spread(m, np.nan, np.nan), Spread(n, np.nan, np.nan)
    few, many = (up, down) if m <= n else (down, up)
    below, above = _halves_below(few, many)  # only the few are looked up
    if m > n:
        below, above = above, below
    x, y = below - n, m - above
    sums = (float(part) for one in (x, y) for part in (one.sum(), np.square(one).sum()))
    return _spreads_of_sums(m, n, *sums)


def _spreads_of_sums(m: int, n: int, x: float, xx: float, y: float, yy: float) -> tuple[Spread, Spread]:
    """The spreads of the sums of `walk_in_order`: both ways to them end at the same values."""
    up = Spread.from_sums(m, x / (2.0 * n), xx / (2.0 * n) ** 2)
    down = Spread.from_sums(n, y / (2.0 * m), yy / (2.0 * m) ** 2)
    return Spread(m, 0.5 + up.mean, up.variance), Spread(n, 0.5 + down.mean, down.variance)


def _halves_below(few: np.ndarray, many: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Twice the number of `many` below each of `few`, and of `few` below each of `many`; ties count half.

    Both are sorted. What lies below the many follows by counting.
    """
    first, last = np.searchsorted(many, few, "left"), np.searchsorted(many, few, "right")
    counts = (np.bincount(at, minlength=len(many)) for at in (last, first))
    below, up_to = (count[: len(many)].cumsum() for count in counts)
    return first + last, below + up_to
