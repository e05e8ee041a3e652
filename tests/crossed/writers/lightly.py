"""What lightly's tutorials write: Lightning's checkpoints of modules with a backbone and lightly's heads."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import timm
import torch
import torchvision
from lightly.models import ResNetGenerator, modules
from lightly.models.utils import deactivate_requires_grad
from torch import nn

from tests.crossed.kit import Cases, Written, outputs, plain_pixels, trained

BARE = ("pixels", "pixels_unchecked")


def resnet() -> nn.Sequential:
    whole = torchvision.models.resnet18(num_classes=4)
    return nn.Sequential(*list(whole.children())[:-1])


class SimCLR(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = resnet()
        self.projection_head = modules.SimCLRProjectionHead(512, 64, 32)


class MoCo(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = resnet()
        self.projection_head = modules.MoCoProjectionHead(512, 64, 32)
        self.backbone_momentum = resnet()
        self.projection_head_momentum = modules.MoCoProjectionHead(512, 64, 32)
        deactivate_requires_grad(self.backbone_momentum)


class BYOL(MoCo):
    def __init__(self) -> None:
        super().__init__()
        self.prediction_head = modules.BYOLPredictionHead(32, 64, 32)


class DINO(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.student_backbone = resnet()
        self.student_head = modules.DINOProjectionHead(512, 64, 32, 128)
        self.teacher_backbone = resnet()
        self.teacher_head = modules.DINOProjectionHead(512, 64, 32, 128)


class Benchmark(pl.LightningModule):
    """As in its benchmarks on CIFAR: ResNetGenerator, with a 3 x 3 stem."""

    def __init__(self) -> None:
        super().__init__()
        generated = ResNetGenerator("resnet-18")
        self.backbone = nn.Sequential(*list(generated.children())[:-1], nn.AdaptiveAvgPool2d(1))
        self.projection_head = modules.SimCLRProjectionHead(512, 64, 32)


class MAE(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        vit = timm.create_model("vit_tiny_patch16_224", depth=2, num_classes=0, img_size=64)
        self.backbone = modules.MaskedVisionTransformerTIMM(vit=vit)
        self.decoder = modules.MAEDecoderTIMM(
            num_patches=16,
            patch_size=16,
            embed_dim=192,
            decoder_embed_dim=32,
            decoder_depth=1,
            decoder_num_heads=2,
        )


def checkpoint(
    folder: Path, cls: type[pl.LightningModule], used: str, *, branch: str = "", size: int = 64
) -> Written:
    """What `Trainer.save_checkpoint` writes; `used` is the backbone whose features are compared."""
    torch.manual_seed(0)
    module = trained(cls())
    trainer = pl.Trainer(max_epochs=0, logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(module)
    trainer.save_checkpoint(folder / "last.ckpt")
    pixels, backbone = plain_pixels(size), getattr(module, used)
    forward = backbone.encode if hasattr(backbone, "encode") else backbone
    features = outputs(lambda x: forward(x), pixels)
    features = features[:, 0] if features.ndim == 3 else features.flatten(1)
    asked = f"?branch={branch}" if branch else ""
    return Written(
        spec=f"{{folder}}/last.ckpt{asked}", options={"input_size": size}, pixels=pixels, features=features
    )


def plain(folder: Path) -> Written:
    """As its documents advise: the state of the backbone alone."""
    torch.manual_seed(0)
    backbone = trained(resnet())
    torch.save(backbone.state_dict(), folder / "backbone.pth")
    pixels = plain_pixels(64)
    features = outputs(backbone, pixels).flatten(1)
    return Written(spec="{folder}/backbone.pth", options={"input_size": 64}, pixels=pixels, features=features)


CASES: Cases = {
    ("Trainer.save_checkpoint", "SimCLR of the tutorial"): partial(checkpoint, cls=SimCLR, used="backbone"),
    ("Trainer.save_checkpoint", "MoCo, the query"): partial(
        checkpoint, cls=MoCo, used="backbone", branch="student"
    ),
    ("Trainer.save_checkpoint", "MoCo, the momentum copy"): partial(
        checkpoint, cls=MoCo, used="backbone_momentum", branch="teacher"
    ),
    ("Trainer.save_checkpoint", "BYOL, the online network"): partial(
        checkpoint, cls=BYOL, used="backbone", branch="online"
    ),
    ("Trainer.save_checkpoint", "DINO, the student"): partial(
        checkpoint, cls=DINO, used="student_backbone", branch="student"
    ),
    ("Trainer.save_checkpoint", "DINO, the teacher"): partial(
        checkpoint, cls=DINO, used="teacher_backbone", branch="teacher"
    ),
    ("Trainer.save_checkpoint", "ResNetGenerator of its benchmarks"): partial(
        checkpoint, cls=Benchmark, used="backbone", size=32
    ),
    ("Trainer.save_checkpoint", "MAE, MaskedVisionTransformerTIMM"): partial(
        checkpoint, cls=MAE, used="backbone"
    ),
    ("torch.save(backbone.state_dict())", "ResNet-18 as a Sequential"): plain,
}
