"""What solo-learn writes: Lightning's checkpoints with args.json beside them.

The release of the index calls its network `encoder`. The repository calls it `backbone`, and its layout is
written here by hand.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytorch_lightning as pl
import torch
import torchvision
from torch import nn

for gone in (
    "pl_bolts",
    "pl_bolts.optimizers",
    "pl_bolts.optimizers.lars_scheduling",
    "pl_bolts.optimizers.lr_scheduler",
):
    sys.modules.setdefault(gone, MagicMock())
from solo import methods

from tests.crossed.kit import Cases, Written, outputs, plain_pixels, trained

N = 5
SETTINGS: dict[str, Any] = {
    "num_classes": N,
    "max_epochs": 1,
    "batch_size": 4,
    "optimizer": "sgd",
    "lars": False,
    "lr": 0.1,
    "weight_decay": 0.0,
    "classifier_lr": 0.1,
    "exclude_bias_n_norm": False,
    "accumulate_grad_batches": 1,
    "extra_optimizer_args": {},
    "scheduler": "none",
    "min_lr": 0.0,
    "warmup_start_lr": 0.0,
    "warmup_epochs": 0,
    "num_large_crops": 2,
    "num_small_crops": 0,
    "proj_output_dim": 16,
    "proj_hidden_dim": 32,
    "base_tau_momentum": 0.99,
    "final_tau_momentum": 1.0,
    "momentum_classifier": False,
}
OF: dict[str, dict[str, Any]] = {
    "SimCLR": {"temperature": 0.2},
    "BYOL": {"pred_hidden_dim": 32},
    "MoCoV2Plus": {"temperature": 0.2, "queue_size": 16},
    "BarlowTwins": {"lamb": 0.01, "scale_loss": 0.1},
    "VICReg": {"sim_loss_weight": 1.0, "var_loss_weight": 1.0, "cov_loss_weight": 1.0},
    "DINO": {
        "num_prototypes": 32,
        "norm_last_layer": True,
        "clip_grad": 0.0,
        "freeze_last_layer": 1,
        "student_temperature": 0.1,
        "teacher_temperature": 0.07,
        "warmup_teacher_temperature": 0.04,
        "warmup_teacher_temperature_epochs": 0,
        "use_bn_in_head": False,
    },
}


def save(module: pl.LightningModule, folder: Path) -> None:
    trainer = pl.Trainer(max_epochs=0, logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(module)
    trainer.save_checkpoint(folder / "last.ckpt")


def released(
    folder: Path, method: str, *, cifar: bool = False, encoder: str = "resnet18", size: int = 64
) -> Written:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"cifar": cifar, "zero_init_residual": False}
    module = trained(
        getattr(methods, method)(encoder=encoder, backbone_args=arguments, **{**SETTINGS, **OF[method]})
    )
    save(module, folder)
    about = {"method": method.lower(), "encoder": encoder, "backbone_args": arguments, **SETTINGS}
    (folder / "args.json").write_text(json.dumps(about))
    pixels = plain_pixels(size)
    return Written(
        spec="{folder}/last.ckpt",
        options={"input_size": size},
        pixels=pixels,
        features=outputs(module.encoder, pixels),
        logits=outputs(lambda x: module.classifier(module.encoder(x)), pixels),
    )


class Repository(pl.LightningModule):
    """As solo-learn's main branch names its parts."""

    def __init__(self, cifar: bool, momentum: bool) -> None:
        super().__init__()
        self.backbone = self.made(cifar)
        self.projector = nn.Sequential(nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 16))
        self.classifier = nn.Linear(512, N)
        if momentum:
            self.momentum_backbone = self.made(cifar)
            self.momentum_projector = nn.Sequential(nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 16))

    @staticmethod
    def made(cifar: bool) -> nn.Module:
        network = torchvision.models.resnet18()
        network.fc = nn.Identity()
        if cifar:
            network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=2, bias=False)
            network.maxpool = nn.Identity()
        return network


def layout(folder: Path, *, cifar: bool = False, momentum: bool = False, size: int = 64) -> Written:
    torch.manual_seed(0)
    module = trained(Repository(cifar, momentum))
    save(module, folder)
    about = {
        "method": "byol",
        "backbone": {"name": "resnet18"},
        "data": {"dataset": "cifar10" if cifar else "custom"},
    }
    (folder / "args.json").write_text(json.dumps(about))
    pixels = plain_pixels(size)
    return Written(
        spec="{folder}/last.ckpt",
        options={"input_size": size},
        pixels=pixels,
        features=outputs(module.backbone, pixels),
        logits=outputs(lambda x: module.classifier(module.backbone(x)), pixels),
    )


CASES: Cases = {
    **{("Trainer.save_checkpoint", method): partial(released, method=method) for method in OF},
    ("Trainer.save_checkpoint", "SimCLR, cifar"): partial(released, method="SimCLR", cifar=True, size=32),
    ("Trainer.save_checkpoint", "BYOL, cifar"): partial(released, method="BYOL", cifar=True, size=32),
    ("Trainer.save_checkpoint", "SimCLR, resnet50"): partial(released, method="SimCLR", encoder="resnet50"),
    ("layout of its repository", "backbone, projector, classifier"): layout,
    ("layout of its repository", "with momentum_backbone"): partial(layout, momentum=True),
    ("layout of its repository", "with momentum_backbone, cifar"): partial(
        layout, momentum=True, cifar=True, size=32
    ),
}
