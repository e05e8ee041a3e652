"""Small studies of real pictures through untrained encoders, for everything that needs maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from core.pipeline import run as pipeline
from core.study.progress import Progress

ENCODER = {"encoder": "timm:resnet10t?output_stride=8", "input_size": 64, "resize": 64}
VIT = {"encoder": "timm:vit_tiny_patch16_224?img_size=64", "input_size": 64, "resize": 64}
HERE = {"device": "cpu", "workers": 0}
N_TRAIN, N_VAL = 12, 8
HALF = 2e-3


def make_images(folder: Path) -> Path:
    """Squares of one colour on another, landscape; each a little different."""
    rng = np.random.default_rng(0)
    for number in range(N_TRAIN + N_VAL):
        split, label = ("train", "val")[number >= N_TRAIN], "ab"[number % 2]
        pixels = np.full((70, 90, 3), rng.integers(0, 255, 3), np.uint8)
        x, y = rng.integers(5, 40, 2)
        pixels[y : y + 25, x : x + 25] = rng.integers(0, 255, 3)
        path = folder / split / label / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return folder


def make(folder: Path, images: Path, encoder=ENCODER, *, no_maps: bool = True) -> Path:
    for step, options in (
        ("embed", {"images": str(images), **encoder, "no_maps": no_maps}),
        ("features", {"epsilon": 2.5 if encoder is ENCODER else 2.0}),  # some images fire nothing in D
    ):
        pipeline.run_step(step, folder, options | HERE, Progress.silent())
    return folder


def heatmaps(folder: Path, **options):
    return pipeline.run_step("heatmaps", folder, options | HERE, Progress.silent())
