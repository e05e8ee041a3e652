"""Pictures for a transformer that is small enough for a test."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_images(folder: Path, n: int = 80) -> Path:
    """Write noisy pictures of 32 pixels in two classes."""
    rng = np.random.default_rng(0)
    for number in range(n):
        path = folder / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.normal(rng.uniform(40, 200, 3), rng.uniform(5, 60), (32, 32, 3)).clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder
