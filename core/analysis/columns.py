"""Statistics that add up: moments of columns, and the highest-valued rows of each feature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

MERGE_AT = 300_000  # entries collected before the best are picked


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of each column; merging is exact (Chan et al. 1979)."""

    n: int
    mean: np.ndarray  # (n_features,) float64
    m2: np.ndarray  # (n_features,) float64

    @classmethod
    def empty(cls, n_features: int) -> Moments:
        return cls(0, np.zeros(n_features), np.zeros(n_features))

    @classmethod
    def from_sums(cls, n: int, sums: np.ndarray, squares: np.ndarray) -> Moments:
        """From the sum and the sum of squares of `n` rows."""
        if not n:
            return cls.empty(len(sums))
        mean = sums / n
        return cls(n, mean, np.maximum(squares - n * mean**2, 0.0))

    @classmethod
    def of_rows(cls, rows: np.ndarray) -> Moments:
        """Of the columns of `rows` (n, n_features), in two passes."""
        if not len(rows):
            return cls.empty(rows.shape[1])
        wide = rows.astype(np.float64)
        mean = wide.mean(0)
        return cls(len(rows), mean, np.square(wide - mean).sum(0))

    def merge(self, other: Moments) -> Moments:
        """Moments of the rows of both."""
        n = self.n + other.n
        if not n:
            return self
        gap = other.mean - self.mean
        mean = self.mean + gap * (other.n / n)
        return Moments(n, mean, self.m2 + other.m2 + gap**2 * (self.n * other.n / n))

    @property
    def std(self) -> np.ndarray:
        """Population standard deviation; NaN without rows."""
        return np.sqrt(self.m2 / self.n) if self.n else np.full(len(self.m2), np.nan)


def best_first(features: np.ndarray, values: np.ndarray, n_features: int) -> np.ndarray:
    """Order by feature, then from high to low, then as given; `values` are non-negative float32.

    As integers, non-negative floats keep their order, and numpy sorts 16 bits by radix: three such sorts
    take a third of the time of one of floats.
    """
    low_first = ~values.view(np.uint32)
    order = np.argsort(low_first.astype(np.uint16), kind="stable")
    order = order[np.argsort((low_first >> 16).astype(np.uint16)[order], kind="stable")]
    narrow = np.uint16 if n_features <= 1 << 16 else np.int64
    return order[np.argsort(features.astype(narrow)[order], kind="stable")]


class ColumnSums:
    """Sums of the normalised rows of one chunk, by group, and of their squares.

    Args:
        present: (n_present,) the groups that occur, rising.
        local: (n,) position in `present` of each row's group. member: (n,) 1 for rows that belong to one.
        dtype: of the sums while they are collected.
    """

    def __init__(
        self, present: np.ndarray, local: np.ndarray, member: np.ndarray, n_features: int, dtype: type
    ):
        self.present, self.local, self.member, self.dtype = present, local, member, dtype
        self._sums = torch.from_numpy(np.zeros((len(present), n_features), dtype))
        self._squares = torch.zeros(n_features, dtype=torch.float64)

    @classmethod
    def of_groups(cls, group: np.ndarray, n_features: int, dtype: type = np.float64) -> ColumnSums:
        """For rows of the given groups (n,) int; rows with -1 are left out."""
        member = group >= 0
        present, positions = np.unique(group[member], return_inverse=True)
        local = np.zeros(len(group), np.int64)
        local[member] = positions
        return cls(present, local, member.astype(np.float64), n_features, dtype)

    def add(self, where: slice, wide: np.ndarray, scale: np.ndarray, out: np.ndarray) -> None:
        """Add a block of raw rows (b, n_features).

        Args:
            scale: (b,) 1 / norm. out: space of the shape of `wide`.
        """
        member = self.member[where]
        if not member.any():
            return
        weight = torch.from_numpy((member * scale).astype(self.dtype)[:, None])
        ones = torch.ones(len(weight), dtype=weight.dtype)
        h = torch.mul(torch.from_numpy(wide), weight, out=torch.from_numpy(out))
        local = self.local[where]
        if local.min() == local.max():
            self._sums[local[0]] += torch.mv(h.t(), ones)
        else:
            self._sums.index_add_(0, torch.from_numpy(local), h)
        self._squares += torch.mv(torch.mul(h, h, out=h).t(), ones)

    @property
    def sums(self) -> np.ndarray:
        """(n_present, n_features) float64."""
        return self._sums.numpy().astype(np.float64)

    def moments(self) -> Moments:
        """Moments of the columns over all rows that belong to a group."""
        return Moments.from_sums(int(self.member.sum()), self.sums.sum(0), self._squares.numpy())


class TopImages:
    """The k rows with the largest positive value of each feature; equal values in row order.

    Entries must come in rising row order.
    """

    def __init__(self, n_features: int, k: int = 64):
        self.n_features, self.k = n_features, k
        self.rows = np.full((n_features, k), -1, np.int32)
        self.values = np.zeros((n_features, k), np.float32)
        self.least = np.zeros(n_features, np.float32)  # a value must exceed this to enter
        self._pending: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._n_pending = 0

    def add(self, features: np.ndarray, values: np.ndarray, rows: np.ndarray) -> None:
        """Offer entries: feature, value (float32) and row of each, (m,) arrays."""
        enters = np.flatnonzero(values > self.least[features])
        self._pending.append((features[enters], values[enters], rows[enters]))
        self._n_pending += len(enters)
        if self._n_pending >= MERGE_AT:
            self.settle()

    def settle(self) -> None:
        """Pick the best of what has been offered so far."""
        held = self.rows >= 0
        parts = [(np.nonzero(held)[0], self.values[held], self.rows[held]), *self._pending]
        features, values, rows = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = best_first(features, values, self.n_features)
        features = features[order]
        starts = np.searchsorted(features, np.arange(self.n_features))
        place = np.arange(len(features)) - starts[features]
        best = place < self.k
        self.rows[:], self.values[:] = -1, 0
        self.rows[features[best], place[best]] = rows[order][best]
        self.values[features[best], place[best]] = values[order][best]
        self.least = self.values[:, -1].copy()
        self._pending, self._n_pending = [], 0

    def restart(self, features: np.ndarray) -> None:
        """Forget the rows of these features but keep their thresholds, which only exclude worse rows.

        The rows that set the threshold have that very value, so the threshold is lowered by one step.
        """
        self.rows[features], self.values[features] = -1, 0
        self.least[features] = np.nextafter(self.least[features], np.float32(-1)).clip(min=0)
