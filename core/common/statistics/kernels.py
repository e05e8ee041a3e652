"""Compiled loops over scores (numba)."""

from core.common.statistics.compiled import compiled


@compiled()
def walk_in_order(order, tied, outcome):
    """Count both outcomes, and sum X, X², Y and Y² (`placements`) of images that are taken.

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
    """Count drawn images, and measure AUROC and AUPRC (correct is positive) of a resample in one pass.

    They are those of `core.measures.metrics.metrics_of`; both NaN unless both outcomes are drawn.

    Args:
        rows: (n,) int64, best score first. outcome: (n,) float64, 1 = correct, and starts: (n,) bool, another
            score than that of the rank before; both by rank. counts: (N,) int64, how often each row is drawn.
    Returns:
        images, correct ones, AUROC, AUPRC.
    """
    images = correct = group = group_correct = 0
    area = precision = 0.0
    for at in range(len(rows) + 1):
        if at == len(rows) or starts[at]:  # the images before it with equal scores are entered together
            area += (group - group_correct) * (correct + 0.5 * group_correct)
            images += group
            correct += group_correct
            if group_correct:
                precision += group_correct * (correct / images)
            group = group_correct = 0
        if at < len(rows):
            drawn = counts[rows[at]]
            group += drawn
            if outcome[at] == 1.0:
                group_correct += drawn
    if correct == 0 or correct == images:
        return images, correct, float("nan"), float("nan")
    return images, correct, area / (correct * (images - correct)), precision / correct
