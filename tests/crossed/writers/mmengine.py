"""What mmengine's runner writes, of networks with the names that mmpretrain gives."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from mmengine.model import BaseModel, ExponentialMovingAverage
from mmengine.runner import save_checkpoint
from torch import nn

from tests.crossed.kit import Cases, Written, class_names, outputs, plain_pixels, trained

N, SIZE = 5, 64


class Head(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, N)


class Classifier(BaseModel):
    """As mmpretrain's ImageClassifier: backbone, neck, head.fc."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torchvision.models.resnet18()
        self.backbone.fc = nn.Identity()
        self.head = Head(512)

    def forward(self, inputs: torch.Tensor, data_samples: Any = None, mode: str = "tensor") -> torch.Tensor:
        return self.head.fc(self.backbone(inputs))


def saved(
    folder: Path, *, average: bool = False, meta: dict[str, Any] | None = None, names: bool = False
) -> Written:
    torch.manual_seed(0)
    model, used = trained(Classifier()), None
    held: dict[str, Any] = {
        "state_dict": model.state_dict(),
        "message_hub": {},
        "meta": {"epoch": 3, **(meta or {})},
    }
    if average:
        used = trained(Classifier(), seed=2)
        held["ema_state_dict"] = ExponentialMovingAverage(used).state_dict()
    save_checkpoint(held, str(folder / "epoch_3.pth"))
    pixels = plain_pixels(SIZE)
    return Written(
        spec="{folder}/epoch_3.pth",
        options={"input_size": SIZE},
        pixels=pixels,
        logits=outputs(used or model, pixels),
        names=class_names(N) if names else None,
    )


CASES: Cases = {
    ("runner.save_checkpoint", "backbone, head.fc"): saved,
    ("runner.save_checkpoint", "ema_state_dict"): partial(saved, average=True),
    ("runner.save_checkpoint", "meta.dataset_meta.classes"): partial(
        saved, meta={"dataset_meta": {"classes": tuple(class_names(N))}}, names=True
    ),
}
