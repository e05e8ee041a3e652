"""What stable-pretraining writes: checkpoints of its Module and of its methods."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import stable_pretraining as spt
import timm
import torch
import torchvision
from torch import nn

from tests.crossed.kit import Cases, Written, outputs, plain_pixels, trained

N = 5


def forward(self: Any, batch: Any, stage: str) -> Any:
    return batch


def resnet() -> nn.Module:
    network = torchvision.models.resnet18()
    network.fc = nn.Identity()
    return network


def save(module: Any, folder: Path) -> None:
    trainer = L.Trainer(max_epochs=0, logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(module)
    trainer.save_checkpoint(folder / "last.ckpt")


def module(
    folder: Path, *, wrapped: bool = False, branch: str = "", vit: bool = False, probe: bool = False
) -> Written:
    """A Module with a backbone and a projector, whose backbone may be a student with its teacher."""
    torch.manual_seed(0)
    network: Any = (
        timm.create_model("vit_tiny_patch16_224", depth=2, num_classes=0, img_size=64) if vit else resnet()
    )
    width = 192 if vit else 512
    backbone = spt.TeacherStudentWrapper(network) if wrapped else network
    parts: dict[str, Any] = {"backbone": backbone, "projector": nn.Linear(width, 16)}
    if probe:
        parts["classifier"] = nn.Linear(width, N)
    whole = trained(spt.Module(forward=forward, hparams={"lr": 0.1}, **parts))
    used = network
    if wrapped:
        used = backbone.teacher if branch == "teacher" else backbone.student
    save(whole, folder)
    pixels = plain_pixels(64)
    return Written(
        spec="{folder}/last.ckpt" + (f"?branch={branch}" if branch else ""),
        options={"input_size": 64},
        pixels=pixels,
        features=outputs(used, pixels),
        logits=outputs(lambda x: whole.classifier(used(x)), pixels) if probe else None,
    )


def method(folder: Path, name: str, used: str, **settings: Any) -> Written:
    """One of its ready methods, around a small network."""
    torch.manual_seed(0)
    whole = trained(getattr(spt, name)(encoder_name=resnet(), **settings))
    save(whole, folder)
    pixels = plain_pixels(64)
    network = whole.get_submodule(used)
    return Written(
        spec="{folder}/last.ckpt",
        options={"input_size": 64},
        pixels=pixels,
        features=outputs(network, pixels),
    )


CASES: Cases = {
    ("Trainer.save_checkpoint", "Module, backbone"): module,
    ("Trainer.save_checkpoint", "Module, backbone, classifier"): partial(module, probe=True),
    ("Trainer.save_checkpoint", "Module, backbone a ViT"): partial(module, vit=True),
    ("Trainer.save_checkpoint", "TeacherStudentWrapper, the student"): partial(
        module, wrapped=True, branch="student"
    ),
    ("Trainer.save_checkpoint", "TeacherStudentWrapper, the teacher"): partial(
        module, wrapped=True, branch="teacher"
    ),
    ("Trainer.save_checkpoint", "SimCLR"): partial(method, name="SimCLR", used="backbone"),
    ("Trainer.save_checkpoint", "BarlowTwins"): partial(method, name="BarlowTwins", used="backbone"),
    ("Trainer.save_checkpoint", "VICReg"): partial(method, name="VICReg", used="backbone"),
}
