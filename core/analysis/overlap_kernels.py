"""Compiled loops (numba) over the pixels of heatmaps and masks: each is read once, all sums are float64."""

import numpy as np

from core.common.compiled import REORDER, compiled

# What `overlap_sums` fills, over the pixels of an image. The heatmap G looks at G >= t (looked), the mask M
# marks M >= region (marked): inside is looked and marked, outside is looked and not marked.
SUMS = (
    *("heat", "mask", "smaller", "product"),
    *("heat_inside", "heat_marked", "heat_outside"),
    *("n_inside", "n_marked", "n_outside"),
)


@compiled(fastmath=REORDER)
def overlap_sums(heat, mask, threshold, region, sums):
    """For the step `overlap`: sum over each image's pixels what overlaps are made of (docs/method.md 5).

    Args:
        heat, mask: (n, pixels), both float32 or both float64. threshold: t. region: least value marked.
    Fills:
        sums (10, n) float64, in the order of SUMS; `smaller` of min(G, M), `product` of G M.
    """
    for i in range(len(heat)):
        total, mass, smaller, product = 0.0, 0.0, 0.0, 0.0
        heat_inside, heat_marked, heat_outside = 0.0, 0.0, 0.0
        n_inside, n_marked, n_looked = 0.0, 0.0, 0.0
        g_row, m_row = heat[i], mask[i]
        for pixel in range(g_row.shape[0]):
            g, m = np.float64(g_row[pixel]), np.float64(m_row[pixel])
            looked = (
                1.0 if g >= threshold else 0.0
            )  # numbers, not branches: several pixels are summed at once
            marked = 1.0 if m >= region else 0.0
            inside = looked * marked
            total += g
            mass += m
            smaller += g if g < m else m
            product += g * m
            heat_inside += g * inside
            heat_marked += g * marked
            heat_outside += g * (looked - inside)
            n_inside += inside
            n_marked += marked
            n_looked += looked
        sums[0, i], sums[1, i], sums[2, i], sums[3, i] = total, mass, smaller, product
        sums[4, i], sums[5, i], sums[6, i] = heat_inside, heat_marked, heat_outside
        sums[7, i], sums[8, i], sums[9, i] = n_inside, n_marked, n_looked - n_inside


@compiled()
def reached_sums(heat, mask, thresholds, region, heats, counts):
    """For the step `overlap`: sum pixels by how many thresholds they reach, beside the mask and on it.

    Args:
        heat, mask: as for `overlap_sums`. thresholds: (T,) float64, ascending.
    Adds to:
        heats, counts: (n, 2, T + 1) float64, by not marked and marked, and the number of thresholds <= G.
    Returns:
        the heat and the number of marked pixels of each image, (n,) float64 each.
    """
    total, n_marked = np.zeros(len(heat)), np.zeros(len(heat))
    for i in range(len(heat)):
        g_row, m_row = heat[i], mask[i]
        for pixel in range(g_row.shape[0]):
            g, marked = np.float64(g_row[pixel]), int(m_row[pixel] >= region)
            reached = 0
            for threshold in thresholds:  # few: counting them all is faster than a binary search
                reached += g >= threshold
            heats[i, marked, reached] += g
            counts[i, marked, reached] += 1
            total[i] += g
            n_marked[i] += marked
    return total, n_marked
