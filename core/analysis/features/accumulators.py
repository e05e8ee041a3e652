"""Statistics that can be accumulated: sums of columns, and the highest-valued rows of each feature."""

from __future__ import annotations

import numpy as np

from core.analysis.features.kernels import add_cells, keep_best, sum_cells
from core.analysis.features.rows import ChunkRows
from core.common.statistics.moments import Moments


def by_group(group: np.ndarray) -> np.ndarray:
    """ChunkRows with a group, of group (n,) int that is -1 for those without, in the order of the groups."""
    return np.argsort(group, kind="stable")[np.count_nonzero(group < 0) :]


class ColumnSums:
    """Sums by group and squared sums of one chunk's rows; `kernels.scan_rows` adds to them.

    Args:
        present: (n_present,) the groups that occur, ascending.
        local: (n,) position in `present` of each row's group; -1 for rows without a group.
        chunk: the rows.

    Attributes:
        sums: (n_present, n_features) float64 and squares: (n_features,) float64, of normalised rows. Of
            sparse rows sums is (n_cells,), of the pairs `cells` of a position in `present` and a feature.
        raw_sums: (2, n_features) float64, sums and squared sums of the raw rows.
    """

    def __init__(self, present: np.ndarray, local: np.ndarray, chunk: ChunkRows):
        self.present, self.local = present, local
        self.sums = np.zeros((0 if chunk.is_sparse else len(present), chunk.n_features))
        self.squares = np.zeros(chunk.n_features)
        self.raw_sums = np.zeros((2, chunk.n_features))
        self.cells = np.zeros((0, 2), np.int32)

    @classmethod
    def of_groups(cls, group: np.ndarray, chunk: ChunkRows) -> ColumnSums:
        """Prepare sums for rows of the given groups (n,) int; rows with -1 are left out."""
        member = group >= 0
        present, positions = np.unique(group[member], return_inverse=True)
        local = np.full(len(group), -1, np.int64)
        local[member] = positions
        return cls(present, local, chunk)

    def sum_entries(self, chunk: ChunkRows, scale: np.ndarray) -> None:
        """Sum sparse rows once they are scanned; scale (n,) float64 normalises them."""
        if chunk.is_sparse:
            cells, sums = np.empty((len(chunk.columns), 2), np.int32), np.empty(len(chunk.columns))
            entries, latest = (chunk.begin, chunk.columns, chunk.values), np.full(chunk.n_features, -1)
            n = sum_cells(by_group(self.local), self.local, *entries, scale, latest, cells, sums)
            self.cells, self.sums = cells[:n], sums[:n]

    def add_to(self, group_sums: np.ndarray) -> None:
        """Add the sums to those of all groups, (n_groups, n_features) float64."""
        if self.sums.ndim == 1:
            add_cells(self.cells, self.sums, self.present, group_sums)
        else:
            group_sums[self.present] += self.sums

    def moments(self) -> Moments:
        """Moments of the normalised columns over all rows with a group."""
        n_features = len(self.squares)
        is_sparse = self.sums.ndim == 1
        sums = np.bincount(self.cells[:, 1], self.sums, n_features) if is_sparse else self.sums.sum(0)
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
        self.rows = np.full((n_features, k), -1, np.int32)
        self.values = np.zeros((n_features, k), np.float32)
        self.least = np.zeros(n_features, np.float32)  # a value must exceed this to enter

    def add(self, features: np.ndarray, values: np.ndarray, rows: np.ndarray) -> None:
        """Offer entries: feature (int32), value (float32) and row (int32) of each, (m,) arrays."""
        keep_best(features, values, rows, self.rows, self.values, self.least)

    def restart(self, features: np.ndarray) -> None:
        """Discard the rows of these features but keep their thresholds, which only exclude worse rows.

        The rows at the threshold have exactly that value, so the threshold is lowered by one step.
        """
        self.rows[features], self.values[features] = -1, 0
        self.least[features] = np.nextafter(self.least[features], np.float32(-1)).clip(min=0)
