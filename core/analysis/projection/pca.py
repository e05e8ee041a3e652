"""Principal components of rows that are read block by block, in double precision."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

MOST_EXACT = 4096  # up to this many features the covariance fits (128 MiB) and is quickly decomposed
OVERSAMPLED = 8
ROUNDS = 12  # iterations of the subspace method, each of which reads the rows once
Blocks = Callable[[], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Components:
    """Directions of the largest variance.

    Attributes:
        mean: (n_features,) float64. axes: (k, n_features) float64, orthonormal, by descending variance; the
            entry of largest magnitude of each is positive. variance: (k,) along each. total: over all
            features (trace of the covariance).
    """

    mean: np.ndarray
    axes: np.ndarray
    variance: np.ndarray
    total: float

    @property
    def shares(self) -> np.ndarray:
        """(k,) in [0, 1]: share of the variance along each axis; 0 if nothing varies."""
        return self.variance / self.total if self.total > 0 else np.zeros_like(self.variance)

    def project(self, rows: np.ndarray) -> np.ndarray:
        """(n, k) float64 coordinates of rows (n, n_features)."""
        return (rows.astype(np.float64) - self.mean) @ self.axes.T


def principal_components(blocks: Blocks, k: int, *, seed: int = 0) -> Components:
    """Compute the k leading principal components (ddof 0) of rows that each call of `blocks` reads again.

    Exact up to MOST_EXACT features (streamed covariance, two passes), else by subspace iteration from seeded
    directions (Halko, Martinsson and Tropp, 2011).

    Args:
        blocks: returns an iterator over (n_i, n_features) arrays. k: at least 1; axes beyond the span of the
            rows are zero.
    Raises:
        ValueError: there are no rows.
    """
    mean, n_rows = _mean(blocks)
    k_there = min(k, len(mean))
    if len(mean) <= MOST_EXACT:
        covariance = _covariance_times(blocks, mean, n_rows, None)
        variance, axes = eigh(covariance, subset_by_index=(len(mean) - k_there, len(mean) - 1))
        total = float(np.trace(covariance))
    else:
        variance, axes = _subspace(blocks, mean, n_rows, k_there, seed)
        total = float(sum(((block - mean) ** 2).sum() for block in _double(blocks)) / n_rows)
    variance, axes = variance[::-1], axes.T[::-1]
    floor = 1e-12 * max(total, 1e-300)
    axes = np.where(variance[:, None] > floor, _signed(axes), 0.0)
    grown = np.zeros((k, len(mean)))
    grown[:k_there] = axes
    held = np.zeros(k)
    held[:k_there] = np.where(variance > floor, variance, 0.0)
    return Components(mean, grown, held, total)


def _double(blocks: Blocks) -> Iterator[np.ndarray]:
    for block in blocks():
        yield np.asarray(block, np.float64)


def _mean(blocks: Blocks) -> tuple[np.ndarray, int]:
    total, n_rows = 0.0, 0
    for block in _double(blocks):
        total = total + block.sum(0)
        n_rows += len(block)
    if not n_rows:
        raise ValueError("no rows to find principal components of")
    return np.atleast_1d(np.asarray(total)) / n_rows, n_rows


def _covariance_times(blocks: Blocks, mean: np.ndarray, n_rows: int, other: np.ndarray | None) -> np.ndarray:
    """Compute the covariance of the rows; with `other` (n_features, m), its product without forming it."""
    covariance: np.ndarray | float = 0.0
    for block in _double(blocks):
        centred = block - mean
        covariance = covariance + centred.T @ (centred if other is None else centred @ other)
    return np.asarray(covariance) / n_rows


def _subspace(
    blocks: Blocks, mean: np.ndarray, n_rows: int, k: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Leading eigenvalues (k,), ascending, and eigenvectors (n_features, k) of the covariance."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((len(mean), min(k + OVERSAMPLED, len(mean)))))[0]
    for _ in range(ROUNDS):
        basis = np.linalg.qr(_covariance_times(blocks, mean, n_rows, basis))[0]
    small = basis.T @ _covariance_times(blocks, mean, n_rows, basis)
    values, vectors = np.linalg.eigh((small + small.T) / 2)
    return values[-k:], (basis @ vectors)[:, -k:]


def _signed(axes: np.ndarray) -> np.ndarray:
    """Flip each axis so that its entry of largest magnitude (the first on ties) is positive."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    return np.where(largest < 0, -axes, axes)
