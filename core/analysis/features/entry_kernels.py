"""Compiled loops over entries of sparse rows, by group and by feature (see kernels.py)."""

import numpy as np

from core.common.statistics.compiled import compiled

LOWER = np.int64(2**32 - 1)  # the lower half of 64 bits


@compiled()
def sum_rows(order, group, begin, columns, values, scale, sums):
    """Sum normalised sparse rows by group; arguments as of `sum_cells`.

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
    """Sum normalised sparse rows by group and feature, of the pairs that occur.

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
    """group_sums[groups[g]] += sums[g]."""
    for g in range(len(sums)):
        group_sums[groups[g]] += sums[g]


@compiled()
def add_cells(cells, sums, groups, group_sums):
    """group_sums[groups[g], j] += the sum of each pair (g, j) of `cells`, as `sum_cells` returns them."""
    for cell in range(len(sums)):
        group_sums[groups[cells[cell, 0]], cells[cell, 1]] += sums[cell]


@compiled()
def sort_entries(features, rows, values, ends, sorted_rows, sorted_values):
    """Sort entries by feature, those of a feature in the order in which they are.

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
    """firing[j, group of i] += 1 for each row i with a group, not -1, on which j fires.

    begin, rows: as in `ByFeature`. group: (n,) int64. firing: (n_features, n_groups) int64.
    """
    for j in range(len(begin) - 1):
        for row in rows[begin[j] : begin[j + 1]]:
            if group[row] >= 0:
                firing[j, group[row]] += 1


@compiled()
def keep_best(begin, rows, bits, start, heaps, least):
    """Offer entries to each feature's k best, ordered by value and, of equal values, the first row.

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
    """appended[ends[j]++] = start + i for each row i on which j fires; begin, rows as in `ByFeature`."""
    for j in range(len(begin) - 1):
        for entry in range(begin[j], begin[j + 1]):
            appended[ends[j]] = start + rows[entry]
            ends[j] += 1
