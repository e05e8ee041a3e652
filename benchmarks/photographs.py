"""A thousand photographs and the networks that are timed on them, made once below build/bench."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.studies import FOLDER

NAMED_BY = "PEREGRINE_PHOTOGRAPHS"
SUFFIXES = (".jpg", ".jpeg", ".JPEG", ".png")
QUALITY = 90  # of the second half: the same photographs, encoded again
# The asset's weights are trained; those of the others are drawn with this seed (none can be downloaded here).
SEED = 0
NETWORKS = {
    "ResNet-50": "resnet50@{}",
    "EfficientNet-Lite0": "asset:efficientnet_lite0",
    "ViT-S/16": "timm:vit_small_patch16_224@{}",
    "ConvNeXt-Tiny": "timm:convnext_tiny@{}",
}


def folder_of(n_images: int) -> Path | str:
    """Make a folder of so many pictures, each photograph twice (encoded again), or say what is missing."""
    if not (given := os.environ.get(NAMED_BY)):
        return f"set {NAMED_BY} to a folder of photographs"
    sources = sorted(path for path in Path(given).rglob("*") if path.suffix in SUFFIXES)[: -(-n_images // 2)]
    if 2 * len(sources) < n_images:
        return f"{NAMED_BY} has {len(sources)} photographs, and {n_images // 2} are needed"
    folder = (FOLDER / f"photographs{n_images}").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for number, source in enumerate(sources):
        once, again = folder / f"{number:04d}{source.suffix}", folder / f"{number:04d}-again.jpg"
        if not once.exists():
            once.write_bytes(source.read_bytes())
        if not again.exists() and 2 * number + 1 < n_images:
            with Image.open(source) as opened:
                opened.convert("RGB").save(again, quality=QUALITY)
    return folder


def weights_of(name: str) -> Path:
    """The file of a network's random, seeded weights: torchvision's for ResNet-50, timm's for the others."""
    import torch

    path = (FOLDER / f"{name.replace('/', '-')}.pth").resolve()
    if not path.exists():
        torch.manual_seed(SEED)
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(network(name).state_dict(), path)
    return path


def network(name: str) -> Any:
    """The network with weights of its library's initialisation."""
    if name == "ResNet-50":
        from torchvision.models import resnet50

        return resnet50(weights=None)
    import timm

    return timm.create_model(NETWORKS[name].partition(":")[2].partition("@")[0])


def spec_of(name: str) -> str:
    """What `--encoder` takes for it."""
    spec = NETWORKS[name]
    return spec.format(weights_of(name)) if "{}" in spec else spec
