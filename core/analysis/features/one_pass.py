"""One pass over a study's representations: row statistics, firing sets, column statistics, top images.

Several threads scan the chunks; results are used in order, so they do not depend on the number of threads.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch

from core.analysis.features.accumulators import TopImages
from core.analysis.features.activations import Activations
from core.analysis.features.chunk_scan import ChunkScan, RowStatistics, Scanner
from core.analysis.features.epsilon import EpsilonCounts
from core.analysis.features.kernels import firing_counts, place_rows
from core.common.arrays import LEAST_NORM
from core.common.statistics.moments import Moments
from core.jobs.progress import Bar
from core.storage.chunked_array import ChunkedArray
from core.storage.writer import StepWriter

PIECE_ENTRIES = 1 << 20  # minimum firing entries per stored piece; written while others are scanned
MAX_THREADS = 8
Result = TypeVar("Result")


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Restrict torch to one core per thread, because the threads together use all cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def map_in_order(work: Callable[[int], Result], n: int) -> Iterator[Result]:
    """Compute work(0), work(1) … in several threads; yield in order, and hold only a few results."""
    threads = max(1, min(os.cpu_count() or 1, MAX_THREADS, n))
    with one_torch_thread(), ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for number in range(n):
                waiting.append(pool.submit(work, number))
                if len(waiting) > threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def scan_chunks(
    array: ChunkedArray, group: np.ndarray, *, epsilon: float, sample: ActivationSample | None = None
) -> Iterator[tuple[int, ChunkScan]]:
    """Yield pairs (first row, scan) of every chunk, in order.

    Args:
        group: (n_images,) as for `Scanner.scan`. sample: rows whose values are recorded on the way.
    """
    per_thread = threading.local()

    def work(chunk: int) -> tuple[int, ChunkScan]:
        if not hasattr(per_thread, "scanner"):
            per_thread.scanner = Scanner(array.shape[1], epsilon=epsilon)
        start, raw = array.chunk_start(chunk), array.chunk(chunk)
        result = per_thread.scanner.scan(raw, group[start : start + len(raw)])
        if sample is not None:
            sample.look(start, raw)
        return start, result

    yield from map_in_order(work, array.n_chunks)


class ActivationSample:
    """Collect the activations of some rows while several threads scan."""

    def __init__(self, rows: np.ndarray, n_features: int, *, near_zero: float):
        self.rows = rows
        self.activations = Activations(n_features, near_zero=near_zero)
        self._lock = threading.Lock()

    def look(self, start: int, raw: np.ndarray) -> None:
        """Add the sampled rows among the rows start, start + 1 … of `raw`."""
        first, last = np.searchsorted(self.rows, [start, start + len(raw)])
        part = raw[self.rows[first:last] - start]
        with self._lock:  # counts are integers: the order of the threads does not matter
            self.activations.update(part)


def count_epsilons(array: ChunkedArray, train: np.ndarray, bar: Bar) -> EpsilonCounts:
    """Count the outcome of every candidate epsilon on the train rows, in one pass.

    Args:
        train: (n_images,) bool.
    """
    total = EpsilonCounts(array.shape[1])

    def work(chunk: int) -> tuple[int, EpsilonCounts]:
        start, raw = array.chunk_start(chunk), array.chunk(chunk)
        counts = EpsilonCounts(array.shape[1])
        counts.update(raw, train[start : start + len(raw)])
        return len(raw), counts

    for n_rows, counts in map_in_order(work, array.n_chunks):
        total.merge(counts)
        bar.update(n_rows)
    return total


def join_rows(parts: list[RowStatistics]) -> RowStatistics:
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
        self.n_features, self.n_groups = n_features, n_groups
        self.moments = Moments.empty(n_features)  # of normalised rows
        self.raw_moments = Moments.empty(n_features)
        self.group_sums = np.zeros((n_groups, n_features))
        self.firing = np.zeros((n_features, n_groups), np.int64)

    def update(self, scan: ChunkScan, group: np.ndarray) -> None:
        """Add one chunk; `group` (n,) of its rows, -1 = left out."""
        self.moments = self.moments.merge(scan.columns.moments())
        self.raw_moments = self.raw_moments.merge(scan.columns.raw_moments())
        self.group_sums[scan.columns.present] += scan.columns.sums
        firing_counts(scan.features, scan.count, group, self.firing)

    def merge(self, other: FeatureStatistics) -> None:
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
        self.features: list[np.ndarray] = []
        self._excess: list[np.ndarray] = []
        self._pending: list[np.ndarray] = []
        self._n_pending = self._n_pieces = 0
        self._disk = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def add(self, scan: ChunkScan) -> None:
        self.counts.append(scan.count)
        self.features.append(scan.features)
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
        pointer, rows = rows_by_feature(self.features, self.counts, self.n_features)
        self.stop()
        self.step.finish_array("firing_features", self._n_pieces)
        self.step.finish_array("firing_excess", self._n_pieces)
        self.step.vector("firing_count", np.concatenate([np.empty(0, np.int32), *self.counts]))
        self.step.vector("firing_by_feature_ptr", pointer)
        self.step.vector("firing_by_feature_rows", rows)


def rows_by_feature(
    features: list[np.ndarray], counts: list[np.ndarray], n_features: int
) -> tuple[np.ndarray, np.ndarray]:
    """Transpose firing sets from rows to features.

    Args:
        features: firing features, chunk by chunk and row by row. counts: number in each row.
    Returns:
        pointer (n_features + 1,) int64 and rows int32: feature j fires on rows[pointer[j] : pointer[j + 1]],
        ascending.
    """
    sizes = sum(
        (np.bincount(part, minlength=n_features) for part in features), np.zeros(n_features, np.int64)
    )
    pointer = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rows, free, start = np.empty(pointer[-1], np.int32), pointer[:-1].copy(), 0
    for part, count in zip(features, counts, strict=True):
        place_rows(part, count, start, free, rows)
        start += len(count)
    return pointer, rows


def complete_top_images(top: TopImages, array: ChunkedArray, rows: RowStatistics, bound: float) -> None:
    """Make `top`, which was collected from firing entries only, exact.

    Every entry above the largest firing threshold fires, so a feature whose k-th best value lies above it is
    complete. The other features are read again.

    Args:
        bound: largest mu_i + eps sigma_i of any row.
    """
    weak = np.flatnonzero(top.least <= bound * (1 + 1e-6))
    if not len(weak):
        return
    top.restart(weak)
    scale = 1.0 / np.maximum(rows.norm, LEAST_NORM)

    def work(chunk: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        start, raw = array.chunk_start(chunk), array.chunk(chunk)
        h = raw[:, weak].astype(np.float64)
        h *= scale[start : start + len(raw), None]
        values = h.astype(np.float32)
        row, column = np.nonzero(values > top.least[weak])
        return weak[column].astype(np.int32), values[row, column], (row + start).astype(np.int32)

    for entries in map_in_order(work, array.n_chunks):
        top.add(*entries)
