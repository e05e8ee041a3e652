"""One pass over a study's representations: row statistics, firing sets, column statistics, top images.

Several threads and processes scan the chunks; results are used in order, so that they do not depend on how
many there are.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import pairwise

import numpy as np

from core.analysis.chunk_scan import ByFeature, ChunkRows, ChunkScan, RowStatistics, Scanner, TopImages
from core.analysis.epsilon import EpsilonCounts
from core.analysis.kernels import append_rows, firing_counts
from core.common.dataframes import LEAST_NORM
from core.common.moments import Moments
from core.common.threads import map_in_order
from core.study.chunked_array import ChunkedArray
from core.study.progress import Bar
from core.study.writer import StepWriter

PIECE_ENTRIES = 1 << 20  # minimum firing entries per stored piece; written while others are scanned
_of_thread = threading.local()  # the buffers of its scanner


def scan_chunks(
    array: ChunkedArray, group: np.ndarray, *, epsilon: float, sampled: np.ndarray | None = None
) -> Iterator[tuple[int, ChunkScan, ChunkRows]]:
    """Yield (first row, scan, its sampled rows) of every chunk of a study's representations, in order.

    Args:
        group: (n_images,) as for `Scanner.scan`. sampled: rows of the study, ascending.
    """
    rows = np.empty(0, np.int64) if sampled is None else sampled

    def items() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for chunk, (start, stop) in enumerate(pairwise(array.starts.tolist())):
            first, last = np.searchsorted(rows, [start, stop])
            yield chunk, group[start:stop], rows[first:last] - start

    scans = map_in_order(partial(_scan, array, epsilon), items())
    for start, (scan, here) in zip(array.starts.tolist(), scans, strict=False):  # starts end with the length
        yield start, scan, here


def _scan(
    array: ChunkedArray, epsilon: float, chunk: int, group: np.ndarray, sampled: np.ndarray
) -> tuple[ChunkScan, ChunkRows]:
    scanner = getattr(_of_thread, "scanner", None)
    if scanner is None or (scanner.n_features, scanner.epsilon) != (array.shape[1], epsilon):
        scanner = _of_thread.scanner = Scanner(array.shape[1], epsilon=epsilon)
    rows = ChunkRows.of_chunk(array, chunk)
    return scanner.scan(rows, group), rows.take(sampled)


def count_epsilons(array: ChunkedArray, train: np.ndarray, bar: Bar) -> EpsilonCounts:
    """Count the outcome of every candidate epsilon of firing on the train rows, in one pass.

    Args:
        train: (n_images,) bool.
    """
    total = EpsilonCounts(array.shape[1])
    for n_rows, counts in map_in_order(partial(_count, array), array.by_chunk(train)):
        total.merge(counts)
        bar.update(n_rows)
    return total


def _count(array: ChunkedArray, chunk: int, train: np.ndarray) -> tuple[int, EpsilonCounts]:
    counts = EpsilonCounts(array.shape[1])
    counts.update(ChunkRows.of_chunk(array, chunk), train)
    return len(train), counts


def join_rows(parts: list[RowStatistics]) -> RowStatistics:
    """Join the statistics of representations of several chunks to those of all images."""
    if not parts:
        return RowStatistics(*(np.empty(0) for _ in range(5)))
    columns = zip(*(vars(part).values() for part in parts), strict=True)
    return RowStatistics(*(np.concatenate(column) for column in columns))


class FeatureStatistics:
    """Statistics that add up over chunks. Order and size of chunks do not change the counts; moments agree up
    to rounding.

    Attributes:
        group_sums: (n_groups, n_features) float64 sums of normalised h.
        firing: (n_features, n_groups) int64 number of images of each group on which the feature fires.
    """

    def __init__(self, n_features: int, n_groups: int):
        self.moments = Moments.empty(n_features)  # of normalised rows
        self.raw_moments = Moments.empty(n_features)
        self.group_sums = np.zeros((n_groups, n_features))
        self.firing = np.zeros((n_features, n_groups), np.int64)

    def update(self, scan: ChunkScan, group: np.ndarray) -> None:
        """Add one chunk; `group` (n,) of its rows, -1 = left out."""
        self.moments = self.moments.merge(scan.columns.moments())
        self.raw_moments = self.raw_moments.merge(scan.columns.raw_moments())
        scan.columns.add_to(self.group_sums)
        firing_counts(scan.by_feature.begin, scan.by_feature.rows, group, self.firing)

    def merge(self, other: "FeatureStatistics") -> None:
        """Add the statistics of `other`."""
        self.moments = self.moments.merge(other.moments)
        self.raw_moments = self.raw_moments.merge(other.raw_moments)
        self.group_sums += other.group_sums
        self.firing += other.firing


class FiringStore:
    """Write the firing sets by row as they arrive, and transpose them by feature at the end."""

    def __init__(self, step: StepWriter, n_features: int):
        self.n_features, self.step = n_features, step
        self.counts: list[np.ndarray] = []
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self._excess: list[np.ndarray] = []
        self._pending: list[np.ndarray] = []
        self._n_pending = self._n_pieces = 0
        self._disk = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def add(self, scan: ChunkScan) -> None:
        self.counts.append(scan.count)
        self._parts.append((scan.by_feature.begin, scan.by_feature.rows))
        self._pending.append(scan.features)
        self._excess.append(scan.excess)
        self._n_pending += len(scan.features)
        if self._n_pending >= PIECE_ENTRIES:
            self._flush()

    def _flush(self) -> None:
        """Pass a piece to the disk once the previous one is written: at most two are held."""
        self._wait()
        none = np.empty(0, np.int32), np.empty(0, np.float32)
        piece = [none[0], *self._pending], [none[1], *self._excess]
        self._writing = self._disk.submit(self._write, self._n_pieces, piece)
        self._pending, self._excess = [], []
        self._n_pieces += 1
        self._n_pending = 0

    def _write(self, number: int, piece: tuple[list[np.ndarray], list[np.ndarray]]) -> None:
        for name, parts in zip(("firing_features", "firing_excess"), piece, strict=True):
            self.step.array(name).put(number, np.concatenate(parts))

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def stop(self) -> None:
        """End the writing of a pass whose result is not kept: the next pass overwrites its pieces."""
        self._wait()
        self._disk.shutdown()

    def finish(self) -> None:
        """Store the rest: `firing_count`, and rows by feature as `firing_by_feature_ptr` and `_rows`."""
        if self._n_pending or not self._n_pieces:
            self._flush()
        pointer, rows = rows_by_feature(self._parts, self.counts, self.n_features)
        self.stop()
        self.step.finish_array("firing_features", self._n_pieces)
        self.step.finish_array("firing_excess", self._n_pieces)
        self.step.vector("firing_count", np.concatenate([np.empty(0, np.int32), *self.counts]))
        self.step.vector("firing_by_feature_ptr", pointer)
        self.step.vector("firing_by_feature_rows", rows)


def rows_by_feature(
    parts: list[tuple[np.ndarray, np.ndarray]], counts: list[np.ndarray], n_features: int
) -> tuple[np.ndarray, np.ndarray]:
    """Join the firing sets of chunks of images by feature.

    Args:
        parts: begin and rows of each chunk, as in `ByFeature`. counts: firing features of each of its rows.
    Returns:
        pointer (n_features + 1,) int64 and rows int32: feature j fires on rows[pointer[j] : pointer[j + 1]],
        ascending.
    """
    pointer = sum((begin for begin, _ in parts), np.zeros(n_features + 1, np.int64))
    rows, ends, start = np.empty(pointer[-1], np.int32), pointer[:-1].copy(), 0
    for part, count in zip(parts, counts, strict=True):
        append_rows(*part, start, ends, rows)
        start += len(count)
    return pointer, rows


def complete_top_images(
    top: TopImages, array: ChunkedArray, rows: RowStatistics, bound: float | np.ndarray
) -> None:
    """Make features' top images, which were collected from firing entries only, exact.

    A feature whose k-th best value lies above all that do not fire is complete. The others are read again.

    Args:
        bound: no entry above it is silent; of all features, or (n_features,) of each.
    """
    weak = np.flatnonzero((top.least <= bound) & (bound > 0))
    if not len(weak):
        return
    top.restart(weak)
    scale = 1.0 / np.maximum(rows.norm, LEAST_NORM)
    spans = enumerate(pairwise(array.starts.tolist()))
    items = (  # each as it is when the chunk's turn comes
        (chunk, scale[start:stop], top.least[weak]) for chunk, (start, stop) in spans
    )
    for features, values, owners in map_in_order(partial(_entries_above, array, weak), items):
        top.add(ByFeature.of_entries(features, values, owners, array.shape[1]))


def _entries_above(
    array: ChunkedArray, columns: np.ndarray, chunk: int, scale: np.ndarray, least: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Feature, value and row of the entries of some columns that exceed the least of their column."""
    rows, start = ChunkRows.of_chunk(array, chunk), array.chunk_start(chunk)
    if rows.stored is None:
        bound = np.full(array.shape[1], np.inf, np.float32)
        bound[columns] = least  # which 0 does not exceed
        row = np.repeat(np.arange(len(rows)), np.diff(rows.begin))
        values = (rows.values * scale[row]).astype(np.float32)
        above = values > bound[rows.columns]
        return rows.columns[above], values[above], (row[above] + start).astype(np.int32)
    h = rows.stored[:, columns].astype(np.float64)
    h *= scale[:, None]
    values = h.astype(np.float32)
    row, column = np.nonzero(values > least)
    return columns[column].astype(np.int32), values[row, column], (row + start).astype(np.int32)
