"""Compiled loops over scores (numba)."""

import numpy as np

from core.common.compiled import compiled


@compiled()
def walk_in_order(order, tied, outcome):
    """Count both outcomes and sum X, X², Y and Y² (`placements`) of images in the order of a score.

    X and Y count images of the other outcome in halves, from the middle of all: integers, so sums are exact
    up to 2^53, and so are variances of scores that separate the outcomes. All 0 unless both occur.

    Args:
        order: (n,) int32. tied: (n,) bool. outcome: (N,) int8.
    Returns:
        m, n, sums of X, X², Y, Y².
    """
    m = n = 0
    for row in order:
        m += outcome[row] == 1
        n += outcome[row] == 0
    x = xx = y = yy = 0.0
    if m == 0 or n == 0:
        return m, n, x, xx, y, yy
    ups = downs = group_ups = group_downs = 0  # before the scores that are tied, and among them
    for at in range(len(order) + 1):
        # A new score ends the group of equal ones before it. Only then is it known how many of the group
        # count half; images of a group therefore share one placement.
        if at == len(order) or not tied[at]:
            balance = float(2 * downs + group_downs - n)
            x += group_ups * balance
            xx += group_ups * balance * balance
            balance = float(m - 2 * ups - group_ups)
            y += group_downs * balance
            yy += group_downs * balance * balance
            ups += group_ups
            downs += group_downs
            group_ups = group_downs = 0
        if at < len(order):
            group_ups += outcome[order[at]] == 1
            group_downs += outcome[order[at]] == 0
    return m, n, x, xx, y, yy


@compiled()
def areas_in_order(rows, outcome, starts, counts):
    """Count drawn images, and measure AUROC and AUPRC (correct is positive) of R resamples in one pass.

    They are those of `core.measures.metrics.metrics_of`; both NaN unless both outcomes are drawn.

    Args:
        rows: (n,) int64, best score first. outcome: (n,) float64, 1 = correct, and starts: (n,) bool, another
            score than that of the rank before; both by rank.
        counts: (N, R) int32, how often each row is drawn in each resample.
    Returns:
        images, correct ones, AUROC, AUPRC: (R,) float64 each.
    """
    n_draws = counts.shape[1]
    images, correct, group, group_correct, area, precision = np.zeros((6, n_draws))
    for at in range(len(rows) + 1):
        if at == len(rows) or starts[at]:  # the images before it with equal scores are entered together
            for draw in range(n_draws):  # without a branch, so that resamples share vector registers
                area[draw] += (group[draw] - group_correct[draw]) * (
                    correct[draw] + 0.5 * group_correct[draw]
                )
                images[draw] += group[draw]
                correct[draw] += group_correct[draw]
                precision[draw] += group_correct[draw] * (correct[draw] / max(images[draw], 1.0))
                group[draw] = group_correct[draw] = 0.0
        if at < len(rows):
            for draw in range(n_draws):
                group[draw] += counts[rows[at], draw]
                group_correct[draw] += counts[rows[at], draw] * outcome[at]
    both = (correct > 0) & (correct < images)
    area = np.where(both, area / (correct * (images - correct)), np.nan)
    return images, correct, area, np.where(both, precision / correct, np.nan)


@compiled()
def sums_of_draws(values, counts):
    """(C, R) float64: the sum of each column of (n, C) float64 over the rows of each of R resamples.

    Args:
        counts: (n, R) int32, how often each row is drawn.
    """
    sums = np.zeros((values.shape[1], counts.shape[1]))
    for row in range(len(values)):
        for column in range(values.shape[1]):
            for draw in range(counts.shape[1]):
                sums[column, draw] += values[row, column] * counts[row, draw]
    return sums
