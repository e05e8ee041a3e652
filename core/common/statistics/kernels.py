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
