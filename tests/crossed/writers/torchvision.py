"""What torchvision writes: states of its networks, and checkpoints of its reference training."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import nn
from torchvision.models import get_model

from tests.crossed.kit import Cases, Written, outputs, plain_pixels, through, trained

N = 7
BARE = ("pixels", "pixels_unchecked")


def made(name: str, seed: int = 1, **options: Any) -> nn.Module:
    torch.manual_seed(0)
    return trained(get_model(name, **{"num_classes": N, **options}), seed)


def state(folder: Path, name: str, *, spec: str = "torchvision:{name}@", **options: Any) -> Written:
    """A bare state dict, under the name of the architecture or alone."""
    model = made(name, **options)
    torch.save(model.state_dict(), folder / "weights.pth")
    pixels = plain_pixels(299 if name == "inception_v3" else 224, n=2)
    asked = spec.format(name=name) + "{folder}/weights.pth"
    return Written(spec=asked, pixels=pixels, logits=outputs(model, pixels))


def preset(folder: Path, name: str, size: int, resize: int) -> Written:
    """A fine-tuned network with the pixels of torchvision's own preset of evaluation."""
    model = made(name)
    torch.save(model.state_dict(), folder / "weights.pth")
    preset = torchvision.transforms._presets.ImageClassification(crop_size=size, resize_size=resize)
    pixels = through(preset)
    return Written(
        spec=f"torchvision:{name}@{{folder}}/weights.pth",
        pixels=pixels,
        logits=outputs(model, pixels),
        options={"input_size": size, "resize": resize},
        states_pixels=True,
    )


def reference(folder: Path, name: str, *, ema: bool = False, parallel: bool = False) -> Written:
    """What references/classification/train.py saves with `utils.save_on_master`."""
    model = made(name)
    options = argparse.Namespace(model=name, data_path="data", batch_size=32, model_ema=ema)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    checkpoint: dict[str, Any] = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 30).state_dict(),
        "epoch": 4,
        "args": options,
    }
    used = model
    if ema:
        used = made(name, seed=2)
        average = torch.optim.swa_utils.AveragedModel(used, use_buffers=True)
        checkpoint["model_ema"] = average.state_dict()
    if parallel:
        checkpoint["model"] = {f"module.{key}": one for key, one in model.state_dict().items()}
    torch.save(checkpoint, folder / "model_4.pth")
    pixels = plain_pixels(224, n=2)
    return Written(
        spec=f"torchvision:{name}@{{folder}}/model_4.pth", pixels=pixels, logits=outputs(used, pixels)
    )


NAMED = (
    *("resnet18", "mobilenet_v3_small", "mobilenet_v2", "squeezenet1_1", "shufflenet_v2_x0_5", "mnasnet0_5"),
    *("efficientnet_b0", "regnet_y_400mf", "densenet121", "googlenet", "swin_t", "convnext_tiny", "vit_b_32"),
)
AVERAGED = ("resnet18", "mobilenet_v3_small", "efficientnet_b0", "convnext_tiny")
CASES: Cases = {
    **{("torch.save(state_dict), torchvision:NAME@", name): partial(state, name=name) for name in NAMED},
    ("torch.save(state_dict), the path alone", "resnet18"): partial(state, name="resnet18", spec=""),
    ("torch.save(state_dict), the path alone", "resnet50"): partial(state, name="resnet50", spec=""),
    ("torch.save(state_dict), the path alone", "wide_resnet50_2"): partial(
        state, name="wide_resnet50_2", spec=""
    ),
    ("torch.save(state_dict), the path alone", "resnext50_32x4d"): partial(
        state, name="resnext50_32x4d", spec=""
    ),
    ("transforms._presets.ImageClassification", "resnet18, 224 of 256"): partial(
        preset, name="resnet18", size=224, resize=256
    ),
    ("transforms._presets.ImageClassification", "resnet18, 192 of 232"): partial(
        preset, name="resnet18", size=192, resize=232
    ),
    **{
        ("references/classification", name): partial(reference, name=name)
        for name in ("resnet18", "mobilenet_v3_small")
    },
    **{
        ("references/classification --model-ema", name): partial(reference, name=name, ema=True)
        for name in AVERAGED
    },
    ("references/classification, distributed", "resnet18"): partial(
        reference, name="resnet18", parallel=True
    ),
}
