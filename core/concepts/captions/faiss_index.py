"""An approximate index over a huge caption bank, through FAISS where it is installed. [torch-free, optional]

It finds most of the nearest captions without reading the bank. How many, `recall` says: an approximate answer
without that number is not worth having. The softmax normaliser needs every caption, so it stays unknown here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.common.arrays import evenly
from core.concepts.captions.bank import Shard
from core.errors import CaptionError, ShapeError
from core.storage.chunked_array import replace_file

ROWS_PER_LIST = 39  # what FAISS's k-means asks for, at least
TRAINING_ROWS = 200_000
MOST_LISTS = 65_536
PROBES = 16  # lists looked into, a crop
SAMPLED = 256  # crops that are also compared with every caption, for the recall
Neighbours = tuple[np.ndarray, np.ndarray, np.ndarray]


def require_faiss() -> Any:
    """The faiss module. Raises CaptionError where it is not installed."""
    try:
        import faiss  # pyright: ignore
    except ImportError:
        raise CaptionError(
            "an approximate index needs FAISS, which is not installed: pip install faiss-cpu. "
            "Without it every caption is compared, exactly"
        ) from None
    return faiss


def build_index(
    shards: Sequence[Shard], path: str | Path, *, n_lists: int | None = None, seed: int = 0
) -> Path:
    """Write an inverted-file index (half-precision vectors, inner product) of all shards to `path`.

    Args:
        n_lists: cells of the space; None: about 4 sqrt(m), fewer where too few captions could train them.
    Raises:
        CaptionError: FAISS is not installed. ShapeError: shards of several widths.
    """
    faiss = require_faiss()
    widths = {shard.width for shard in shards}
    if len(widths) != 1:
        raise ShapeError(f"the shards have widths {sorted(widths)}: they are not of one CLIP")
    width, n_captions = widths.pop(), sum(len(shard) for shard in shards)
    usual = min(round(4 * math.sqrt(n_captions)), n_captions // ROWS_PER_LIST, MOST_LISTS)
    cells = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFScalarQuantizer(
        cells, width, n_lists or max(usual, 1), faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed = seed
    index.train(_sample(shards, n_captions, seed))
    for shard in shards:
        for start in range(0, len(shard), 65_536):
            rows = shard.read(start, min(start + 65_536, len(shard)))
            index.add(np.ascontiguousarray(rows, np.float32))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    faiss.write_index(index, str(temporary))
    replace_file(temporary, path)
    return path


def _sample(shards: Sequence[Shard], n_captions: int, seed: int) -> np.ndarray:
    """Seeded rows from every shard, in proportion, for the cells' centres."""
    rng, parts = np.random.default_rng(seed), []
    for shard in shards:
        n = min(len(shard), math.ceil(TRAINING_ROWS * len(shard) / n_captions))
        rows = np.sort(rng.permutation(len(shard))[:n])
        parts.append(shard.read(0, len(shard))[rows].astype(np.float32))
    return np.concatenate(parts)


class ApproximateRetrieve:
    """Looks captions up in an index, and keeps how many of the exact ones it finds on the first crops.

    Args:
        path: of the index; built from the shards where it is not there yet.
        exact: crops (n, d) -> what `retrieve` gives; asked for a sample, and for crops with too few answers.
    """

    def __init__(
        self, path: Path, shards: Sequence[Shard], exact: Callable[[np.ndarray], Neighbours], *, k: int
    ):
        self.path, self.exact, self.k = path, exact, k
        self.recall, self.n_sampled = float("nan"), 0
        if not path.exists():
            build_index(shards, path)

    def __call__(self, crops: np.ndarray) -> Neighbours:
        indices, cosine, logsumexp = search(crops, self.path, k=self.k)
        if not self.n_sampled and len(crops):
            chosen = evenly(len(crops), SAMPLED)
            self.recall = recall(indices[chosen], self.exact(crops[chosen])[0])
            self.n_sampled = len(chosen)
        few = np.flatnonzero((indices < 0).any(1))
        if len(few):
            indices[few], cosine[few], _ = self.exact(crops[few])
        return indices, cosine, logsumexp


def search(crops: np.ndarray, path: str | Path, *, k: int = 5, probes: int = PROBES) -> Neighbours:
    """As `retrieve`, approximately: indices (n, k) int64, -1 where fewer were found, cosine (n, k) float32
    falling, NaN there, and logsumexp (n,) float64, NaN: unknown."""
    faiss = require_faiss()
    if not Path(path).exists():
        raise CaptionError(f"no index at '{path}'")
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    if index.d != crops.shape[1]:
        raise ShapeError(
            f"the index holds vectors of {index.d} numbers, crops {crops.shape[1]}: not one CLIP"
        )
    index.nprobe = min(probes, index.nlist)
    cosine, indices = index.search(np.ascontiguousarray(crops, np.float32), k)
    return indices, np.where(indices < 0, np.nan, cosine), np.full(len(crops), np.nan)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Mean share of the exact k captions that were found, in [0, 1]; NaN without crops."""
    if not len(exact):
        return float("nan")
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact, strict=True)]))
