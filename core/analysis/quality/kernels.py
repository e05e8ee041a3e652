"""Compiled loops of scores of single images (numba): over firing sets, and over rows of representations."""

import numpy as np

from core.analysis.features.kernels import REORDER, SPAN
from core.common.statistics.compiled import compiled


@compiled()
def sum_excess(excess, features, count, selected, totals, n_chosen):
    """totals[:, i] = sum of the excess of row i over its chosen firing entries, and over all firing entries.

    Args:
        excess, features: (n_firing,), row by row. count: (n,), entries per row. selected: (n_features,) bool.
        totals: (2, n) float64, n_chosen: (n,) int32, the number of chosen entries; both are filled.
    """
    entry = 0
    for i in range(len(count)):
        some, every, number = 0.0, 0.0, 0
        for _ in range(count[i]):
            every += excess[entry]
            if selected[features[entry]]:
                some += excess[entry]
                number += 1
            entry += 1
        totals[0, i], totals[1, i], n_chosen[i] = some, every, number


@compiled(fastmath=REORDER)
def score_deviations(x, scale, inverse, shift, raw_inverse, raw_shift, threshold, scores):
    """Sum what each row's features deviate from the train means, in standard deviations.

    z_ij = h_ij inverse_j - shift_j, with inverse_j = 1 / s_j and shift_j = m_j / s_j; both 0 for a feature
    without spread, whose z is then 0. In float32, as the rows are, and summed in float64 by span.

    Args:
        x: (n, r) float32 raw rows. scale: (n,) float32, h_i = scale_i x_i. inverse, shift: (r,) float32, of
        normalised rows. raw_inverse, raw_shift: (r,) float32, of raw rows. threshold: float32, at least 0.
        scores: (3, n) float64, filled: sum of z², sum of z² of the raw row, sum of max(0, z - threshold).
    """
    n, r = x.shape
    for i in range(n):
        normalised, raw, beyond = 0.0, 0.0, 0.0
        for span in range(r // SPAN):
            a, b, c = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for k in range(SPAN):
                j = span * SPAN + k
                z = x[i, j] * scale[i] * inverse[j] - shift[j]
                z_raw = x[i, j] * raw_inverse[j] - raw_shift[j]
                a += z * z
                b += z_raw * z_raw
                c += (z - threshold) + abs(z - threshold)  # twice max(0, …), in vector instructions
            normalised += np.float64(a)
            raw += np.float64(b)
            beyond += np.float64(c)
        for j in range(r - r % SPAN, r):
            z = x[i, j] * scale[i] * inverse[j] - shift[j]
            z_raw = x[i, j] * raw_inverse[j] - raw_shift[j]
            normalised += z * z
            raw += z_raw * z_raw
            beyond += (z - threshold) + abs(z - threshold)
        scores[0, i], scores[1, i], scores[2, i] = normalised, raw, 0.5 * beyond
