"""Confidence intervals and tests for slices, vectorised over thousands of slices; numpy only."""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from core.common.dataframes import safe_divide
from core.measures import design_effect
from core.measures.placements import Spread, placed, spreads

# Confidence intervals and tests for slices, vectorised over thousands of slices; numpy only.
#
# All intervals are at 95 %. Undefined is NaN: the share of nothing, the spread of one value.


Z = 1.959963984540054  # 97.5th percentile of the normal distribution
UNBOUNDED = -np.inf, np.inf
HALVINGS = 60  # of [0, 1]: below the precision of a float64
DRAWS_AT_ONCE = 1 << 20  # bounds the memory of a bootstrap to some 30 MB


def wilson(k: ArrayLike, n: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of Wilson's score interval of a share k / n (1927), in [0, 1].

    (p + z^2 / 2n  -+  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    >>> [round(float(end), 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    n = np.asarray(n, np.float64)
    p = safe_divide(k, n)
    share = safe_divide(Z**2, n)
    centre = (p + share / 2) / (1 + share)
    variance = safe_divide(p * (1 - p), n)
    half = np.sqrt(variance * Z**2 + share**2 / 4) / (1 + share)
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)


def share_bounds(outcomes: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float]:
    """Bounds of Wilson's interval of a share, of the effective number of images where they come in groups.

    wilson(k / d, n / d), d the design effect of the outcomes (Rao and Scott 1992; `design_effect.of_mean`).

    Args:
        outcomes: (n,) 1 or 0. groups: (n,) any codes; None: each image is for itself.
    """
    effect = design_effect.of_mean(np.asarray(outcomes, np.float64), groups)
    low, high = wilson(np.sum(outcomes) / effect, len(outcomes) / effect)
    return float(low), float(high)


def newcombe(k_a: ArrayLike, n_a: ArrayLike, k_b: ArrayLike, n_b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the interval of p_a - p_b for independent samples (Newcombe 1998, method 10), in [-1, 1]."""
    p_a, p_b = safe_divide(k_a, n_a), safe_divide(k_b, n_b)
    (low_a, high_a), (low_b, high_b) = wilson(k_a, n_a), wilson(k_b, n_b)
    below = np.sqrt((p_a - low_a) ** 2 + (high_b - p_b) ** 2)
    above = np.sqrt((high_a - p_a) ** 2 + (p_b - low_b) ** 2)
    return p_a - p_b - below, p_a - p_b + above


def mean_interval(
    values: np.ndarray, *, within: tuple[float, float] = UNBOUNDED, groups: np.ndarray | None = None
) -> tuple[float, float, float, int]:
    """Mean of the finite values, its interval and their count: `mean_intervals` of one column."""
    columns = mean_intervals(values[:, None], within=within, groups=groups)
    mean, low, high, n = (part[0] for part in columns)
    return float(mean), float(low), float(high), int(n)


def mean_intervals(
    values: np.ndarray, *, within: tuple[float, float] = UNBOUNDED, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean of each column and its interval, mean -+ t s / sqrt(n) (Student 1908), sqrt(d) as wide where
    images come in groups, d the design effect of the column.

    Args:
        values: (n, K) float; NaN entries are left out of their column.
        within: the smallest and the largest value that there can be; the interval ends there.
        groups: (n,) any codes; None: each image is for itself.
    Returns:
        mean, low, high (K,) float64 and n (K,) int, the numbers in each column. All NaN without numbers; no
        interval from a single one.
    """
    values = np.asarray(values, np.float64, order="F")  # so a column's sum does not depend on the others
    finite = np.isfinite(values)
    n = finite.sum(0)
    mean = safe_divide(np.where(finite, values, 0.0).sum(0), n)
    half = _student_half(np.square(np.where(finite, values - mean, 0.0)).sum(0), n)
    if groups is not None:
        half = half * np.sqrt([design_effect.of_mean(column, groups) for column in values.T])
    return mean, np.clip(mean - half, *within), np.clip(mean + half, *within), n


def _student_half(squares: ArrayLike, n: ArrayLike) -> np.ndarray:
    """Half the width of the interval of a mean, t s / sqrt(n) with s^2 = squares / (n - 1), t the 97.5th
    percentile of Student's distribution with n - 1 degrees of freedom; NaN for n < 2.

    squares: sum of squared deviations from the mean of n values.
    """
    from scipy.special import stdtrit

    freedom = np.where(np.asarray(n) > 1, np.asarray(n, np.float64) - 1, np.nan)
    return stdtrit(freedom, 0.975) * np.sqrt(safe_divide(squares, freedom * np.asarray(n)))


def share_intervals(
    values: np.ndarray, groups: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean of each column of (n, K) values in [0, 1] with Wilson's interval; else as `mean_intervals`."""
    finite = np.isfinite(values)
    n, k = finite.sum(0), np.where(finite, values, 0.0).sum(0)
    if groups is None:
        return safe_divide(k, n), *wilson(k, n), n
    effect = np.array([design_effect.of_mean(column, groups) for column in values.T])
    return safe_divide(k, n), *wilson(k / effect, n / effect), n


def resampled_means(
    values: np.ndarray, *, resamples: int, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """Column means under resampling of the rows with replacement (bootstrap), or of whole groups of rows.

    Args:
        values: (n, K) float; NaN entries are left out of their column.
        seed: the draws depend on it, on n and on nothing else.
        groups: (n,) any codes, drawn in place of rows (Davison and Hinkley 1997, 3.8); None: rows.
    Returns:
        (resamples, K) float64, NaN where a resample met no number.
    """
    n = len(values)
    if n == 0:
        return np.full((resamples, values.shape[1]), np.nan)
    finite = np.isfinite(values)
    filled = np.where(finite, values, 0.0)
    if groups is not None:  # a group is a row of sums: its mean weighs by its numbers
        filled, finite = (_sums_by_group(part, groups) for part in (filled, finite))
        n = len(filled)
    rng, parts = np.random.default_rng(seed), []
    size = max(1, DRAWS_AT_ONCE // n)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        draws = rng.integers(0, n, (rows, n))
        # Each resample gets a range of codes, so that one bincount counts all. How often an image was drawn
        # is its weight in the mean: no copy of the values is made for any resample.
        draws += np.arange(rows)[:, None] * n
        counts = np.bincount(draws.reshape(-1), minlength=rows * n).reshape(rows, n).astype(np.float64)
        parts.append(safe_divide(counts @ filled, counts @ finite))
    return np.concatenate(parts)


def _sums_by_group(columns: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n_groups, K) float64 sums of the rows of each group."""
    codes = np.unique(groups, return_inverse=True)[1]
    sums = np.zeros((int(codes.max(initial=-1)) + 1, columns.shape[1]))
    np.add.at(sums, codes, columns)
    return sums


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


def _logit_interval(area: ArrayLike, error: ArrayLike, n: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the interval of an area in [0, 1] with a standard error, on the scale of its logit.

    logit A -+ t s / (A (1 - A)), t the 97.5th percentile of Student's distribution with n - 1 degrees of
    freedom. An area near its end has a skewed distribution, and its error falls as it comes nearer: the plain
    interval is then too narrow and cut off (Boyd, Eng and Page 2013, of the AUPRC).

    Args:
        area, error: (K,) float. n: (K,) int, the images.
    Returns:
        low, high (K,) float64 in [0, 1]; of width 0 at areas of 0 and 1, NaN for n < 2.
    """
    from scipy.special import expit, logit, stdtrit

    area, freedom = np.asarray(area, np.float64), np.asarray(n, np.float64) - 1
    times = stdtrit(np.where(freedom > 0, freedom, np.nan), 0.975)
    half = times * np.where((area > 0) & (area < 1), safe_divide(error, area * (1 - area)), 0.0)
    return expit(logit(area) - half), expit(logit(area) + half)


def resampled_logit_interval(
    area: ArrayLike, draws: np.ndarray, n: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """`_logit_interval` with the standard deviation of each column of (resamples, K), NaN draws left out.

    NaN for fewer than two draws.
    """
    finite = np.isfinite(draws)
    n_draws, filled = finite.sum(0), np.where(finite, draws, 0.0)
    squares = np.square(np.where(finite, filled - safe_divide(filled.sum(0), n_draws), 0.0)).sum(0)
    error = np.sqrt(np.where(n_draws > 1, safe_divide(squares, n_draws - 1), np.nan))
    return _logit_interval(area, error, n)


def auroc_interval(
    score: np.ndarray, positive: np.ndarray, groups: np.ndarray | None = None
) -> tuple[float, float, float, int]:
    """AUROC of a score for a binary outcome, its interval (`area_bounds`) and the number of images.

    Images without a score are left out; NaN unless both outcomes occur.
    """
    finite = np.isfinite(score)
    placements = spreads(score[finite], np.asarray(positive, bool)[finite])
    effect = design_effect.of_area(score, positive, groups)
    return *interval_of_auroc(*placements, effect=effect), int(finite.sum())


def interval_of_auroc(x: Spread, y: Spread, *, effect: float = 1.0) -> tuple[float, float, float]:
    """AUROC and its interval (`area_bounds`) from placements; NaN unless both outcomes occur."""
    if not x.n or not y.n:
        return np.nan, np.nan, np.nan
    low, high = area_bounds(x.mean, x.n, y.n, effect=effect)
    return x.mean, float(low), float(high)


def area_bounds(
    area: ArrayLike, m: ArrayLike, n: ArrayLike, *, effect: ArrayLike = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the interval of an AUROC from m images against n (Newcombe 2006, method 5), in [0, 1].

    The t with |A - t| = z sqrt(V(t)) on either side of A,
    V(t) = d t (1 - t) (1 + N (1 - t) / (2 - t) + N t / (1 + t)) / (m n),  N = (m + n) / 2 - 1,
    d the design effect of images in groups (`design_effect.of_area`), 1 without.

    The arguments broadcast. NaN where A is, and where m or n is 0; never of width 0.

    >>> [round(float(end), 4) for end in area_bounds(1.0, 1, 1)]  # as Wilson's of 1 of 1
    [0.2065, 1.0]
    """
    m, n = np.asarray(m, np.float64), np.asarray(n, np.float64)
    independent, paired = safe_divide(1.0, m * n), safe_divide((m + n) / 2 - 1, m * n)
    return pooled_area_bounds(area, independent * effect, paired * effect)


def pooled_area_bounds(
    area: ArrayLike, independent: ArrayLike, paired: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """`area_bounds` for V(t) = t (1 - t) (own + paired ((1 - t) / (2 - t) + t / (1 + t))), by bisection.

    For a mean of AUROCs with weights w over groups without common images, own = sum w^2 / (m n) and
    paired = sum w^2 N / (m n).
    """
    area, independent, paired = np.broadcast_arrays(
        *(np.asarray(part, np.float64) for part in (area, independent, paired))
    )
    finite = np.isfinite(area) & np.isfinite(independent) & np.isfinite(paired)
    inside = np.stack([np.where(finite, area, np.nan)] * 2)
    outside = np.stack([np.zeros(area.shape), np.ones(area.shape)])
    for _ in range(HALVINGS):
        t = (inside + outside) / 2
        of_pairs = (1 - t) / (2 - t) + t / (1 + t)
        variance = t * (1 - t) * (independent + paired * of_pairs)
        near = np.abs(area - t) <= Z * np.sqrt(variance)
        inside, outside = np.where(near, t, inside), np.where(near, outside, t)
    return inside[0], inside[1]


def auroc_difference(
    first: np.ndarray, second: np.ndarray, positive: np.ndarray, groups: np.ndarray | None = None
) -> tuple[float, float, float]:
    """AUROC of a score minus that of another of the same images, and its interval (DeLong 1988), in [-1, 1].

    var = var (X_1 - X_2) / m + var (Y_1 - Y_2) / n, with the placements X of m positives and Y of n others;
    times the design effect of images in groups.
    Images without one of the scores are left out. NaN unless both outcomes occur; no interval where one
    occurs once.
    """
    both_finite = np.isfinite(first) & np.isfinite(second)
    positive = np.asarray(positive, bool)[both_finite]
    pairs = zip(placed(first[both_finite], positive), placed(second[both_finite], positive), strict=True)
    differences = [one - other for one, other in pairs]
    x, y = map(Spread.of, differences)
    if not x.n or not y.n:
        return np.nan, np.nan, np.nan
    finite_groups = design_effect.groups_among(groups, both_finite)
    effect = design_effect.of_placements(differences[0], differences[1], positive, finite_groups)
    half = Z * np.sqrt(effect * (x.variance / x.n + y.variance / y.n))
    low, high = np.maximum(x.mean - half, -1.0), np.minimum(x.mean + half, 1.0)
    return x.mean, float(low), float(high)


def at_least(k: ArrayLike, n: ArrayLike, marked: ArrayLike, total: ArrayLike) -> np.ndarray:
    """P(X >= k) for n draws from `total`, of which `marked` are marked (Fisher's exact test, one-sided).

    float64, exact to about nine digits. The arguments broadcast; 0 <= n, marked <= total.
    """
    parts = np.broadcast_arrays(*(np.asarray(part, np.int64) for part in (k, n, marked, total)))
    shape = parts[0].shape
    k, n, marked, total = (part.ravel() for part in parts)
    lowest, highest = np.maximum(0, n + marked - total), np.minimum(n, marked)
    mode = ((n + 1) * (marked + 1)) // (total + 2)
    tail = np.where(k <= lowest, 1.0, 0.0)
    up = np.flatnonzero((k > lowest) & (k <= highest) & (k > mode))
    down = np.flatnonzero((k > lowest) & (k <= highest) & (k <= mode))
    if len(k):
        logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(total.max()) + 1)))])  # log i!
        tail[up] = _summed(logs, k[up], n[up], marked[up], total[up], _rise, 1)
        below = _summed(logs, k[down] - 1, n[down], marked[down], total[down], _fall, -1)
        tail[down] = 1.0 - below
    return np.clip(tail, 0.0, 1.0).reshape(shape)


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
    of_a, of_b = safe_divide(u**2, n_a - 1), safe_divide(v**2, n_b - 1)
    freedom = safe_divide((u + v) ** 2, of_a + of_b)
    return 2.0 * stdtr(freedom, -np.abs(safe_divide(apart, np.sqrt(u + v))))


def benjamini_hochberg(p: np.ndarray) -> np.ndarray:
    """q: the smallest false discovery rate at which a test is significant (Benjamini & Hochberg 1995).

    With p sorted, q_(i) = min over j >= i of p_(j) m / j. NaN stays NaN and does not count as a test.

    >>> benjamini_hochberg(np.array([0.04, 0.01, 0.02])).round(3).tolist()
    [0.04, 0.03, 0.03]
    """
    p = np.asarray(p, np.float64)
    tests = np.flatnonzero(np.isfinite(p))
    order = tests[np.argsort(-p[tests], kind="stable")]
    m = len(order)
    q = np.full(p.shape, np.nan)
    if m:
        q[order] = np.minimum.accumulate(p[order] * m / np.arange(m, 0, -1))
    return np.where(np.isfinite(q), np.minimum(q, 1.0), np.nan)


TermRatio = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _rise(x: np.ndarray, n: np.ndarray, marked: np.ndarray, total: np.ndarray) -> np.ndarray:
    """P(x + 1) / P(x)."""
    unmarked = total - marked - n + x + 1.0
    return (marked - x) * (n - x) / ((x + 1.0) * unmarked)


def _fall(x: np.ndarray, n: np.ndarray, marked: np.ndarray, total: np.ndarray) -> np.ndarray:
    """P(x - 1) / P(x)."""
    unmarked = total - marked - n + x
    return x * unmarked / ((marked - x + 1.0) * (n - x + 1.0))


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


# Area under the generalised risk-coverage curve (AUGRC), and its interval; numpy only.


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
    interval is that of 2 AUGRC, which lies in [0, 1], on the scale of the logit (`_logit_interval`).

    Args:
        effect: the design effect of g, where images come in groups (`design_effect.of_mean`).
        x: of m shares of the misclassified images below each correct one. y: of n shares of the correct
            images above each misclassified one (`core.measures.placements`).
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
    low, high = _logit_interval(mean, error, m + n)
    return mean / 2, float(low) / 2, float(high) / 2
