"""What timm writes: states, training checkpoints, folders of the hub."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from timm.data import create_transform, resolve_model_data_config
from timm.utils import CheckpointSaver, ModelEmaV3

from tests.crossed.kit import (
    Cases,
    Written,
    balance,
    class_names,
    many_pictures,
    outputs,
    pictures,
    through,
    trained,
)

N = 7  # classes


def made(name: str, seed: int = 1, **options: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    return trained(timm.create_model(name, **{"num_classes": N, **options}), seed)


def own_pixels(model: torch.nn.Module) -> torch.Tensor:
    """What timm's own transform makes of the pictures, in evaluation."""
    return through(create_transform(**resolve_model_data_config(model), is_training=False))


def features_of(model: torch.nn.Module, pixels: torch.Tensor) -> torch.Tensor:
    return outputs(lambda x: model.forward_head(model.forward_features(x), pre_logits=True), pixels)


def state(
    folder: Path, name: str, *, spec: str = "timm:{name}@", suffix: str = ".pth", **options: Any
) -> Written:
    """A bare state dict, under the name of the architecture or alone."""
    model = made(name, **options)
    path = folder / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path)
    asked = spec.format(name=name) + f"{{folder}}/{path.name}"
    pixels = own_pixels(model)
    return Written(
        spec=asked,
        pixels=pixels,
        logits=outputs(model, pixels),
        states_pixels=spec.startswith("timm:"),
        excused=("pixels", "pixels_unchecked", "gelu") if not spec else (),
    )


def hub(
    folder: Path, name: str, *, config: dict[str, Any] | None = None, safe: bool = True, **options: Any
) -> Written:
    """The folder that timm pushes to a hub, as `timm.create_model("local-dir:…")` reads it."""
    model = made(name, **options)
    timm.models.save_for_hf(model, folder, model_config=config, safe_serialization=safe)
    again = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    pixels = own_pixels(again)
    names = (config or {}).get("label_names")
    return Written(
        spec="{folder}",
        pixels=pixels,
        logits=outputs(again, pixels),
        states_pixels=True,
        stated=True,
        names=list(names) if names else None,
    )


def training(
    folder: Path, name: str, *, ema: bool = False, arguments: dict[str, Any] | None = None
) -> Written:
    """A checkpoint of timm's train.py: the average where it is kept, else the network."""
    model = made(name)
    average = ModelEmaV3(made(name, seed=2)) if ema else None
    options = {"model": name, "num_classes": N, **(arguments or {})}
    saver = CheckpointSaver(
        model,
        torch.optim.SGD(model.parameters(), 0.1),
        args=argparse.Namespace(**options),
        model_ema=average,
        checkpoint_dir=str(folder),
        recovery_dir=str(folder),
    )
    saver.save_checkpoint(3, metric=50.0)
    used = average.module if average else model
    data = timm.data.resolve_data_config(options, model=used)
    pixels = through(create_transform(**data, is_training=False))
    return Written(
        spec="{folder}/last.pth.tar", pixels=pixels, logits=outputs(used, pixels), states_pixels=True
    )


def own_order(folder: Path, name: str, *, classes: tuple[str, ...], size: int = 64) -> Written:
    """A classifier that was trained on class folders as timm's own reader orders them."""
    for one in classes:
        (folder / "data" / one).mkdir(parents=True)
        pictures()[0].save(folder / "data" / one / "0.png")
    order = timm.data.create_dataset("", str(folder / "data")).reader.class_to_idx
    model = made(name, num_classes=len(classes))
    data = {"input_size": (3, size, size), "crop_pct": 1.0, "mean": HALF, "std": HALF}
    preprocess = create_transform(**{**resolve_model_data_config(model), **data}, is_training=False)
    pixels = torch.stack([preprocess(one) for one in many_pictures()])
    balance(model.get_classifier(), features_of(model, pixels))
    torch.save(model.state_dict(), folder / "weights.pth")
    return Written(
        spec=f"timm:{name}@{{folder}}/weights.pth",
        options={"input_size": size, "resize": size, "mean": list(HALF), "std": list(HALF)},
        classes=sorted(order, key=order.get),
        answers=outputs(model, pixels).argmax(1),
    )


HALF = (0.5, 0.5, 0.5)
NAMED = (
    *("resnet10t", "test_vit", "test_vit2", "test_vit3", "test_vit4", "test_resnet", "test_byobnet"),
    *("test_efficientnet", "test_convnext", "test_convnext2", "test_maxvit", "test_nfnet", "test_mambaout"),
)
BARE = ("resnet10t", "test_vit", "test_convnext")
CASES: Cases = {
    **{("torch.save(state_dict), timm:NAME@", name): partial(state, name=name) for name in NAMED},
    **{("torch.save(state_dict), the path alone", name): partial(state, name=name, spec="") for name in BARE},
    ("safetensors.save_file(state_dict)", "test_resnet"): partial(
        state, name="test_resnet", suffix=".safetensors"
    ),
    **{("models.save_for_hf", name): partial(hub, name=name) for name in NAMED},
    ("models.save_for_hf", "resnet10t, .bin"): partial(hub, name="resnet10t", safe=False),
    ("models.save_for_hf", "resnet10t, label_names"): partial(
        hub, name="resnet10t", config={"label_names": class_names(N)}
    ),
    ("models.save_for_hf", "test_vit, global_pool=avg"): partial(hub, name="test_vit", global_pool="avg"),
    ("models.save_for_hf", "resnet10t, global_pool=max"): partial(hub, name="resnet10t", global_pool="max"),
    ("models.save_for_hf", "test_vit, img_size=128"): partial(hub, name="test_vit", img_size=128),
    **{
        ("utils.CheckpointSaver", name): partial(training, name=name)
        for name in ("resnet10t", "test_vit", "test_convnext", "test_efficientnet")
    },
    ("data.create_dataset and torch.save", "resnet10t, folders a to g"): partial(
        own_order, name="resnet10t", classes=tuple("abcdefg")
    ),
    ("data.create_dataset and torch.save", "resnet10t, folders 1 to 12"): partial(
        own_order, name="resnet10t", classes=tuple(str(one) for one in range(1, 13))
    ),
    ("utils.CheckpointSaver", "resnet10t, model_ema"): partial(training, name="resnet10t", ema=True),
    ("utils.CheckpointSaver", "resnet10t, mean, std, crop_pct"): partial(
        training,
        name="resnet10t",
        arguments={
            "mean": (0.5, 0.5, 0.5),
            "std": (0.5, 0.5, 0.5),
            "crop_pct": 1.0,
            "interpolation": "bilinear",
        },
    ),
}
