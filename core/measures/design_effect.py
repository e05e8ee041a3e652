"""Design effects: by how much the variance of a statistic grows since images come in groups; numpy only.

Several images of one patient or photograph say less than as many independent ones. The design effect d is the
variance over groups divided by the variance over images (Kish 1965); n images are worth n / d. Intervals
take it as Rao and Scott (1992) do, with the t quantiles of Korn and Graubard (1998) for few groups:

    d = max(1, var_groups / var_images * (t_{G-1} / t_{n-1})^2), at most n, t the 97.5th percentiles,

of n images in G groups. Where the images do not vary, groups are taken to agree entirely: d = sum n_g^2 / n,
with n_g images of group g.
"""

import numpy as np

from core.common.dataframes import check_same_length
from core.measures.placements import placed

FLAT = 1e-12  # a variance below it is rounding


def of_mean(values: np.ndarray, groups: np.ndarray | None) -> float:
    """The design effect of a mean over images that come in groups: how much wider its interval is.

    var_groups = G / (G - 1) sum_g (sum of x_i - mean over g)^2 / n^2,  var_images = s^2 / n.

    Args:
        values: (n,) float; NaN is left out. groups: (n,) any codes; None: each image is for itself.
    Returns:
        float64, at least 1; 1 of fewer than two images, n of a single group.
    """
    if groups is None:
        return 1.0
    check_same_length("values", len(values), "groups", len(groups))
    finite = np.isfinite(values)
    deviations, codes = values[finite], _codes(groups[finite])
    n, n_groups = len(codes), int(codes.max(initial=-1)) + 1
    if n < 2 or n_groups == n:
        return 1.0
    if n_groups == 1:
        return float(n)
    deviations = deviations - deviations.mean()
    of_images = np.square(deviations).sum() / (n * (n - 1))
    if of_images <= FLAT:
        return _of_copies(codes)
    totals = np.bincount(codes, weights=deviations)
    of_groups = n_groups / (n_groups - 1) * np.square(totals).sum() / n**2
    return _bounded(of_groups / of_images, n_groups, n)


def of_area(score: np.ndarray, positive: np.ndarray, groups: np.ndarray | None) -> float:
    """The design effect of an AUROC: `of_placements` of a score.

    Args:
        score: (n,) float; NaN is left out. positive: (n,) bool. groups: (n,) any codes; None: no groups.
    """
    if groups is None:
        return 1.0
    finite = np.isfinite(score)
    positive = np.asarray(positive, bool)[finite]
    return of_placements(*placed(score[finite], positive), positive, groups[finite])


def of_placements(x: np.ndarray, y: np.ndarray, positive: np.ndarray, groups: np.ndarray | None) -> float:
    """The design effect of an AUROC, or of a difference of two, from its placements (Obuchowski 1997).

    With X_i of m positives and Y_j of n others, A their mean, and a_g, b_g the sums of X - A and Y - A over
    group g:

        var_groups = I / (I - 1) sum_g a_g^2 / m^2 + J / (J - 1) sum_g b_g^2 / n^2
                     + 2 G / (G - 1) sum_g a_g b_g / (m n),

    for I groups with positives, J with others, G in all; var_images is DeLong's.

    Args:
        x: (m,), y: (n,). positive: (m + n,) bool, whose image is placed where. groups: (m + n,).
    Returns:
        float64, at least 1; 1 unless both outcomes occur in two groups each.
    """
    if groups is None:
        return 1.0
    codes, m, n = _codes(groups), len(x), len(y)
    n_groups = int(codes.max(initial=-1)) + 1
    sides = codes[positive], codes[~positive]
    with_each = [len(np.unique(side)) for side in sides]
    if not m or not n or n_groups == m + n:
        return 1.0
    of_images = sum(one.var(ddof=1) / len(one) for one in (x, y) if len(one) > 1)
    if of_images <= FLAT or min(with_each) < 2:
        return max(map(_of_copies, sides))
    centred = (placements - placements.mean() for placements in (x, y))
    a, b = (
        np.bincount(side, weights=weights, minlength=n_groups)
        for weights, side in zip(centred, sides, strict=True)
    )
    terms = []
    for count, part, size in zip(with_each, (a, b), (m, n), strict=True):
        terms.append(count / (count - 1) * np.square(part).sum() / size**2)
    together = 2 * n_groups / (n_groups - 1) * (a @ b) / (m * n)
    return _bounded(float((sum(terms) + together) / of_images), n_groups, m + n)


def of_copies(groups: np.ndarray | None) -> float:
    """The design effect where grouped images agree entirely, sum n_g^2 / n: the most but by chance."""
    return 1.0 if groups is None or not len(groups) else _of_copies(_codes(groups))


def effective_counts(k: np.ndarray, n: int, effect: float) -> tuple[np.ndarray, int]:
    """k of n images as whole numbers of independent ones, k / d of n / d, for an exact test."""
    if effect == 1.0:
        return k, n
    return np.rint(k / effect).astype(np.int64), round(n / effect)


def _of_copies(codes: np.ndarray) -> float:
    sizes = np.bincount(codes).astype(np.float64)
    return float(np.square(sizes).sum() / sizes.sum())


def _codes(groups: np.ndarray) -> np.ndarray:
    return np.unique(groups, return_inverse=True)[1]


def _bounded(ratio: float, n_groups: int, n: int) -> float:
    from scipy.special import stdtrit

    wider = stdtrit(n_groups - 1, 0.975) / stdtrit(n - 1, 0.975)
    return float(np.clip(ratio * wider**2, 1.0, n))


def groups_among(groups: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """The groups of some images, for an interval: by rows or a mask; None where each is for itself."""
    return None if groups is None else groups[rows]
