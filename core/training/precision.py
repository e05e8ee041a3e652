"""The precision in which losses and statistics are computed, whatever the network's."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_single(values: Tensor) -> Tensor:
    """Half precision as float32; float32 and float64 as they are.

    Training is in single precision. That several processes make the step of one is checked in double, where
    sums in another order agree to far more digits than any error of ours would leave.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
