"""Statistics that can be accumulated: sums of columns, and the highest-valued rows of each feature."""

from dataclasses import dataclass

import numpy as np

from core.analysis.features import entry_kernels
from core.analysis.features.rows import ChunkRows
from core.common.statistics.moments import Moments


def by_group(group: np.ndarray) -> np.ndarray:
    """Rows with a group, of group (n,) int that is -1 for those without, in the order of the groups."""
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
        entry_kernels.sort_entries(features, rows, values, ends, sorted_rows, sorted_values)
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
            n = entry_kernels.sum_cells(
                by_group(self.local), *entries, np.full(chunk.n_features, -1), cells, sums
            )
            self.cells, self.sums = cells[:n], sums[:n]
        elif chunk.is_sparse:
            entry_kernels.sum_rows(by_group(self.local), *entries, self.sums)

    def add_to(self, group_sums: np.ndarray) -> None:
        """Add the sums to those of all groups, (n_groups, n_features) float64."""
        if self._by_cell:
            entry_kernels.add_cells(self.cells, self.sums, self.present, group_sums)
        else:
            entry_kernels.add_rows(self.sums, self.present, group_sums)

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
        entry_kernels.keep_best(entries.begin, entries.rows, bits, start, self._heaps, least)

    def restart(self, features: np.ndarray) -> None:
        """Discard the rows of these features but keep their thresholds, which only exclude worse rows.

        The rows at the threshold have exactly that value, so the threshold is lowered by one step.
        """
        self._heaps[features] = 0
        self.least[features] = np.nextafter(self.least[features], np.float32(-1)).clip(min=0)
