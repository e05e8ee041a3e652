"""The dense pass over one chunk: what needs all entries of a row, computed while they are in cache.

Reductions are in float64 and thresholds are rounded so that comparing float32 entries decides exactly as
`features.highly_activating` does in float64. A chunk's result depends on the chunk alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from core.analysis.columns import ColumnSums
from core.analysis.numeric import LEAST_NORM, TIE, hoyer_of_norms
from core.errors import StudyError

BLOCK_ENTRIES = 128 * 2048  # a block and its float64 copies stay near the core
NEARLY_FLAT = 1e-6  # variance / mean² below which the one-pass variance loses digits and is redone in two


@dataclass(frozen=True)
class RowStatistics:
    """One value a row, (n,) float64 each; all but `norm` and `hoyer` are of the normalised row."""

    norm: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    max_activation: np.ndarray
    hoyer: np.ndarray

    def threshold(self, epsilon: float) -> np.ndarray:
        """mu_i + eps sigma_i."""
        return self.mean + epsilon * self.std


@dataclass(frozen=True)
class ChunkScan:
    """What the dense pass finds in one chunk."""

    rows: RowStatistics
    count: np.ndarray  # (n,) int32 firing features of each row
    features: np.ndarray  # (n_firing,) int32, row by row
    values: np.ndarray  # (n_firing,) float32 normalised activation
    excess: np.ndarray  # (n_firing,) float32 h_ij - mu_i
    columns: ColumnSums  # of the rows that belong to a group


class Scanner:
    """Scans chunks with reused buffers; one for each thread.

    Args:
        epsilon: firing threshold in standard deviations.
    """

    def __init__(self, n_features: int, *, epsilon: float):
        self.n_features, self.epsilon = n_features, epsilon
        self.block = max(8, BLOCK_ENTRIES // n_features)
        shape = (self.block, n_features)
        self._wide = torch.empty(shape, dtype=torch.float64)
        self._square = torch.empty(shape, dtype=torch.float64)
        self._mask = np.empty(shape, bool)

    def scan(self, chunk: np.ndarray, group: np.ndarray) -> ChunkScan:
        """Scan one chunk.

        Args:
            chunk: (n, n_features) float32 or float16, raw.
            group: (n,) int, the class of a train row; -1 leaves a row out of the column statistics.
        Raises:
            StudyError: a row holds NaN or infinity.
        """
        columns = ColumnSums.of_groups(group, self.n_features)
        moments = np.empty((5, len(chunk)))  # sum, sum of squares, maximum, sum of magnitudes, deviation
        found = [
            self._scan_block(as_float32(chunk[start : start + self.block]), start, moments, columns)
            for start in range(0, len(chunk), self.block)
        ]
        place, raw = (
            (np.concatenate(part) for part in zip(*found, strict=True)) if found else np.empty((2, 0))
        )
        return self._assemble(moments, place.astype(np.int64), raw, columns)

    def _scan_block(
        self, x: np.ndarray, start: int, moments: np.ndarray, columns: ColumnSums
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fill the block's part of `moments`; return places (row * r + feature) and values that fire."""
        n, r = x.shape
        wide, here = self._wide[:n], slice(start, start + n)
        np.copyto(wide.numpy(), x)
        square = torch.mul(wide, wide, out=self._square[:n])
        total, squares = wide.sum(1).numpy(), square.sum(1).numpy()
        check_finite(squares, start)
        magnitude = total if x.min() >= 0 else wide.abs().sum(1).numpy()
        mean = total / r
        variance = squares / r - mean**2
        flat = variance < NEARLY_FLAT * mean**2
        if flat.any():
            variance[flat] = np.square(x[flat] - mean[flat, None]).mean(1)
        std = np.sqrt(np.maximum(variance, 0.0))
        moments[:, here] = total, squares, x.max(1), magnitude, std
        columns.add(here, wide, square, 1.0 / np.maximum(np.sqrt(squares), LEAST_NORM))
        threshold = floor_float32(mean + self.epsilon * std + TIE * (np.abs(mean) + std))
        place = np.flatnonzero(np.greater(x, threshold[:, None], out=self._mask[:n]))
        return place + start * r, x.reshape(-1)[place]

    def _assemble(
        self, moments: np.ndarray, place: np.ndarray, raw: np.ndarray, columns: ColumnSums
    ) -> ChunkScan:
        total, squares, peak, magnitude, std = moments
        norm = np.sqrt(squares)
        scale = 1.0 / np.maximum(norm, LEAST_NORM)
        mean = total / self.n_features * scale
        rows = RowStatistics(
            norm, mean, std * scale, peak * scale, hoyer_of_norms(magnitude, norm, self.n_features).numpy()
        )
        owner = place // self.n_features
        values = raw.astype(np.float64) * scale[owner]
        return ChunkScan(
            rows,
            np.bincount(owner, minlength=len(norm)).astype(np.int32),
            (place - owner * self.n_features).astype(np.int32),
            values.astype(np.float32),
            (values - mean[owner]).astype(np.float32),
            columns,
        )


def as_float32(block: np.ndarray) -> np.ndarray:
    """A block as float32, exactly; torch widens half precision ten times as fast as numpy."""
    if block.dtype == np.float16:
        return torch.from_numpy(np.array(block)).float().numpy()
    return np.asarray(block, np.float32)


def check_finite(squares: np.ndarray, start: int) -> None:
    """Raise StudyError when the sum of squares of a row, `start` + its position, is NaN or infinite."""
    bad = np.flatnonzero(~np.isfinite(squares))
    if bad.size:
        raise StudyError(
            f"representations hold NaN or infinity (row {start + bad[0]} of a chunk). Run embed again"
        )


def floor_float32(values: np.ndarray) -> np.ndarray:
    """The largest float32 <= each value: a float32 x has x > value exactly if x > floor_float32(value)."""
    rounded = values.astype(np.float32)
    return np.where(rounded > values, np.nextafter(rounded, np.float32(-np.inf)), rounded)
