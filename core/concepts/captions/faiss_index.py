"""An approximate index of a very large caption bank, with FAISS if installed. [torch-free, optional]

It finds most of the nearest captions without reading the bank. `recall` states how many: an approximate
answer is worthless without that number. The softmax normaliser needs every caption, so it stays unknown here.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.common.arrays import evenly
from core.common.inside import replacing
from core.concepts.captions.bank import Shard
from core.errors import CaptionError, ShapeError

ROWS_PER_LIST = 39  # minimum of FAISS's k-means
TRAINING_ROWS = 200_000
MOST_LISTS = 65_536
PROBES = 16  # lists searched per crop
SAMPLED = 256  # crops also compared with every caption, to measure the recall
Neighbours = tuple[np.ndarray, np.ndarray, np.ndarray]


def require_faiss() -> Any:
    """Import faiss. Raises CaptionError if it is not installed."""
    try:
        import faiss  # pyright: ignore
    except ImportError:
        raise CaptionError(
            "an approximate index needs FAISS, which is not installed: pip install faiss-cpu. "
            "Without it, every caption is compared exactly"
        ) from None
    return faiss


def build_index(
    shards: Sequence[Shard], path: str | Path, *, n_lists: int | None = None, seed: int = 0
) -> Path:
    """Write an inverted-file index (half-precision vectors, inner product) of all shards to `path`.

    Args:
        n_lists: cells of the space; None: about 4 sqrt(m), or fewer if there are few captions to train them.
    Raises:
        CaptionError: FAISS is not installed. ShapeError: shards of different widths.
    """
    faiss = require_faiss()
    widths = {shard.width for shard in shards}
    if len(widths) != 1:
        raise ShapeError(f"the shards have widths {sorted(widths)}: they come from different CLIPs")
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
    with replacing(path) as temporary:
        faiss.write_index(index, str(temporary))
    return path


def _sample(shards: Sequence[Shard], n_captions: int, seed: int) -> np.ndarray:
    """Draw seeded rows from every shard, in proportion, to train the cell centres."""
    rng, parts = np.random.default_rng(seed), []
    for shard in shards:
        n = min(len(shard), math.ceil(TRAINING_ROWS * len(shard) / n_captions))
        rows = np.sort(rng.permutation(len(shard))[:n])
        parts.append(shard.read(0, len(shard))[rows].astype(np.float32))
    return np.concatenate(parts)


class ApproximateRetrieve:
    """Search captions in an index, and measure its recall on the first crops.

    Args:
        path: of the index; built from the shards if it does not exist.
        exact: crops (n, d) -> the result of `retrieve`; used for a sample and for crops with too few answers.
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
            sampled = evenly(len(crops), SAMPLED)
            self.recall = recall(indices[sampled], self.exact(crops[sampled])[0])
            self.n_sampled = len(sampled)
        few = np.flatnonzero((indices < 0).any(1))
        if len(few):
            indices[few], cosine[few], _ = self.exact(crops[few])
        return indices, cosine, logsumexp


def search(crops: np.ndarray, path: str | Path, *, k: int = 5, probes: int = PROBES) -> Neighbours:
    """Approximate `retrieve`: indices (n, k) int64, -1 if fewer were found, cosine (n, k) float32 descending,
    NaN there, and logsumexp (n,) float64, NaN: unknown."""
    faiss = require_faiss()
    if not Path(path).exists():
        raise CaptionError(f"no index at '{path}'")
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    if index.d != crops.shape[1]:
        raise ShapeError(
            f"the index holds vectors of {index.d} numbers, but crops have {crops.shape[1]}: different CLIPs"
        )
    index.nprobe = min(probes, index.nlist)
    cosine, indices = index.search(np.ascontiguousarray(crops, np.float32), k)
    return indices, np.where(indices < 0, np.nan, cosine), np.full(len(crops), np.nan)


def recall(approximate: np.ndarray, exact: np.ndarray) -> float:
    """Mean share of the exact k captions that the index finds, in [0, 1]; NaN without crops."""
    if not len(exact):
        return float("nan")
    return float(
        np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(approximate, exact, strict=True)])
    )
