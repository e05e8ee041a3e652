"""What torch's own functions make of weights: in parts, and with a neck or several classifiers behind."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from tests.crossed.kit import (
    Cases,
    Written,
    balance,
    class_names,
    many_pictures,
    outputs,
    plain_pixels,
    trained,
)

N = 7  # classes
SIZE = 64
HALF = (0.5, 0.5, 0.5)


def network() -> nn.Module:
    torch.manual_seed(0)
    return trained(torchvision.models.resnet18(num_classes=N))


def in_parts(folder: Path, change: Callable[[nn.Module], object]) -> Written:
    """A ResNet whose layers hold their weights in parts."""
    model = network()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in list(model.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                change(module)
    model.train()(plain_pixels(SIZE))  # spectral norms are measured in training
    torch.save(model.state_dict(), folder / "weights.pth")
    pixels = plain_pixels(SIZE)
    spec = "torchvision:resnet18@{folder}/weights.pth"
    return Written(spec=spec, pixels=pixels, logits=outputs(model, pixels))


class Necked(nn.Module):
    """An encoder, what lies behind it, and a classifier, as in re-identification and metric learning."""

    def __init__(self, neck: nn.Module, classifier: nn.Module, name: str = "bottleneck") -> None:
        super().__init__()
        self.base = torchvision.models.resnet18()
        self.base.fc = nn.Identity()
        self.add_module(name, neck)
        self.classifier = classifier
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.get_submodule(self.name)(self.base(x)))


class Cosine(nn.Module):
    """A cosine classifier with a factor that is learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(N, 512))
        self.scale = nn.Parameter(torch.tensor(16.0))

    def forward(self, x: Tensor) -> Tensor:
        cosine = nn.functional.linear(nn.functional.normalize(x), nn.functional.normalize(self.weight))
        return self.scale * cosine


def whole(folder: Path, make: Callable[[], nn.Module], *, refused: bool = False) -> Written:
    torch.manual_seed(0)
    model = trained(make())
    torch.save({"state_dict": model.state_dict()}, folder / "weights.pth")
    pixels = plain_pixels(SIZE)
    written = Written(
        spec="{folder}/weights.pth", pixels=pixels, logits=outputs(model, pixels), refused=refused
    )
    written.excused = ("arch_assumed",)
    return written


class Answering(nn.Module):
    """An encoder with a classifier that labels can be compared with."""

    def __init__(self, names: tuple[str, ...], embedding: bool) -> None:
        super().__init__()
        self.backbone = torchvision.models.resnet18()
        self.backbone.fc = nn.Identity()
        self.names, width = names, 32 if embedding else 512
        layers = [nn.Linear(512, width), nn.BatchNorm1d(width)] if embedding else []
        self.fc = nn.Sequential(*layers)
        for name in names:
            self.add_module(name, nn.Linear(width, N))

    def forward(self, x: Tensor) -> Tensor:
        return self.get_submodule(self.names[-1])(self.fc(self.backbone(x)))


def answering(folder: Path, *, names: tuple[str, ...], embedding: bool = False) -> Written:
    """Labels tell which of several classifiers is meant, and what lies between."""
    torch.manual_seed(0)
    model = trained(Answering(names, embedding))
    small = [one.resize((SIZE, SIZE), Image.Resampling.BILINEAR) for one in many_pictures()]
    views = [torchvision.transforms.functional.to_tensor(one) for one in small]
    pixels = (torch.stack(views) - 0.5) / 0.5
    read = outputs(lambda x: model.fc(model.backbone(x)), pixels)
    balance(model.get_submodule(names[-1]), read)
    torch.save({"state_dict": model.state_dict()}, folder / "weights.pth")
    return Written(
        spec="{folder}/weights.pth",
        options={"input_size": SIZE, "resize": SIZE, "mean": list(HALF), "std": list(HALF)},
        classes=sorted(class_names(N)),
        answers=outputs(model, pixels).argmax(1),
    )


CASES: Cases = {
    ("torch.nn.utils.prune.l1_unstructured", "resnet18"): partial(
        in_parts, change=lambda module: prune.l1_unstructured(module, "weight", 0.5)
    ),
    ("torch.nn.utils.prune.ln_structured", "resnet18"): partial(
        in_parts, change=lambda module: prune.ln_structured(module, "weight", 0.3, n=2, dim=0)
    ),
    ("parametrizations.weight_norm", "resnet18"): partial(in_parts, change=parametrizations.weight_norm),
    ("parametrizations.spectral_norm", "resnet18"): partial(in_parts, change=parametrizations.spectral_norm),
    ("torch.nn.utils.weight_norm", "resnet18"): partial(in_parts, change=nn.utils.weight_norm),
    ("torch.nn.utils.spectral_norm", "resnet18"): partial(in_parts, change=nn.utils.spectral_norm),
    ("torch.save, neck before the classifier", "BatchNorm1d"): partial(
        whole, make=lambda: Necked(nn.BatchNorm1d(512), nn.Linear(512, N, bias=False))
    ),
    ("torch.save, neck before the classifier", "LayerNorm"): partial(
        whole, make=lambda: Necked(nn.LayerNorm(512), nn.Linear(512, N), "neck"), refused=True
    ),
    ("torch.save, neck before the classifier", "square Linear and ReLU"): partial(
        whole,
        make=lambda: Necked(nn.Sequential(nn.Linear(512, 512), nn.ReLU()), nn.Linear(512, N), "neck"),
        refused=True,
    ),
    ("torch.save, cosine classifier", "weight, scale"): partial(
        whole, make=lambda: Necked(nn.Identity(), Cosine())
    ),
    ("torch.save, several classifiers", "head of another task, classifier"): partial(
        answering, names=("head", "classifier")
    ),
    ("torch.save, embedding before the classifier", "Linear, BatchNorm1d"): partial(
        answering, names=("classifier",), embedding=True
    ),
}
