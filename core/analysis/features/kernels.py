"""Compiled loops over representations (numba), where numpy would read the memory several times.

Each kernel implements the definition of a pure function (`features.highly_activating`, `numeric.row_moments`
…) in one pass over a row while it is in the nearest cache; tests compare them with those functions and with
plain loops. They release the GIL, sum in float64, and are compiled on the first call, then read from a disk
cache.
"""

import math

import numpy as np

from core.analysis.tensors import TIE
from core.common.arrays import LEAST_NORM
from core.common.statistics.compiled import compiled

SPAN = 64  # entries per span; its maximum decides whether any entry can fire
FLAT = 1e-2  # below this variance / mean² of a row, its one-pass variance loses too many digits
LEAST_BITS = np.int32(-(2**31))
REORDER = {"reassoc", "nsz", "contract"}  # sums may be reordered; NaN and infinity keep their meaning


@compiled(fastmath=REORDER)
def scan_rows(
    x, bits, start, group, epsilon, moments, sums, squares, raw_sums, count, features, values, excess
):
    """Compute row statistics, firing sets and column sums of raw rows from `start` on, until the buffers are
    full.

    L_i = {j : h_ij > mu_i + eps sigma_i}, decided in float64 as in `features.highly_activating`.

    Args:
        x: (n, r) float32, and bits: the same memory as int32: non-negative floats keep their order, and
            negative ones are negative. group: (n,) int64 row of `sums`; -1 leaves a row out of the columns.
    Fills:
        moments (5, n) float64: mean, sum of squares, deviation, maximum, sum of magnitudes, of raw rows.
        count (n,) number of firing entries of each row; for each, in order, features int32, values float32
            (h_ij) and excess float32 (h_ij - mu_i), each with space for at least r.
    Adds to:
        sums (groups, r) float64: h; squares (r,) float64: h²; raw_sums (2, r) float64: raw and raw².
    Returns:
        the first row not processed, and the number of firing entries.
    """
    n, r = x.shape
    n_spans, n_firing = (r + SPAN - 1) // SPAN, 0
    highest = np.empty(n_spans, np.int32)
    single = np.empty(1, np.float32)
    as_bits = single.view(np.int32)
    for i in range(start, n):
        if n_firing + r > len(features):  # all r entries may fire: the caller empties the buffers first
            return i, n_firing
        total, square, signs, top = 0.0, 0.0, np.int32(0), LEAST_BITS
        for span in range(r // SPAN):  # its length is known at compile time, which allows vectorisation
            most = LEAST_BITS
            for k in range(SPAN):
                j = span * SPAN + k
                value, word = np.float64(x[i, j]), bits[i, j]
                total += value
                square += value * value
                most = max(most, word)  # integers: a maximum of floats is not vectorised, as NaN has no order
                signs |= word  # negative once any entry is
            highest[span] = most
            top = max(top, most)
        if r % SPAN:
            most = LEAST_BITS
            for j in range(r - r % SPAN, r):
                value, word = np.float64(x[i, j]), bits[i, j]
                total += value
                square += value * value
                most = max(most, word)
                signs |= word
            highest[n_spans - 1] = most
            top = max(top, most)
        as_bits[0] = top
        peak, magnitude = np.float64(single[0]), total
        # As integers, negative floats are in reverse order: a row with one is read again (none after a ReLU).
        if signs < 0:
            peak, magnitude = np.float64(x[i, 0]), 0.0
            for j in range(r):
                value = np.float64(x[i, j])
                peak = max(peak, value)
                magnitude += abs(value)
        mean = total / r
        variance = square / r - mean * mean
        if variance < FLAT * mean * mean:  # the difference of two near numbers: take the exact second pass
            variance = 0.0
            for j in range(r):
                variance += (x[i, j] - mean) ** 2
            variance /= r
        deviation = math.sqrt(max(variance, 0.0))
        moments[0, i], moments[1, i], moments[2, i] = mean, square, deviation
        moments[3, i], moments[4, i] = peak, magnitude

        threshold = mean + epsilon * deviation + TIE * (abs(mean) + deviation)
        scale = 1.0 / max(math.sqrt(square), LEAST_NORM)
        single[0] = threshold  # rounding keeps order: nothing below the rounded threshold is above it
        lowest = as_bits[0] if threshold >= 0 else LEAST_BITS
        first = n_firing
        # Few entries fire, so most spans are skipped by their maximum alone.
        for span in range(n_spans):
            if highest[span] >= lowest:
                for j in range(span * SPAN, min(r, (span + 1) * SPAN)):
                    # The integers rule out most entries; float64 decides, as in the definition.
                    if bits[i, j] >= lowest and np.float64(x[i, j]) > threshold:
                        features[n_firing] = j
                        values[n_firing] = np.float32(x[i, j] * scale)
                        excess[n_firing] = np.float32(x[i, j] * scale - mean * scale)
                        n_firing += 1
        count[i] = n_firing - first

        owner = group[i]
        if owner >= 0:
            for j in range(r):
                value = np.float64(x[i, j])
                h = value * scale
                sums[owner, j] += h
                squares[j] += h * h
                raw_sums[0, j] += value
                raw_sums[1, j] += value * value
    return n, n_firing


@compiled()
def firing_counts(features, count, group, firing):
    """firing[j, group of i] += 1 for each firing entry of rows i with group[i] >= 0.

    Args:
        features: (n_firing,) firing features, row by row. count: (n,) number of them in each row.
        firing: (n_features, n_groups) int64, is increased.
    """
    start = 0
    for i in range(len(count)):
        stop = start + count[i]
        if group[i] >= 0:
            for entry in range(start, stop):
                firing[features[entry], group[i]] += 1
        start = stop


@compiled(fastmath=REORDER)
def count_levels(x, train, epsilons, deviations, images, features):
    """Count the entries and rows of raw rows by the highest threshold that they exceed.

    An entry exceeds level k when h_ij > mu_i + epsilons[k] sigma_i, decided as in
    `features.highly_activating`.

    Args:
        x: (n, r) float32. train: (n,) bool, the rows to count. epsilons: (k,) float64, ascending. deviations:
        (n,) float64, filled with the standard deviation of each row: NaN or infinite if the row is, 0 for a
        row that is not counted.
        images: (k,) int64 and features: (k, r) int64, increased: rows and entries whose highest level is k.
    """
    n, r = x.shape
    for i in range(n):
        deviations[i] = 0.0
        if not train[i]:
            continue
        total = 0.0
        for j in range(r):
            total += np.float64(x[i, j])
        mean, variance = total / r, 0.0
        for j in range(r):
            variance += (np.float64(x[i, j]) - mean) ** 2
        deviation = math.sqrt(variance / r)
        deviations[i] = deviation
        tie, top = TIE * (abs(mean) + deviation), -1
        lowest = epsilons[0] * deviation + tie
        for j in range(r):
            excess = np.float64(x[i, j]) - mean
            if excess > lowest:
                level = 0
                while level + 1 < len(epsilons) and excess > epsilons[level + 1] * deviation + tie:
                    level += 1
                features[level, j] += 1
                top = max(top, level)
        if top >= 0:
            images[top] += 1


@compiled()
def keep_best(features, values, owners, best_rows, best_values, least):
    """Insert entries into each feature's list of best rows, in descending order; ties in order of arrival.

    Args:
        features, values, owners: (m,) feature, value and row of each entry, rows ascending.
        best_rows, best_values: (n_features, k) lists, -1 and 0 in free slots.
        least: (n_features,) float32 that a value must exceed to enter; increases as lists fill.
    """
    k = best_rows.shape[1]
    for entry in range(len(features)):
        j, value = features[entry], values[entry]
        if value > least[j]:
            slot = k - 1
            while slot > 0 and best_values[j, slot - 1] < value:  # of equal values the first stays ahead
                best_values[j, slot] = best_values[j, slot - 1]
                best_rows[j, slot] = best_rows[j, slot - 1]
                slot -= 1
            best_values[j, slot], best_rows[j, slot] = value, owners[entry]
            least[j] = max(least[j], best_values[j, k - 1])


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


@compiled()
def place_rows(features, count, start, free, rows):
    """rows[free[j]++] = row, for each firing entry (row, j) of the rows start, start + 1 …"""
    entry = 0
    for i in range(len(count)):
        for _ in range(count[i]):
            j = features[entry]
            rows[free[j]] = start + i
            free[j] += 1
            entry += 1


@compiled(fastmath=REORDER)
def count_bins(x, near_zero, counts):
    """Histogram of each feature of normalised rows, in bins evenly spaced in sqrt(|h|).

    Args:
        x: (n, r) float32 raw rows. near_zero: share of the row's maximum below which an entry is near zero.
        counts: (r, 2 * bins) int64, increased: bins of [-1, 0), then bins of [0, 1].
    Returns:
        the number of near-zero entries, and of negative entries.
    """
    n, r = x.shape
    bins = counts.shape[1] // 2
    n_near_zero, n_negative = 0, 0
    bin_of = np.empty(r, np.int32)
    for i in range(n):
        square, peak = 0.0, x[i, 0]
        for j in range(r):
            square += np.float64(x[i, j]) * np.float64(x[i, j])
            peak = max(peak, x[i, j])
        scale = np.float32(1.0 / max(math.sqrt(square), LEAST_NORM))
        limit = np.float32(near_zero) * peak if peak > 0 else np.float32(np.inf)
        for j in range(r):
            n_near_zero += x[i, j] < limit
            n_negative += x[i, j] < 0
            root = np.float32(bins) * np.sqrt(abs(x[i, j] * scale))
            away = np.int32(root)
            below = bins - away - (root > away)
            bin_of[j] = max(below, 0) if x[i, j] < 0 else bins + min(away, bins - 1)
        for j in range(r):
            counts[j, bin_of[j]] += 1
    return n_near_zero, n_negative


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
