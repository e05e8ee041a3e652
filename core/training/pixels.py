"""Decode images once per source and size into one uint8 array on disk. No torch.

Training reads every image hundreds of times; decoding it each time would cost more than the step.
The array is memory-mapped: the part that fits stays in memory, the rest is read when needed.
"""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from core.common.processes import tie
from core.errors import ImageSourceError, UnreadableImage

BLOCK = 256  # images that a worker decodes at a time


@dataclass(frozen=True)
class Pixels:
    """Images of one split with their labels."""

    images: np.ndarray  # (N, S, S, 3) uint8, memory-mapped
    labels: np.ndarray | None  # (N,) int64 codes, None without labels
    rows: np.ndarray  # (N,) rows of the source's table


def load_pixels(
    source: Any, size: int, *, cache: str | None = None, workers: int = 0, progress: Any = None
) -> dict[str, Pixels]:
    """Load the images of a training, {"train": Pixels, "val": Pixels}, at size x size, readable ones.

    Images are resized so that the shorter side is `size`, and centre-cropped, as in the analysis. They lie in
    the folder `cache`, else in the user's cache folder, which XDG_CACHE_HOME changes.
    """
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "peregrine" / "pixels"
    folder = Path(cache) if cache else usual
    stem = folder / f"{sha256(source.fingerprint().encode()).hexdigest()[:24]}-{size}"
    images_path, readable_path = stem.with_suffix(".npy"), stem.with_suffix(".readable.npy")
    if not (images_path.exists() and readable_path.exists()):
        _decode_all(source, size, images_path, readable_path, workers or os.cpu_count() or 1, progress)
    elif progress is not None:
        progress.update(len(source.table))
    images, readable = np.load(images_path, mmap_mode="r"), np.load(readable_path)
    return {split: _split(source, split, images, readable) for split in ("train", "val")}


def _split(source: Any, split: str, images: np.ndarray, readable: np.ndarray) -> Pixels:
    rows = np.flatnonzero((source.table["split"] == split).to_numpy() & readable)
    consecutive = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
    of_split = images[rows[0] : rows[-1] + 1] if consecutive else images[rows]  # a view if possible
    labels = source.table["label"]
    if labels.isna().any():
        return Pixels(of_split, None, rows)
    names = sorted(labels.unique())
    codes = labels.map({name: code for code, name in enumerate(names)}).to_numpy(np.int64)
    return Pixels(of_split, codes[rows], rows)


def _decode_all(
    source: Any, size: int, images_path: Path, readable_path: Path, workers: int, progress: Any
) -> None:
    n_images = len(source.table)
    if n_images == 0:
        raise ImageSourceError("The image source is empty: nothing to train on.")
    images_path.parent.mkdir(parents=True, exist_ok=True)
    temporary, temporary_readable = (
        p.with_suffix(f".{os.getpid()}.tmp") for p in (images_path, readable_path)
    )
    images = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(n_images, size, size, 3))
    readable = np.zeros(n_images, dtype=bool)
    try:
        for rows, block, fine in _decoded_blocks(source, size, n_images, workers):
            images[rows.start : rows.stop], readable[rows.start : rows.stop] = block, fine
            if progress is not None:
                progress.update(len(rows))
        images.flush()
        if not readable.any():
            raise ImageSourceError("None of the images can be read: nothing to train on.")
        with open(temporary_readable, "wb") as file:
            np.save(file, readable)
        os.replace(temporary_readable, readable_path)
        os.replace(temporary, images_path)  # last: with it the pair is complete
    finally:
        temporary.unlink(missing_ok=True)
        temporary_readable.unlink(missing_ok=True)


def _decoded_blocks(source: Any, size: int, n_images: int, workers: int):
    blocks = [range(start, min(start + BLOCK, n_images)) for start in range(0, n_images, BLOCK)]
    if workers == 1 or len(blocks) < 4:
        for rows in blocks:
            yield rows, *_decode(source, size, rows)
        return
    context = multiprocessing.get_context("spawn")  # a fork after torch has started threads can hang
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(tie(), source)
    ) as pool:
        for rows, decoded in zip(
            blocks, pool.map(_decode_remembered, [size] * len(blocks), blocks), strict=True
        ):
            yield rows, *decoded


_source: Any = None


def _begin(tie_to_parent: Callable[[], None], source: Any) -> None:
    global _source
    tie_to_parent()
    _source = source


def _decode_remembered(size: int, rows: range) -> tuple[np.ndarray, np.ndarray]:
    return _decode(_source, size, rows)


def _decode(source: Any, size: int, rows: range) -> tuple[np.ndarray, np.ndarray]:
    """(n, size, size, 3) pixels, zero where unreadable, and which images were readable."""
    from core.encoders.transform import Transform

    transform = Transform(resize=size, input_size=size, mean=(0.0,) * 3, std=(1.0,) * 3)
    images = np.zeros((len(rows), size, size, 3), dtype=np.uint8)
    readable = np.zeros(len(rows), dtype=bool)
    for position, row in enumerate(rows):
        try:
            images[position] = transform.pixels(source.read(row))
            readable[position] = True
        except UnreadableImage:
            continue
    return images, readable
