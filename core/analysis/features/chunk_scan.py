"""The dense pass over one chunk: everything that needs all entries of a row, while they are in cache."""

from dataclasses import dataclass

import numpy as np

from core.analysis.features.accumulators import ByFeature, ColumnSums
from core.analysis.features.kernels import scan_rows
from core.analysis.features.rows import BLOCK_ENTRIES, ChunkRows
from core.analysis.tensors import hoyer_of_norms
from core.common.dataframes import LEAST_NORM
from core.common.threadsafe import cached_property
from core.errors import StudyError


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
    """Raise StudyError when the sum of squares of a row is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(squares))
    if bad.size:
        raise StudyError(f"representations hold NaN or infinity (row {bad[0]} of a chunk). Run embed again")
