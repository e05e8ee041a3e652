"""The dense pass over one chunk: what needs all entries of a row, computed while they are in cache.

Which features fire is decided exactly as `features.highly_activating` decides in float64, whatever the
precision of the pass: thresholds are rounded so that comparing float32 entries is exact, and rows with an
entry too near its threshold for single precision are done again in double.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch

from core.analysis.columns import ColumnSums
from core.analysis.numeric import LEAST_NORM, TIE, hoyer_of_norms
from core.errors import StudyError

BLOCK_ENTRIES = 256 * 2048  # a block stays near the core, and is worth the calls
SIGN_BIT = np.uint32(0x80000000)
# Chunks are memory-mapped read-only, which torch cannot express; nothing here writes to them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")


@dataclass(frozen=True)
class Precision:
    """Precision of the sums over rows and columns of one block (blocks are added up in float64).

    Args:
        slack: relative distance to its threshold within which an entry's row is done again in double.
        flat: variance / mean² of a row below which its one-pass variance loses too many digits.
    """

    dtype: type
    slack: float
    flat: float


DOUBLE = Precision(np.float64, 0.0, 1e-6)
SINGLE = Precision(np.float32, 2e-5, 0.25)  # sums good to 1e-6; twice as fast where memory is the limit
SINGLE_FROM = 1 << 27  # entries of a study from which its blocks are summed in single precision


def precision_for(n_entries: int) -> Precision:
    """Double, but single for studies so large that their statistics average the rounding away."""
    return SINGLE if n_entries >= SINGLE_FROM else DOUBLE


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

    def __init__(self, n_features: int, *, epsilon: float, precision: Precision = DOUBLE):
        self.n_features, self.epsilon, self.precision = n_features, epsilon, precision
        self.block = max(8, BLOCK_ENTRIES // n_features)
        shape = (self.block, n_features)
        self._wide = np.empty(shape if precision.dtype is np.float64 else 0, np.float64)
        self._space = np.empty(shape, precision.dtype)
        self._mask = np.empty(shape, bool)
        self._ones = np.ones(n_features, precision.dtype)

    def scan(self, chunk: np.ndarray, group: np.ndarray) -> ChunkScan:
        """Scan one chunk.

        Args:
            chunk: (n, n_features) float32 or float16, raw.
            group: (n,) int, the class of a train row; -1 leaves a row out of the column statistics.
        Raises:
            StudyError: a row holds NaN or infinity.
        """
        columns = ColumnSums.of_groups(group, self.n_features, self.precision.dtype)
        moments = np.empty((5, len(chunk)))  # mean, sum of squares, deviation, maximum, sum of magnitudes
        found = [
            self._scan_block(as_float32(chunk[start : start + self.block]), start, moments, columns)
            for start in range(0, len(chunk), self.block)
        ]
        nothing = (np.empty(0, np.int64), np.empty(0, np.float32))
        place, raw = (np.concatenate(part) for part in zip(nothing, *found, strict=True))
        return self._assemble(moments, place, raw, columns)

    def _scan_block(
        self, x: np.ndarray, start: int, moments: np.ndarray, columns: ColumnSums
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fill the block's part of `moments`; return places (row * r + feature) and values that fire."""
        n, r = x.shape
        here = moments[:, start : start + n]
        wide = x if self.precision.dtype is np.float32 else self._wide[:n]
        if wide is not x:
            np.copyto(wide, x)
        here[0] = np.vecdot(wide, self._ones)
        here[1] = np.vecdot(wide, wide)
        check_finite(here[1], start)
        here[3], negative = row_maxima(x)
        here[4] = np.abs(wide).sum(1) if negative else here[0]
        here[0] /= r
        variance = here[1] / r - here[0] ** 2
        here[2] = np.sqrt(np.maximum(variance, 0.0))
        redo_rows(here, x, np.flatnonzero(variance < self.precision.flat * here[0] ** 2))
        scale = 1.0 / np.maximum(np.sqrt(here[1]), LEAST_NORM)
        columns.add(slice(start, start + n), wide, scale, self._space[:n])
        place, values = self._firing(x, here)
        return place + start * r, values

    def _firing(self, x: np.ndarray, here: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        threshold = self._threshold(here)
        slack = self.precision.slack * (np.abs(here[0]) + (1.0 + self.epsilon) * here[2])
        limit = floor_float32(threshold - slack)
        place = self._above(x, limit)
        values, owner = x.reshape(-1)[place], place // self.n_features
        near = np.flatnonzero(values <= (threshold + slack)[owner])
        if len(near):  # below the threshold, or too near to tell: the latter are made exact
            redo_rows(here, x, np.unique(owner[near][values[near] > limit[owner[near]]]))
            fires = values > self._threshold(here)[owner]
            return place[fires], values[fires]
        return place, values

    def _above(self, x: np.ndarray, limit: np.ndarray) -> np.ndarray:
        """Places of at least all entries above their row's limit.

        One limit for the whole block is compared twice as fast as one a row, and lets little more through
        where rows are alike.
        """
        least = limit.min()
        alike = least > 0.5 * limit.mean()
        return true_places(np.greater(x, least if alike else limit[:, None], out=self._mask[: len(x)]))

    def _threshold(self, here: np.ndarray) -> np.ndarray:
        mean, std = here[0], here[2]
        return mean + self.epsilon * std + TIE * (np.abs(mean) + std)

    def _assemble(
        self, moments: np.ndarray, place: np.ndarray, raw: np.ndarray, columns: ColumnSums
    ) -> ChunkScan:
        mean, squares, std, peak, magnitude = moments
        norm = np.sqrt(squares)
        scale = 1.0 / np.maximum(norm, LEAST_NORM)
        mean = mean * scale
        hoyer = hoyer_of_norms(magnitude, norm, self.n_features).numpy()
        owner = place // self.n_features
        values = raw * scale[owner]
        return ChunkScan(
            RowStatistics(norm, mean, std * scale, peak * scale, hoyer),
            np.bincount(owner, minlength=len(norm)).astype(np.int32),
            (place - owner * self.n_features).astype(np.int32),
            values.astype(np.float32),
            (values - mean[owner]).astype(np.float32),
            columns,
        )


def true_places(mask: np.ndarray) -> np.ndarray:
    """np.flatnonzero of a contiguous bool matrix with few True, which looks at eight entries at a time."""
    if mask.size % 8:
        return np.flatnonzero(mask)
    words = mask.reshape(-1).view(np.uint64)
    some = np.flatnonzero(words != 0)
    within = np.flatnonzero(words[some].view(bool))
    return some[within >> 3] * 8 + (within & 7)


def row_maxima(x: np.ndarray) -> tuple[np.ndarray, bool]:
    """Maximum of each float32 row, and whether any entry is negative (or -0), in one pass.

    As unsigned integers, non-negative floats keep their order and negative ones lie above them all.
    """
    bits = x.view(np.uint32).max(1)
    if bits.max(initial=0) < SIGN_BIT:
        return bits.view(np.float32), False
    return x.max(1), True


def redo_rows(moments: np.ndarray, x: np.ndarray, rows: np.ndarray) -> None:
    """Replace mean, sum of squares and deviation of some rows by two-pass ones in float64."""
    if len(rows):
        wide = x[rows].astype(np.float64)
        mean = wide.mean(1)
        moments[0, rows], moments[1, rows] = mean, np.vecdot(wide, wide)
        moments[2, rows] = np.sqrt(np.square(wide - mean[:, None]).mean(1))


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
