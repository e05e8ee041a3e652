"""What the writers of sparse autoencoders share: sizes, vectors, and weights that look trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.crossed.kit import Written, vectors

R, M, K = 16, 40, 4  # features, latents, codes that are kept
X = vectors(R)


@torch.no_grad()
def drawn(model: torch.nn.Module, seed: int = 2, *, unit: tuple[str, int] | None = None) -> torch.nn.Module:
    """The model with all parameters drawn anew, in eval mode.

    Args:
        unit: a parameter whose vectors have length 1, and along which dimension they lie.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, one in model.named_parameters():
        spread = 0.3 if one.ndim > 1 else 0.2
        one.copy_(spread * torch.randn(one.shape, generator=generator))
        if "threshold" in name:
            one.copy_(one.abs())
    if unit is not None:
        weight = dict(model.named_parameters())[unit[0]]
        weight.div_(weight.norm(dim=unit[1], keepdim=True))
    return model.eval()


def written(path: str, codes: Any, x: Tensor = X, **more: Any) -> Written:
    """A case of a dictionary. path: within its folder; codes: (n, M) the tool's own."""
    place = "{folder}/" + path if path else "{folder}"
    dense = codes.to_dense() if isinstance(codes, Tensor) else np.asarray(codes)
    return Written(dictionary=place, vectors=x, codes=dense, **more)


def refused(path: str, **more: Any) -> Written:
    """A case whose codes are no product with a matrix, so that it has to be refused."""
    return written(path, np.zeros((len(X), M), np.float32), refused=True, **more)


def save(folder: Path, state: Mapping[str, Any], name: str = "sae.pt") -> str:
    torch.save(dict(state), folder / name)
    return name
