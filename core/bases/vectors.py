"""The vectors that a basis is fitted on: rows of a chunked array, or rows in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.common.threadsafe import cached_property
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.storage.chunked_array import ChunkedArray

MEMORY_ENTRIES = 256 << 20  # vectors of at most so many numbers are held in memory: 1 GiB
SAMPLE = 65_536  # vectors that kinds without a stream are fitted on
RUN_ROWS, BUFFER_ROWS = 32, 1 << 18  # neighbouring rows are read together, so that a disk is read in runs


@dataclass(frozen=True)
class FitRun:
    """How a fit is run: where, and where its state is kept.

    Attributes:
        state: file of the state of an interrupted training. settings: what that state must agree with.
        steps: of a training; None for the default.
    """

    progress: Progress
    device: torch.device
    state: Path
    settings: dict[str, Any]
    steps: int | None = None


@dataclass(frozen=True)
class Vectors:
    """Vectors to fit a basis on.

    Args:
        array: (n, r) of any float type, with rows in any order. rows: (m,) the rows used, ascending.
    """

    array: ChunkedArray | np.ndarray
    rows: np.ndarray

    def __post_init__(self) -> None:
        if len(self.rows) < 2:
            raise SettingsError(f"a basis needs two or more train images; there are {len(self.rows)}")

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def width(self) -> int:
        return int(self.array.shape[1])

    @cached_property
    def held(self) -> np.ndarray | None:
        """All vectors, float32, where they fit into memory."""
        return self._read(self.rows) if len(self) * self.width <= MEMORY_ENTRIES else None

    def _read(self, rows: np.ndarray) -> np.ndarray:
        order = np.argsort(rows, kind="stable")
        vectors = np.empty((len(rows), self.width), np.float32)
        vectors[order] = self.array[rows[order]]
        return vectors

    def take(self, places: np.ndarray) -> np.ndarray:
        """(len(places), r) float32: the vectors at `places`, 0 to m - 1."""
        return self.held[places] if self.held is not None else self._read(self.rows[places])

    def blocks(self, size: int = 4096) -> Iterator[np.ndarray]:
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    def sample(self, seed: int, most: int = SAMPLE) -> np.ndarray:
        """(at most `most`, r) float32: all vectors, or some that are drawn by seed."""
        if len(self) <= most:
            return self.take(np.arange(len(self)))
        return self.take(np.sort(np.random.default_rng(seed).choice(len(self), most, replace=False)))

    @cached_property
    def centre(self) -> np.ndarray:
        """(r,) float64: the mean vector."""
        total = np.zeros(self.width)
        for block in self.blocks():
            total += block.sum(0, dtype=np.float64)
        return total / len(self)

    @cached_property
    def scale(self) -> float:
        """The factor that gives centred vectors a mean squared norm of r; 1 where nothing varies."""
        squared = sum(float(((block - self.centre) ** 2).sum()) for block in self.blocks()) / len(self)
        return float(np.sqrt(self.width / squared)) if squared > 0 else 1.0

    def places_of_step(self, seed: int, step: int, size: int) -> np.ndarray:
        """(size,) int64: the places of the vectors of one training step, a function of (seed, step).

        Steps walk through one epoch after another. An epoch is a shuffle of runs of neighbouring rows, and
        within every BUFFER_ROWS of them of single rows.
        """
        places = np.arange(step * size, (step + 1) * size)
        epochs = places // len(self)
        parts = []
        for epoch in np.unique(epochs):
            in_epoch = places[epochs == epoch] % len(self)
            parts.append(self._order(seed, int(epoch))[in_epoch])
        return np.concatenate(parts)

    @cached_property
    def _orders(self) -> dict[tuple[int, int], np.ndarray]:
        return {}

    def _order(self, seed: int, epoch: int) -> np.ndarray:
        made = self._orders
        if (seed, epoch) not in made:
            for old in [key for key in made if key[0] != seed or key[1] < epoch - 1]:
                del made[old]
            made[seed, epoch] = _shuffled(len(self), np.random.default_rng([seed, epoch]))
        return made[seed, epoch]


def _shuffled(n: int, rng: np.random.Generator) -> np.ndarray:
    if n <= BUFFER_ROWS:
        return rng.permutation(n)
    starts = rng.permutation(np.arange(0, n, RUN_ROWS))
    order = np.add.outer(starts, np.arange(RUN_ROWS)).reshape(-1)
    order = order[order < n]
    return np.concatenate([rng.permutation(order[at : at + BUFFER_ROWS]) for at in range(0, n, BUFFER_ROWS)])
