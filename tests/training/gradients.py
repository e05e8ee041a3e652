"""The gradient of a tensor after `backward`, which torch types as one that may be missing."""

from __future__ import annotations

from torch import Tensor


def gradient_of(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None, "nothing has been propagated back to this tensor"
    return tensor.grad
