"""What MONAI's networks of two dimensions write."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from monai.networks import nets

from tests.crossed.kit import Cases, Written, outputs, plain_pixels, trained

N, SIZE = 5, 64


def saved(folder: Path, name: str, *, spec: str = "", then: str = "", **settings: Any) -> Written:
    torch.manual_seed(0)
    model = trained(getattr(nets, name)(**settings))
    torch.save(model.state_dict(), folder / "weights.pth")
    pixels = plain_pixels(SIZE)

    def logits(x: torch.Tensor) -> torch.Tensor:
        found = model(x)
        return found[0] if isinstance(found, tuple) else found

    return Written(
        spec=f"{spec}{{folder}}/weights.pth",
        options={"input_size": SIZE},
        pixels=pixels,
        logits=outputs(logits, pixels),
        then=(f"{then}{{folder}}/weights.pth", {"input_size": SIZE}) if then else None,
        excused=("arch_assumed",),
    )


RESNET = {"spatial_dims": 2, "n_input_channels": 3, "num_classes": N}
DENSE = {"spatial_dims": 2, "in_channels": 3, "out_channels": N}
CASES: Cases = {
    ("torch.save(state_dict)", "resnet18"): partial(saved, name="resnet18", **RESNET),
    ("torch.save(state_dict)", "resnet18, conv1_t_stride 2"): partial(
        saved, name="resnet18", conv1_t_stride=2, **RESNET
    ),
    ("torch.save(state_dict)", "resnet18, no_max_pool"): partial(
        saved, name="resnet18", no_max_pool=True, **RESNET
    ),
    ("torch.save(state_dict)", "resnet18, bias_downsample false"): partial(
        saved, name="resnet18", bias_downsample=False, **RESNET
    ),
    ("torch.save(state_dict)", "resnet18, as torchvision's"): partial(
        saved, name="resnet18", bias_downsample=False, conv1_t_stride=2, **RESNET
    ),
    ("torch.save(state_dict)", "resnet50, bias_downsample false"): partial(
        saved, name="resnet50", bias_downsample=False, **RESNET
    ),
    ("torch.save(state_dict)", "resnet50"): partial(saved, name="resnet50", **RESNET),
    ("torch.save(state_dict)", "resnet18, shortcut_type A"): partial(
        saved, name="resnet18", shortcut_type="A", **RESNET
    ),
    ("torch.save(state_dict)", "DenseNet121"): partial(saved, name="DenseNet121", **DENSE),
    ("torch.save(state_dict), torchvision:densenet121@", "DenseNet121"): partial(
        saved, name="DenseNet121", spec="torchvision:densenet121@", **DENSE
    ),
    ("torch.save(state_dict), timm:efficientnet_b0@", "EfficientNetBN b0"): partial(
        saved,
        name="EfficientNetBN",
        spec="timm:efficientnet_b0@",
        model_name="efficientnet-b0",
        pretrained=False,
        num_classes=N,
        spatial_dims=2,
        in_channels=3,
    ),
    ("torch.save(state_dict), timm:tf_efficientnet_b0@", "EfficientNetBN b0"): partial(
        saved,
        name="EfficientNetBN",
        spec="timm:tf_efficientnet_b0@",
        model_name="efficientnet-b0",
        pretrained=False,
        num_classes=N,
        spatial_dims=2,
        in_channels=3,
    ),
    ("torch.save(state_dict)", "EfficientNetBN b0"): partial(
        saved,
        name="EfficientNetBN",
        model_name="efficientnet-b0",
        pretrained=False,
        num_classes=N,
        spatial_dims=2,
        in_channels=3,
    ),
    ("torch.save(state_dict)", "SEResNet50"): partial(
        saved, name="SEResNet50", spatial_dims=2, in_channels=3, num_classes=N, pretrained=False
    ),
    ("torch.save(state_dict)", "ViT, classification"): partial(
        saved,
        name="ViT",
        in_channels=3,
        img_size=(SIZE, SIZE),
        patch_size=(16, 16),
        hidden_size=48,
        mlp_dim=96,
        num_layers=2,
        num_heads=3,
        classification=True,
        num_classes=N,
        spatial_dims=2,
        post_activation="none",
    ),
}
