"""The positions that a basis is fitted on: some of each train image, drawn by seed, kept on disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
from torch import Tensor

from core.bases.vectors import Vectors
from core.common.worker_group import stream_in_order
from core.errors import ImageSourceError, SettingsError
from core.jobs.progress import Progress
from core.reader import StudyReader
from core.storage.chunked_array import ArrayWriter, ChunkedArray

MOST_ENTRIES = 512 << 20  # numbers of all vectors: 2 GiB on disk
CHUNK_ENTRIES = 16 << 20  # and of a chunk in memory
BATCH = 64  # images
FEWEST = 8  # positions of an image: reading images is what takes time


class Positions(Protocol):
    """What reads positions: `core.analysis.positions.PositionReader`."""

    grid: tuple[int, int]
    width: int
    missing: list[tuple[int, str]]

    @property
    def n(self) -> int: ...
    def read(self, batches: Sequence[np.ndarray]) -> Iterator[tuple[np.ndarray, Tensor]]: ...


def image_batches(rows: np.ndarray) -> list[np.ndarray]:
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
    """Collect vectors of the train images in `folder`, whose name says what they follow from.

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
