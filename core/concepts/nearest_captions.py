"""Find exact nearest captions and the softmax normaliser of a whole bank in one streaming pass. [torch]

The released code of FALCON (Kalibhat et al. 2023) takes the softmax within each shard and then compares
across shards, so confidences depend on the division of the bank. Here, blocks are counted over the whole bank
regardless of its shards: every number is the same, to the bit, for any sharding.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from core.common.device import resolve_device
from core.common.largest_values import top_of
from core.errors import CaptionError, ShapeError

BLOCK_ROWS = 1280  # captions multiplied at a time: with the crops, a tile of similarities takes 5 MB
GPU_BLOCK_ROWS = 8192  # a GPU waits for its launches with fewer
BLOCK_CROPS = 1024  # crops multiplied at a time
SMALLEST = (
    -126.0
)  # smaller powers of 2 are denormal in float32: a hundred times slower, and negligible beside 1


class ShardRows(Protocol):
    """A shard: a memory-mapped file (`captions.Shard`) or an array."""

    def __len__(self) -> int: ...


def retrieve(
    crops: np.ndarray,
    shards: Sequence[ShardRows],
    *,
    k: int = 5,
    temperature: float = 100.0,
    device: str | torch.device = "cpu",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the k nearest captions of each crop by the cosines of CLIP.

    And log sum_p exp(temperature * cosine_p) over all p.

    Args:
        crops: (n, d) unit rows. shards: (m_s, d) unit rows each, any floating type.
        k: at most the number of captions. temperature: of the softmax; softmax_p = exp(t cos_p - logsumexp).
    Returns:
        indices (n, k) int64 over all shards in order, cosine (n, k) float32 descending, logsumexp (n,)
        float64.
    Raises:
        ShapeError: crops and captions differ in width. CaptionError: fewer than k captions, or NaN in one.
    """
    n_captions = sum(len(shard) for shard in shards)
    if n_captions < k:
        raise CaptionError(f"the bank holds {n_captions} captions, fewer than the requested {k}")
    torch_device = resolve_device(device)
    queries = torch.as_tensor(np.ascontiguousarray(crops, np.float32)).to(torch_device)
    states = [_Running(part, k, temperature) for part in queries.split(BLOCK_CROPS)]
    block_rows = BLOCK_ROWS if torch_device.type == "cpu" else GPU_BLOCK_ROWS
    for first, block in _caption_blocks(shards, queries.shape[1], block_rows):
        captions = block.to(torch_device, non_blocking=True)
        for state in states:
            state.add(captions, first)
    parts = [state.finish() for state in states] or [_nothing(k)]
    indices, cosine, logsumexp = (torch.cat(column).cpu().numpy() for column in zip(*parts, strict=True))
    if np.isnan(logsumexp).any():
        raise CaptionError("an embedding of a crop or of a caption holds NaN. Delete the cached embeddings")
    return indices, cosine, logsumexp


def _caption_blocks(shards: Sequence[ShardRows], width: int, n_rows: int) -> Iterator[tuple[int, Tensor]]:
    """Yield the embedded captions of a bank in blocks: (index of its first row, (n_rows, d) float32).

    The memory of a block is reused for the next one.
    """
    buffer, filled, first = torch.empty(n_rows, width), 0, 0
    for shard in shards:
        start = 0
        while start < len(shard):
            stop = min(start + n_rows - filled, len(shard))
            rows = np.asarray(_read(shard, start, stop))
            if rows.ndim != 2 or rows.shape[1] != width:
                raise ShapeError(f"captions have shape {rows.shape}, crops {width} numbers: different CLIPs")
            buffer[filled : filled + len(rows)] = torch.from_numpy(
                rows if rows.flags.writeable else rows.copy()
            )
            filled, start = filled + len(rows), stop
            if filled == n_rows:
                yield first, buffer
                first, filled = first + filled, 0
    if filled:
        yield first, buffer[:filled]


def _read(shard: ShardRows, start: int, stop: int) -> np.ndarray:
    read = getattr(shard, "read", None)
    return read(start, stop) if read else shard[start:stop]  # type: ignore[index]


class _Running:
    """Results for some crops after the blocks so far: k best captions, and the sum of exponentials.

    The sum is stored relative to the largest exponent so far, to avoid overflow and underflow. Exponents are
    to the base 2, which processors compute faster.
    """

    def __init__(self, queries: Tensor, k: int, temperature: float) -> None:
        n, device = len(queries), queries.device
        self.scale = temperature / math.log(2)
        self.queries, self.k = queries * self.scale, k
        self.best = torch.full((n, k), -torch.inf, device=device)
        self.where = torch.full((n, k), -1, dtype=torch.int64, device=device)
        self.peak = torch.full((n,), -torch.inf, dtype=torch.float64, device=device)
        self.total = torch.zeros(n, dtype=torch.float64, device=device)

    def add(self, captions: Tensor, first: int) -> None:
        """Add a block (m, d) whose first row has the index `first`."""
        exponents = self.queries @ captions.T  # (n, m), temperature times cosine over log 2
        values, columns = top_of(exponents, self.k)
        best, order = torch.cat([self.best, values], 1).topk(self.k, dim=1)
        self.where = torch.cat([self.where, columns + first], 1).gather(1, order)
        self.best = best
        peak = best[:, 0].double()  # the largest exponent so far
        tile = exponents.sub_(best[:, :1]).clamp_(min=SMALLEST).exp2_().sum(1).double()
        self.total = self.total * torch.exp2(self.peak - peak) + tile
        self.peak = peak

    def finish(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.where, self.best / self.scale, (self.peak + self.total.log2()) * math.log(2)


def _nothing(k: int) -> tuple[Tensor, Tensor, Tensor]:
    return torch.zeros(0, k, dtype=torch.int64), torch.zeros(0, k), torch.zeros(0, dtype=torch.float64)
