"""Compiled loops (numba) over representations, over entries of sparse rows, and over firing sets."""

import math

import numpy as np

from core.analysis.tensors import TIE
from core.common.compiled import REORDER, compiled
from core.common.dataframes import LEAST_NORM

# Compiled loops over representations (numba), where numpy would read the memory several times.
#
# Each implements a pure function (`features.highly_activating` …) in one pass over a row while it is in the
# nearest cache; tests compare the two. They release the GIL and sum in float64.


SPAN = 64  # entries per span; its maximum decides whether any entry can fire
FLAT = 1e-2  # below this variance / mean² of a row, its one-pass variance loses too many digits
LEAST_BITS = np.int32(-(2**31))


@compiled(fastmath=REORDER)
def scan_rows(
    x, bits, begin, columns, active, dense, dense_bits, start, group, epsilon, moments, sums, squares,
    raw_sums, silent, count, n_firing, features, values, excess,
):  # fmt: skip
    """Compute statistics, firing sets and column sums of representations by a kernel, until buffers fill.

    Raw rows are read from `start` on.

    L_i = {j : h_ij > mu_i + eps sigma_i}, decided in float64 as in `features.highly_activating`.

    Args:
        x: (n, r) float32, and bits: the same memory as int32: non-negative floats keep their order, and
            negative ones are negative. Not used of sparse rows.
        begin, columns, active: sparse rows, as in `ChunkRows`; else empty. dense, dense_bits: (r,) float32
            zeros and the same memory as int32, in which one of them is dense at a time.
        group: (n,) int64 row of `sums`; -1 leaves a row out of the columns.
    Fills:
        moments (5, n) float64: mean, sum of squares, deviation, maximum, sum of magnitudes, of raw rows.
        count (n,) number of firing entries of each row; for each, in order, after the n_firing that are
            there, features int32, values float32 (h_ij) and excess float32 (h_ij - mu_i), each with space for
            at least r.
    Adds to:
        sums (groups, r) float64: h, but not of sparse rows (see `sum_rows`); squares (r,) float64: h²;
        raw_sums (2, r) float64: raw and raw². silent (r,) float32, of sparse rows: the largest h that does
        not fire.
    Returns:
        the first row not processed, and the number of firing entries.
    """
    n, r = len(count), len(silent)
    n_spans, sparse = (r + SPAN - 1) // SPAN, len(begin) > 0
    highest = np.empty(n_spans, np.int32)
    single = np.empty(1, np.float32)
    as_bits = single.view(np.int32)
    for i in range(start, n):
        if n_firing + r > len(features):  # all r entries may fire: the caller empties the buffers first
            return i, n_firing
        total, square, signs, top = 0.0, 0.0, np.int32(0), LEAST_BITS
        row, words = (dense, dense_bits) if sparse else (x[i], bits[i])
        at, end = (begin[i], begin[i + 1]) if sparse else (0, 0)
        for entry in range(at, end):
            dense[columns[entry]] = active[entry]
        for span in range(r // SPAN):  # its length is known at compile time, which allows vectorisation
            most = LEAST_BITS
            if sparse:
                of_span = at
                while at < end and columns[at] < (span + 1) * SPAN:
                    at += 1
                if at - of_span < 2:  # zeros change no sum, and one entry is rounded in no other order
                    most = np.int32(0)
                    if at > of_span:
                        value, word = np.float64(row[columns[of_span]]), words[columns[of_span]]
                        total += value
                        square += value * value
                        most = max(most, word)
                        signs |= word
                    highest[span] = most
                    top = max(top, most)
                    continue
            for k in range(SPAN):
                j = span * SPAN + k
                value, word = np.float64(row[j]), words[j]
                total += value
                square += value * value
                most = max(most, word)  # integers: a maximum of floats is not vectorised, as NaN has no order
                signs |= word  # negative once any entry is
            highest[span] = most
            top = max(top, most)
        if r % SPAN:
            most = LEAST_BITS
            for j in range(r - r % SPAN, r):
                value, word = np.float64(row[j]), words[j]
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
            peak, magnitude = np.float64(row[0]), 0.0
            for j in range(r):
                value = np.float64(row[j])
                peak = max(peak, value)
                magnitude += abs(value)
        mean = total / r
        variance = square / r - mean * mean
        if variance < FLAT * mean * mean:  # the difference of two near numbers: take the exact second pass
            variance = 0.0
            for j in range(r):
                variance += (row[j] - mean) ** 2
            variance /= r
        deviation = math.sqrt(max(variance, 0.0))
        moments[0, i], moments[1, i], moments[2, i] = mean, square, deviation
        moments[3, i], moments[4, i] = peak, magnitude

        threshold = mean + epsilon * deviation + TIE * (abs(mean) + deviation)
        scale = 1.0 / max(math.sqrt(square), LEAST_NORM)
        single[0] = threshold  # rounding keeps order: nothing below the rounded threshold is above it
        lowest = as_bits[0] if threshold >= 0 else LEAST_BITS
        first = n_firing
        by_entry = sparse and threshold >= 0  # no 0 fires
        # Few entries fire, so most spans are skipped by their maximum alone.
        for span in range(0 if by_entry else n_spans):
            if highest[span] >= lowest:
                for j in range(span * SPAN, min(r, (span + 1) * SPAN)):
                    # The integers rule out most entries; float64 decides, as in the definition.
                    if words[j] >= lowest and np.float64(row[j]) > threshold:
                        features[n_firing] = j
                        values[n_firing] = np.float32(row[j] * scale)
                        excess[n_firing] = np.float32(row[j] * scale - mean * scale)
                        n_firing += 1
        owner = group[i]
        for entry in range(begin[i] if sparse else 0, end):
            j = columns[entry]
            value = np.float64(active[entry])
            h = value * scale
            dense[j] = 0
            if by_entry and value > threshold:
                features[n_firing] = j
                values[n_firing] = np.float32(h)
                excess[n_firing] = np.float32(h - mean * scale)
                n_firing += 1
            elif by_entry:
                silent[j] = max(silent[j], np.float32(h))
            if owner >= 0:
                squares[j] += h * h
                raw_sums[0, j] += value
                raw_sums[1, j] += value * value
        count[i] = n_firing - first

        if owner >= 0 and not sparse:
            for j in range(r):
                value = np.float64(row[j])
                h = value * scale
                sums[owner, j] += h
                squares[j] += h * h
                raw_sums[0, j] += value
                raw_sums[1, j] += value * value
    return n, n_firing


@compiled()
def make_dense(before, begin, columns, values, dense):
    """Make sparse rows dense for steps that compute on them: zero what `dense` holds, write the others.

    Args:
        before, begin: where the entries of each of these and of those begin, and where they end. columns,
        values: (n_entries,) of all. dense: (n, r) float32.
    """
    for i in range(len(before) - 1):
        for entry in range(before[i], before[i + 1]):
            dense[i, columns[entry]] = 0
    for i in range(len(begin) - 1):
        for entry in range(begin[i], begin[i + 1]):
            dense[i, columns[entry]] = values[entry]


@compiled(fastmath=REORDER)
def count_levels(x, begin, columns, train, epsilons, deviations, images, features):
    """Count entries and rows of representations by the highest firing threshold that they exceed.

    An entry exceeds level k when h_ij > mu_i + epsilons[k] sigma_i, decided as in
    `features.highly_activating`.

    Args:
        x: (n, r) float32. begin, columns: where sparse rows are not 0, as in `ChunkRows`; else empty. train:
        (n,) bool, the rows to count. epsilons: (k,) float64, ascending. deviations: (n,) float64, filled
        with the standard deviation of each row: NaN or infinite if the row is, 0 for one not counted.
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
        by_entry = len(begin) > 0 and -mean <= lowest  # no 0 exceeds it
        for at in range(begin[i] if by_entry else 0, begin[i + 1] if by_entry else r):
            j = columns[at] if by_entry else at
            excess = np.float64(x[i, j]) - mean
            if excess > lowest:
                level = 0
                while level + 1 < len(epsilons) and excess > epsilons[level + 1] * deviation + tie:
                    level += 1
                features[level, j] += 1
                top = max(top, level)
        if top >= 0:
            images[top] += 1


@compiled(fastmath=REORDER)
def count_bins(x, begin, columns, near_zero, counts):
    """For the step `features`: histogram of each normalised feature, bins evenly spaced in sqrt(|h|).

    Args:
        x: (n, r) float32 raw rows. begin, columns: where sparse rows are not 0, as in `ChunkRows`; else
            empty.
        near_zero: share of the row's maximum below which an entry is near zero.
        counts: (r, 2 * bins) int64, increased: bins of [-1, 0), then bins of [0, 1].
    Returns:
        the number of near-zero entries, and of negative entries.
    """
    n, r = x.shape
    bins = counts.shape[1] // 2
    n_near_zero, n_negative = 0, 0
    bin_of, active, sparse = np.empty(r, np.int32), np.empty(r, np.float32), len(begin) > 0
    for i in range(n):
        square, peak = 0.0, x[i, 0]
        for j in range(r):
            square += np.float64(x[i, j]) * np.float64(x[i, j])
            peak = max(peak, x[i, j])
        scale = np.float32(1.0 / max(math.sqrt(square), LEAST_NORM))
        limit = np.float32(near_zero) * peak if peak > 0 else np.float32(np.inf)
        values = x[i]
        if sparse:
            values = active[: begin[i + 1] - begin[i]]
            for at in range(len(values)):
                values[at] = x[i, columns[begin[i] + at]]
            n_near_zero += (r - len(values)) * (limit > 0)
        for at in range(len(values)):
            n_near_zero += values[at] < limit
            n_negative += values[at] < 0
            root = np.float32(bins) * np.sqrt(abs(values[at] * scale))
            away = np.int32(root)
            below = bins - away - (root > away)
            bin_of[at] = max(below, 0) if values[at] < 0 else bins + min(away, bins - 1)
        for at in range(len(values)):
            j = columns[begin[i] + at] if sparse else at
            counts[j, bin_of[at]] += 1
            if sparse:
                counts[j, bins] -= 1  # of the zeros, which are counted below
    if sparse:
        counts[:, bins] += n
    return n_near_zero, n_negative


# Compiled loops over entries of sparse rows, by group and by feature (see kernels.py).


LOWER = np.int64(2**32 - 1)  # the lower half of 64 bits


@compiled()
def sum_rows(order, group, begin, columns, values, scale, sums):
    """Sum normalised sparse representations by group; arguments as of `sum_cells`.

    sums: (n_groups, r) float64, filled; each group has rows.
    """
    now = -1
    for i in order:
        of_group, factor = sums[group[i]], scale[i]
        if group[i] != now:
            now = group[i]
            of_group[:] = 0  # while it is in the cache
        for entry in range(begin[i], begin[i + 1]):
            of_group[columns[entry]] += np.float64(values[entry]) * factor


@compiled()
def sum_cells(order, group, begin, columns, values, scale, latest, cells, sums):
    """Sum normalised sparse representations by group and feature, of the pairs that occur.

    Args:
        order: rows, group by group. group: (n,) int64. begin, columns, values: as in `ChunkRows`. scale: (n,)
        float64, h_i = scale_i x_i. latest: (r,) int64, all -1.
        cells: (n_entries, 2) int32 and sums: (n_entries,) float64, filled: pairs that occur, and their sums.
    Returns:
        the number of pairs.
    """
    n, first, now = 0, 0, -1
    for i in order:
        if group[i] != now:
            first, now = n, group[i]
        factor = scale[i]
        for entry in range(begin[i], begin[i + 1]):
            j = columns[entry]
            if latest[j] < first:  # not of this group yet
                latest[j], cells[n, 0], cells[n, 1], sums[n] = n, now, j, 0.0
                n += 1
            sums[latest[j]] += np.float64(values[entry]) * factor
    return n


@compiled()
def add_rows(sums, groups, group_sums):
    """Add sums of representations to their groups by a kernel: group_sums[groups[g]] += sums[g]."""
    for g in range(len(sums)):
        group_sums[groups[g]] += sums[g]


@compiled()
def add_cells(cells, sums, groups, group_sums):
    """Add sums over representations, of groups and features, to those of larger groups, by a kernel.

    group_sums[groups[g], j] += the sum of each pair (g, j) of `cells`, as `sum_cells` returns them.
    """
    for cell in range(len(sums)):
        group_sums[groups[cells[cell, 0]], cells[cell, 1]] += sums[cell]


@compiled()
def sort_entries(features, rows, values, ends, sorted_rows, sorted_values):
    """For the step `features`: sort firing entries by feature, those of one in the order they are in.

    Args:
        features, rows, values: (m,) of each entry. ends: (n_features + 2,) int64 zeros: filled with 0, then
            where the entries of each feature end; its last is not used. sorted_rows, sorted_values: filled.
    """
    for j in features:
        ends[j + 2] += 1
    for j in range(len(ends) - 1):
        ends[j + 1] += ends[j]
    for entry in range(len(features)):  # the end of each feature is that of the one before until now
        at = ends[features[entry] + 1]
        sorted_rows[at], sorted_values[at] = rows[entry], values[entry]
        ends[features[entry] + 1] = at + 1


@compiled()
def firing_counts(begin, rows, group, firing):
    """Count the images of each group on which each feature fires, by a kernel.

    firing[j, group of i] += 1 for each row i with a group, not -1, on which j fires.

    begin, rows: as in `ByFeature`. group: (n,) int64. firing: (n_features, n_groups) int64.
    """
    for j in range(len(begin) - 1):
        for row in rows[begin[j] : begin[j + 1]]:
            if group[row] >= 0:
                firing[j, group[row]] += 1


@compiled()
def keep_best(begin, rows, bits, start, heaps, least):
    """Offer firing entries to each feature's k top images, ordered by value, of equals the first row.

    Args:
        begin, rows, bits: entries as in `ByFeature`; bits are those of their values as int32, which order as
            the values do above 0. start: is added to the rows.
        heaps: (n_features, k) int64, smallest first as in `heapq`: bits of a value, then the 32 of its
            inverted row; 0 in free places.
        least: (n_features,) bits that a value must exceed to enter; increases as heaps fill.
    """
    k = heaps.shape[1]
    for j in range(len(begin) - 1):
        heap, lowest = heaps[j], least[j]
        for entry in range(begin[j], begin[j + 1]):
            if bits[entry] > lowest:
                key, at, child = np.int64(bits[entry]) << 32 | ~np.int64(start + rows[entry]) & LOWER, 0, 1
                while child < k:  # the smallest leaves, and smaller ones move up
                    child += child + 1 < k and heap[child + 1] < heap[child]
                    if key <= heap[child]:
                        break
                    heap[at], at = heap[child], child
                    child = 2 * at + 1
                heap[at] = key
                lowest = max(lowest, np.int32(heap[0] >> 32))
        least[j] = lowest


@compiled()
def append_rows(begin, rows, start, ends, appended):
    """Append the images on which each feature fires to its list, by a kernel.

    appended[ends[j]++] = start + i for each row i on which j fires; begin, rows as in `ByFeature`.
    """
    for j in range(len(begin) - 1):
        for entry in range(begin[j], begin[j + 1]):
            appended[ends[j]] = start + rows[entry]
            ends[j] += 1


# Compiled loops of scores of single images (numba): over firing sets, and over rows of representations.


@compiled()
def sum_excess(excess, features, count, selected, totals, n_chosen):
    """Sum what features fire with on each image, for the Q-Score, by a kernel.

    totals[:, i] = sum of the excess of row i over its chosen firing entries, and over all firing entries.

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
    """For the step `quality`: sum what features deviate from the train means, in standard deviations.

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
