"""Which k of every row are largest: by torch, and on a GPU by a kernel of Triton, where there is one.

For 32 of 4,096 torch takes nearly as long as the product before it. The kernel holds a row in registers,
finds the k-th largest number by halving, and writes columns in their order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

MOST_IN_REGISTERS = 16_384  # numbers of a row


def largest_of_rows(values: Tensor, k: int) -> Tensor:
    """Find the k largest numbers of each row; the kernel takes those further left of equal ones.

    Args:
        values: (n, M) float32. k: 1 to M.
    Returns:
        (n, k) int64: their columns, ascending.
    """
    if values.is_cuda and values.dtype == torch.float32 and values.shape[1] <= MOST_IN_REGISTERS:
        select = _kernel()
        if select is not None:
            return select(values, k)
    return values.topk(k, dim=1, sorted=False).indices.sort(1).values


@cache
def _kernel() -> Callable[[Tensor, int], Tensor] | None:
    """Return the GPU kernel; None without Triton, a C compiler or a GPU that it supports."""
    try:
        from core.bases.selection.on_gpu import select

        select(torch.zeros(1, 2, device="cuda"), 1)
    except Exception:  # each of them has its own errors
        return None
    return select
