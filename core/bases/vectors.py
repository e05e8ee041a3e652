"""The vectors that a basis is fitted on: rows of a chunked array, in memory, or sampled positions."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from core.common.threads import cached_property
from core.common.worker_group import stream_in_order
from core.errors import ImageSourceError, SettingsError
from core.study.chunked_array import ArrayWriter, ChunkedArray
from core.study.progress import Progress
from core.study.reader import StudyReader

# The vectors that a basis is fitted on: rows of a chunked array, or rows in memory.


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


# The positions that a basis is fitted on: some of each train image, drawn by seed, kept on disk.


MOST_ENTRIES = 512 << 20  # numbers of all vectors: 2 GiB on disk
CHUNK_ENTRIES = 16 << 20  # and of a chunk in memory
BATCH = 64  # images
FEWEST = 8  # positions of an image: reading images is what takes time


class Positions(Protocol):
    """What reads positions: `core.analysis.readouts.PositionReader`."""

    grid: tuple[int, int]
    width: int
    missing: list[tuple[int, str]]

    @property
    def n(self) -> int: ...
    def read(self, batches: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, Tensor]]: ...


def image_batches(rows: np.ndarray) -> list[np.ndarray]:
    """Split rows of images into batches whose positions are encoded in a basis at a time."""
    return np.split(rows, range(BATCH, len(rows), BATCH)) if len(rows) else []


def sampled_positions(
    study: StudyReader,
    positions: Positions,
    folder: Path,
    progress: Progress,
    *,
    most: int | None = None,
    seed: int = 0,
) -> Vectors:
    """Collect vectors at positions of train images, to which a dictionary is fitted, in `folder`.

    An interrupted run goes on.

    Args:
        most: vectors; None: what 2 GiB hold. At least FEWEST of each image that is read.
    Raises:
        ImageSourceError: none of the images can be read.
    """
    train = np.flatnonzero(~study.is_val)
    most = most or max(2, MOST_ENTRIES // positions.width)
    fewest = min(FEWEST, positions.n)
    if len(train) > most // fewest:
        train = np.sort(np.random.default_rng(seed).choice(train, max(1, most // fewest), replace=False))
    each = int(np.clip(most // max(1, len(train)), fewest, positions.n))
    n_rows = max(1, CHUNK_ENTRIES // (each * positions.width))
    chunks = np.split(train, range(n_rows, len(train), n_rows))
    array = ArrayWriter(folder, folder.name)
    todo = [chunk for chunk in range(len(chunks)) if not array.has(chunk)]
    batches = [(chunk, rows) for chunk in todo for rows in image_batches(chunks[chunk])]
    parts = list[np.ndarray]()
    missing = list[tuple[int, str]]()
    with progress.stage("positions", total=len(train), unit="images") as bar:
        bar.skip(len(train) - sum(len(chunks[chunk]) for chunk in todo))
        drawn = stream_in_order(partial(_drawn, positions, each, seed), [rows for _, rows in batches])
        for number, ((chunk, rows_of_batch), (vectors, gone)) in enumerate(zip(batches, drawn, strict=True)):
            parts.append(vectors)
            missing += gone
            bar.update(len(rows_of_batch))
            if number + 1 == len(batches) or batches[number + 1][0] != chunk:
                array.put(chunk, np.concatenate(parts))
                parts = []
    counts = [array.done[chunk]["rows"] for chunk in range(len(chunks))]
    if not sum(counts):
        reason = missing[0][1] if missing else "there are no train images"
        raise ImageSourceError(f"none of the {len(train)} train images can be read ({reason})")
    return Vectors(ChunkedArray(folder, counts, "float32", (positions.width,)), np.arange(sum(counts)))


def _drawn(
    positions: Positions, each: int, seed: int, batches: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, list[tuple[int, str]]]]:
    """Yield `each` vectors of every image of each batch of rows, and which could not be read."""
    for rows, vectors in positions.read(batches):
        parts = [np.zeros((0, positions.width), np.float32)]
        for row, of_image in zip(rows.tolist(), vectors, strict=True):
            rng = np.random.default_rng([seed, row])
            places = np.sort(rng.choice(positions.n, each, replace=False))
            parts.append(of_image[places.tolist()].cpu().numpy())
        yield np.concatenate(parts), [*positions.missing]
        positions.missing.clear()  # the pass that encodes all images says which are missing


@contextmanager
def states(folder: Path, name: str) -> Iterator[None]:
    """Keep what interrupted runs of a basis have left in a study's folder until it is written, or refused."""
    try:
        yield
    except SettingsError:
        _remove_states(folder, name)
        raise
    _remove_states(folder, name)


def _remove_states(folder: Path, name: str) -> None:
    for state in folder.glob(f".basis-{name}-{'?' * 12}.*"):
        shutil.rmtree(state) if state.is_dir() else state.unlink()
