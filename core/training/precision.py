"""The precision of losses and statistics, independent of the network's precision."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_single(values: Tensor) -> Tensor:
    """Convert half precision to float32; float32 and float64 stay unchanged.

    Training uses single precision. The tests that compare several processes with one use double precision,
    where a different order of summation agrees to far more digits than any real error would.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
