"""One chunk of representations: its rows as float32, what is accumulated over chunks, and the dense pass."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from core.analysis import kernels
from core.analysis.kernels import make_dense, scan_rows
from core.analysis.tensors import hoyer_of_norms
from core.common.dataframes import LEAST_NORM
from core.common.moments import Moments
from core.common.threads import cached_property
from core.errors import StudyError
from core.study.chunked_array import ChunkedArray
from core.study.layers import DenseCodes

# The rows of a chunk of representations, block by block as float32: stored as such, or as codes by entry.


BLOCK_ENTRIES = 256 * 2048  # of half precision that is widened at once, and of firing entries
IN_CACHE = 1 << 18  # entries of codes that are dense at once: 1 MiB
NOWHERE = np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32)
# Chunks are memory-mapped read-only, which torch cannot express; nothing here writes to them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


class ChunkRows:
    """ChunkRows (n, r) of a chunk.

    Args:
        stored: (n, r) float32 or float16; None for codes.
        begin, columns, values: codes by entry: row i is values[begin[i] : begin[i + 1]] at these columns,
            ascending, and 0 elsewhere. begin and columns are empty for rows that are stored.
    """

    def __init__(
        self,
        stored: np.ndarray | None,
        n_features: int,
        begin: np.ndarray = NOWHERE[0],
        columns: np.ndarray = NOWHERE[1],
        values: np.ndarray = NOWHERE[2],
    ):
        self.stored, self.n_features = stored, n_features
        self.begin, self.columns, self.values = begin, _unwritten(columns), _unwritten(values)

    @classmethod
    def of_chunk(cls, array: ChunkedArray, chunk: int) -> "ChunkRows":
        if not isinstance(array, DenseCodes):
            return cls(array.chunk(chunk), array.shape[1])
        begin, columns, values = array.entries(chunk)
        return cls(None, array.shape[1], begin, columns, values)

    def __len__(self) -> int:
        return len(self.begin) - 1 if self.stored is None else len(self.stored)

    @property
    def is_sparse(self) -> bool:
        return self.stored is None

    def take(self, rows: np.ndarray) -> "ChunkRows":
        """The rows of these numbers."""
        if self.stored is not None:
            return ChunkRows(np.asarray(self.stored[rows]), self.n_features)
        n = np.diff(self.begin)[rows]
        begin = np.concatenate([[0], np.cumsum(n)])
        shifts = self.begin[rows] - begin[:-1]
        entries = np.repeat(shifts, n) + np.arange(begin[-1])
        return ChunkRows(None, self.n_features, begin, self.columns[entries], self.values[entries])

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield pairs (which rows, their float32 entries), in order; a block of codes until the next one."""
        yield from self.stored_blocks() if self.stored is not None else self._dense_blocks()

    def stored_blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the pairs of `blocks` for stored rows; for codes a single block without entries."""
        if self.stored is None:
            yield slice(0, len(self)), _unwritten(np.zeros((0, 0), np.float32))
            return
        size = max(8, BLOCK_ENTRIES // max(self.n_features, 1))
        height = max(1, len(self)) if self.stored.dtype == np.float32 else size
        for first in range(0, len(self), height):
            here = slice(first, min(first + height, len(self)))
            yield here, _as_float32(self.stored[here])

    def _dense_blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Codes are dense in one buffer that stays in the cache, which is cleared entry by entry."""
        dense = np.zeros((max(1, IN_CACHE // max(self.n_features, 1)), self.n_features), np.float32)
        before = self.begin[:1]
        for first in range(0, len(self), len(dense)):
            here = slice(first, min(first + len(dense), len(self)))
            ends = self.begin[here.start : here.stop + 1]
            make_dense(before, ends, self.columns, self.values, dense)
            yield here, dense[: len(ends) - 1]
            before = ends


def _unwritten(values: np.ndarray) -> np.ndarray:
    """A view that cannot be written to, as of mapped files: loops are compiled for one kind only."""
    view = np.asarray(values).view()
    view.flags.writeable = False
    return view


def _as_float32(block: np.ndarray) -> np.ndarray:
    """Convert a chunk of representations to float32 exactly; torch widens half precision fast."""
    if block.dtype == np.float16:
        return torch.from_numpy(np.array(block)).float().numpy()
    return np.ascontiguousarray(block, np.float32).view(np.ndarray)


# Statistics that can be accumulated: sums of columns, and the highest-valued rows of each feature.


def _by_group(group: np.ndarray) -> np.ndarray:
    """Rows of images with a group, in the order of the groups; group: (n,) int, -1 for none."""
    return np.argsort(group, kind="stable")[np.count_nonzero(group < 0) :]


@dataclass(frozen=True)
class ByFeature:
    """Entries of some rows by feature: those of feature j are begin[j] : begin[j + 1], in order of rows.

    Args:
        begin: (n_features + 1,) int64. rows: int32 and values: float32 of each entry.
    """

    begin: np.ndarray
    rows: np.ndarray
    values: np.ndarray

    @classmethod
    def of_entries(
        cls, features: np.ndarray, values: np.ndarray, rows: np.ndarray, n_features: int
    ) -> "ByFeature":
        """Sort entries, feature (int32), value (float32) and row (int32) of each, with ascending rows."""
        ends = np.zeros(n_features + 2, np.int64)
        sorted_rows, sorted_values = np.empty_like(rows), np.empty_like(values)
        kernels.sort_entries(features, rows, values, ends, sorted_rows, sorted_values)
        return cls(ends[:-1], sorted_rows, sorted_values)


class ColumnSums:
    """Sums by group and squared sums of one chunk's rows; `kernels.scan_rows` adds to them.

    Args:
        present: (n_present,) the groups that occur, ascending.
        local: (n,) position in `present` of each row's group; -1 for rows without a group.
        chunk: the rows.

    Attributes:
        sums: (n_present, n_features) float64 and squares: (n_features,) float64, of normalised rows. Of
            sparse rows with few entries, sums is (n_cells,), of the pairs `cells` of a position
            in `present` and a feature.
        raw_sums: (2, n_features) float64, sums and squared sums of the raw rows.
    """

    def __init__(self, present: np.ndarray, local: np.ndarray, chunk: ChunkRows):
        self.present, self.local = present, local
        in_cells = 2 * len(chunk.columns)  # as many numbers as cells take
        self._by_cell = chunk.is_sparse and len(present) * chunk.n_features > in_cells
        fresh = np.empty if chunk.is_sparse else np.zeros  # `sum_rows` fills them
        self.sums = fresh((0 if self._by_cell else len(present), chunk.n_features))
        self.squares = np.zeros(chunk.n_features)
        self.raw_sums = np.zeros((2, chunk.n_features))
        self.cells = np.zeros((0, 2), np.int32)

    @classmethod
    def of_groups(cls, group: np.ndarray, chunk: ChunkRows) -> "ColumnSums":
        """Prepare sums for rows of the given groups (n,) int; rows with -1 are left out."""
        member = group >= 0
        present, positions = np.unique(group[member], return_inverse=True)
        local = np.full(len(group), -1, np.int64)
        local[member] = positions
        return cls(present, local, chunk)

    def sum_entries(self, chunk: ChunkRows, scale: np.ndarray) -> None:
        """Sum sparse rows once they are scanned; scale (n,) float64 normalises them."""
        entries = self.local, chunk.begin, chunk.columns, chunk.values, scale
        if self._by_cell:
            cells, sums = np.empty((len(chunk.columns), 2), np.int32), np.empty(len(chunk.columns))
            n = kernels.sum_cells(_by_group(self.local), *entries, np.full(chunk.n_features, -1), cells, sums)
            self.cells, self.sums = cells[:n], sums[:n]
        elif chunk.is_sparse:
            kernels.sum_rows(_by_group(self.local), *entries, self.sums)

    def add_to(self, group_sums: np.ndarray) -> None:
        """Add the sums to those of all groups, (n_groups, n_features) float64."""
        if self._by_cell:
            kernels.add_cells(self.cells, self.sums, self.present, group_sums)
        else:
            kernels.add_rows(self.sums, self.present, group_sums)

    def moments(self) -> Moments:
        """Moments of the normalised columns over all rows with a group."""
        n_features = len(self.squares)
        of_cells = self.cells[:, 1], self.sums, n_features
        sums = np.bincount(*of_cells) if self._by_cell else self.sums.sum(0)
        return Moments.from_sums(self._n_rows, sums, self.squares)

    def raw_moments(self) -> Moments:
        """Moments of the raw columns."""
        return Moments.from_sums(self._n_rows, *self.raw_sums)

    @property
    def _n_rows(self) -> int:
        return int(np.count_nonzero(self.local >= 0))


class TopImages:
    """The k rows with the largest positive value of each feature; ties in row order.

    Entries must come in ascending row order.
    """

    def __init__(self, n_features: int, k: int = 64):
        self._heaps = np.zeros((n_features, k), np.int64)
        self.least = np.zeros(n_features, np.float32)  # a value must exceed this to enter

    def descending(self) -> tuple[np.ndarray, np.ndarray]:
        """(n_features, k) int32 rows, largest value first, -1 where there are fewer; their float32 values, 0
        there.
        """
        keys = np.sort(self._heaps, 1)[:, ::-1]
        return (~keys).astype(np.int32), (keys >> 32).astype(np.int32).view(np.float32)

    def add(self, entries: ByFeature, start: int = 0) -> None:
        """Offer entries of rows that are counted from row `start` on."""
        bits, least = entries.values.view(np.int32), self.least.view(np.int32)
        kernels.keep_best(entries.begin, entries.rows, bits, start, self._heaps, least)

    def restart(self, features: np.ndarray) -> None:
        """Discard the rows of these features but keep their thresholds, which only exclude worse rows.

        The rows at the threshold have exactly that value, so the threshold is lowered by one step.
        """
        self._heaps[features] = 0
        self.least[features] = np.nextafter(self.least[features], np.float32(-1)).clip(min=0)


# The dense pass over one chunk: everything that needs all entries of a row, while they are in cache.


@dataclass(frozen=True)
class RowStatistics:
    """One value per row, (n,) float64 each; all except `norm` and `hoyer` refer to the normalised row."""

    norm: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    max_activation: np.ndarray
    hoyer: np.ndarray

    @classmethod
    def of_moments(cls, moments: np.ndarray, n_features: int) -> "RowStatistics":
        """Compute from mean, sum of squares, deviation, maximum and sum of magnitudes of raw rows, (5, n)."""
        mean, squares, std, peak, magnitude = moments
        norm = np.sqrt(squares)
        scale = 1.0 / np.maximum(norm, LEAST_NORM)
        hoyer = hoyer_of_norms(magnitude, norm, n_features).numpy()
        return cls(norm, mean * scale, std * scale, peak * scale, hoyer)

    def threshold(self, epsilon: float) -> np.ndarray:
        """mu_i + eps sigma_i."""
        return self.mean + epsilon * self.std


@dataclass(frozen=True)
class ChunkScan:
    """The result of the dense pass over one chunk."""

    rows: RowStatistics
    count: np.ndarray  # (n,) int32 firing features of each row
    features: np.ndarray  # (n_firing,) int32, row by row
    values: np.ndarray  # (n_firing,) float32 normalised activation
    excess: np.ndarray  # (n_firing,) float32 h_ij - mu_i
    columns: ColumnSums  # of the rows with a group
    silent: np.ndarray | None  # (r,) float32 largest positive activation that does not fire; None if unknown

    @cached_property
    def by_feature(self) -> ByFeature:
        """The firing entries; rows are counted from the chunk's first one."""
        rows = np.repeat(np.arange(len(self.count), dtype=np.int32), self.count)
        return ByFeature.of_entries(self.features, self.values, rows, len(self.columns.squares))


class Scanner:
    """Scan chunks with reused buffers; use one instance per thread.

    Args:
        epsilon: firing threshold in standard deviations.
    """

    def __init__(self, n_features: int, *, epsilon: float):
        self.n_features, self.epsilon = n_features, epsilon
        room = max(BLOCK_ENTRIES, n_features)
        self._entries = np.empty(room, np.int32), np.empty(room, np.float32), np.empty(room, np.float32)

    def scan(self, chunk: ChunkRows, group: np.ndarray) -> ChunkScan:
        """Scan one chunk.

        Args:
            chunk: n raw rows.
            group: (n,) int, the class of a train row; -1 leaves a row out of the column statistics.
        Raises:
            StudyError: a row holds NaN or infinity.
        """
        columns = ColumnSums.of_groups(group, chunk)
        moments, count = np.empty((5, len(chunk))), np.empty(len(chunk), np.int32)
        parts, silent = list[tuple[np.ndarray, ...]](), np.zeros(self.n_features, np.float32)
        n_firing, dense = 0, np.zeros(self.n_features if chunk.is_sparse else 0, np.float32)
        for here, x in chunk.stored_blocks():
            start, n = 0, here.stop - here.start
            while True:
                start, n_firing = scan_rows(
                    x, x.view(np.int32), chunk.begin, chunk.columns, chunk.values, dense,
                    dense.view(np.int32), start, columns.local[here], self.epsilon, moments[:, here],
                    columns.sums, columns.squares, columns.raw_sums, silent, count[here], n_firing,
                    *self._entries,
                )  # fmt: skip
                if start == n:
                    break
                parts.append(tuple(buffer[:n_firing].copy() for buffer in self._entries))
                n_firing = 0
        parts.append(tuple(buffer[:n_firing].copy() for buffer in self._entries))
        check_finite_squares(moments[1])
        joined = (part[0] if len(part) == 1 else np.concatenate(part) for part in zip(*parts, strict=True))
        features, values, excess = joined
        rows = RowStatistics.of_moments(moments, self.n_features)
        columns.sum_entries(chunk, 1.0 / np.maximum(rows.norm, LEAST_NORM))
        return ChunkScan(rows, count, features, values, excess, columns, silent if chunk.is_sparse else None)


def check_finite_squares(squares: np.ndarray) -> None:
    """Raise StudyError when a representation's sum of squares is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(squares))
    if bad.size:
        raise StudyError(f"representations hold NaN or infinity (row {bad[0]} of a chunk). Run embed again")
