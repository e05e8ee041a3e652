"""Small numeric tools shared by the analysis."""

import math

import numpy as np
import torch
from torch import Tensor

from core.errors import ShapeError

TIE = 1e-12  # relative: values this near to a threshold count as equal to it, so rounding decides nothing


def as_tensor(values: Tensor | np.ndarray) -> Tensor:
    """Return a tensor of representations unchanged; wrap an array, without copying if possible."""
    if isinstance(values, Tensor):
        return values
    values = np.asarray(values)
    return torch.from_numpy(values if values.flags.writeable else values.copy())


def check_matrix(name: str, values: Tensor | np.ndarray) -> None:
    """Raise ShapeError when `values` is not of shape (n_images, n_features)."""
    if values.ndim != 2:
        raise ShapeError(f"{name} has shape {tuple(values.shape)}; expected (n_images, n_features)")


def row_moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation of each representation, (n, 1) float64 each."""
    values = values.double()
    mean = values.mean(1, keepdim=True)
    return mean, (values - mean).square().mean(1, keepdim=True).sqrt()


def masked_mean(values: Tensor, mask: Tensor, *, empty: float) -> Tensor:
    """Mean of each representation over its masked entries, (n,); `empty` for rows without any."""
    count = mask.sum(1)
    total = torch.where(mask, values, torch.zeros_like(values)).sum(1)
    return torch.where(count > 0, total / count.clamp(min=1), torch.full_like(total, empty))


def hoyer_of_norms(l1: Tensor | np.ndarray, l2: Tensor | np.ndarray, n_features: int) -> Tensor:
    """Hoyer sparsity, a score of images, from the two norms of each representation; NaN for a zero row."""
    l1, l2 = as_tensor(l1), as_tensor(l2)
    if n_features < 2:
        return torch.full_like(l1, math.nan)
    root = math.sqrt(n_features)
    return (root - l1 / torch.where(l2 > 0, l2, math.nan)) / (root - 1.0)
