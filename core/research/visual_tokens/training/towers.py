"""What reads an image in a training on tokens: the token encoder, a patch ViT, or CLIP's own tower."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from core.research.visual_tokens.tokens.encoder import Block

MEAN, STD = 0.5, 0.25  # of a ViT's pixels


class VisionData(Protocol):
    """Images of which a tower reads some at a time."""

    def __len__(self) -> int: ...

    def batch(self, rows: np.ndarray) -> Any: ...


@dataclass(frozen=True)
class PixelData:
    """Pictures (N, S, S, 3) uint8, normalised when they are read."""

    pictures: np.ndarray
    mean: tuple[float, float, float] = (MEAN, MEAN, MEAN)
    std: tuple[float, float, float] = (STD, STD, STD)

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, rows: np.ndarray) -> Tensor:
        """(B, 3, S, S) float32."""
        pixels = torch.from_numpy(self.pictures[rows].astype(np.float32) / 255)
        pixels = (pixels - torch.tensor(self.mean)) / torch.tensor(self.std)
        return pixels.permute(0, 3, 1, 2)


def pixels_of(images: Sequence[Image.Image], size: int) -> np.ndarray:
    """(N, size, size, 3) uint8: shorter side resized to `size`, centre crop, as trainings read images."""
    return np.stack([_square(image.convert("RGB"), size) for image in images])


def _square(image: Image.Image, size: int) -> np.ndarray:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((size, size), Image.Resampling.BILINEAR, box))


class PatchViT(nn.Module):
    """A vision transformer with the blocks of the token encoder: equal patches, learned positions."""

    def __init__(self, *, size: int, patch: int, width: int, layers: int, heads: int, out: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.start = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 1 + (size // patch) ** 2, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, out)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, out), read at the class token."""
        x = self.patches(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.start.expand(len(x), -1, -1), x], dim=1) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x[:, 0]))
