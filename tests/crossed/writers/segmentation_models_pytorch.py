"""What segmentation_models_pytorch writes: encoders inside networks of segmentation."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch

from tests.crossed.kit import Cases, Written, outputs, plain_pixels, trained

SIZE = 64


def saved(
    folder: Path, arch: str, encoder: str, *, way: str = "save_pretrained", spec: str = "", **settings: Any
) -> Written:
    """The representation is the mean of the last map of the encoder."""
    torch.manual_seed(0)
    model = trained(smp.create_model(arch, encoder, encoder_weights=None, classes=3, **settings))
    if way == "save_pretrained":
        model.save_pretrained(folder)
        path = "{folder}"
    else:
        torch.save(model.state_dict(), folder / "weights.pth")
        path = "{folder}/weights.pth"
    pixels = plain_pixels(SIZE)
    features = outputs(lambda x: model.encoder(x)[-1].mean((2, 3)), pixels)
    return Written(
        spec=spec + path,
        options={"input_size": SIZE},
        pixels=pixels,
        features=features,
        excused=("arch_assumed",) if way != "save_pretrained" else (),
    )


CASES: Cases = {
    **{
        (way, f"{arch}, {encoder}"): partial(saved, arch=arch, encoder=encoder, way=way)
        for way in ("save_pretrained", "torch.save(state_dict)")
        for arch, encoder in (
            ("unet", "resnet18"),
            ("unet", "resnet50"),
            ("deeplabv3plus", "resnet18"),
            ("deeplabv3", "resnet18"),
            ("fpn", "resnet18"),
            ("pan", "resnet18"),
        )
    },
    ("save_pretrained", "deeplabv3plus, resnet18, encoder_output_stride 8"): partial(
        saved, arch="deeplabv3plus", encoder="resnet18", encoder_output_stride=8
    ),
    ("save_pretrained", "unet, timm-efficientnet-b0"): partial(
        saved, arch="unet", encoder="timm-efficientnet-b0"
    ),
    ("save_pretrained", "unet, mobilenet_v2"): partial(saved, arch="unet", encoder="mobilenet_v2"),
    ("save_pretrained", "unet, tu-resnet10t"): partial(saved, arch="unet", encoder="tu-resnet10t"),
    ("save_pretrained", "unet, resnext50_32x4d"): partial(saved, arch="unet", encoder="resnext50_32x4d"),
    ("save_pretrained", "unet, resnet18, encoder_depth 5, aux_params"): partial(
        saved, arch="unet", encoder="resnet18", aux_params={"classes": 4}
    ),
}
