"""The network and the view of a picture that the sides share where they can take them."""

from __future__ import annotations

from pathlib import Path

import torch
from torchvision.models import resnet50
from torchvision.transforms import v2

BATCH = 32


def embedder(weights: str) -> torch.nn.Module:
    """ResNet-50 without its last layer: (n, 3, 224, 224) to (n, 2048)."""
    network = resnet50(weights=None)
    network.load_state_dict(torch.load(weights, weights_only=True))
    network.fc = torch.nn.Identity()
    return network.eval()


def view() -> v2.Compose:
    """From a Pillow picture to (3, 224, 224) float32, as torchvision evaluates it."""
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    to_float = v2.ToDtype(torch.float32, scale=True)
    return v2.Compose([v2.Resize(256), v2.CenterCrop(224), v2.ToImage(), to_float, v2.Normalize(mean, std)])


def paths_of(folder: str) -> list[str]:
    return sorted(map(str, Path(folder).iterdir()))
