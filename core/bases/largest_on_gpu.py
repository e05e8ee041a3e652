"""The k largest of every row by a kernel: a row in registers, the k-th largest by halving.

Numbers are compared as whole numbers in the same order. The least of k or more maxima of groups is at most
the k-th largest, so the search begins between it and the maximum.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

LEAST = tl.constexpr(-(2**31))


@triton.jit
def _select(values, columns, width, stride, K: tl.constexpr, BLOCK: tl.constexpr, GROUPS: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    at = tl.arange(0, BLOCK)
    raw = tl.load(values + row * stride + at, mask=at < width, other=0.0)
    bits = raw.to(tl.int32, bitcast=True)
    key = tl.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # as whole numbers in the order of the values
    key = tl.where(at < width, key, LEAST)
    of_groups = tl.max(tl.reshape(key, (BLOCK // GROUPS, GROUPS)), axis=0)
    low, high = tl.cast(tl.min(of_groups, axis=0), tl.int64), tl.cast(tl.max(of_groups, axis=0), tl.int64)
    n = tl.full((), BLOCK + 1, tl.int32)
    while (low < high) & (n != K):  # K or more numbers reach `low`, fewer what is above `high`
        middle = (low + high + 1) >> 1
        n_above = tl.sum((key >= middle.to(tl.int32)).to(tl.int32))
        enough = n_above >= K
        low, high = tl.where(enough, middle, low), tl.where(enough, high, middle - 1)
        n = tl.where(enough, n_above, n)
    low = low.to(tl.int32)
    taken = key >= low
    if n != K:  # some are equal to the k-th
        equal = key == low
        spare = K - tl.sum((key > low).to(tl.int32))
        taken = (key > low) | (equal & (tl.cumsum(equal.to(tl.int32)) <= spare))
    place = tl.cumsum(taken.to(tl.int32)) - 1
    tl.store(columns + row * K + place, at.to(tl.int64), mask=taken)


def select(values: Tensor, k: int) -> Tensor:
    """Select the k largest codes of each row of a dictionary on a GPU.

    (n, k) int64 columns, ascending, of the k largest of (n, M) float32 with adjacent columns.
    """
    values = values if values.stride(1) == 1 else values.contiguous()
    n, width = values.shape
    columns = torch.empty(n, k, dtype=torch.int64, device=values.device)
    block, groups = triton.next_power_of_2(width), triton.next_power_of_2(k)
    launch: Any = _select[(n,)]
    warps = min(max(block // 1024, 1), 8)
    with torch.cuda.device_of(values):
        launch(values, columns, width, values.stride(0), k, block, groups, num_warps=warps)
    return columns
