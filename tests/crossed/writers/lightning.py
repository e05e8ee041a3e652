"""What Lightning's Trainer writes: checkpoints of modules of many shapes, averages of weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torchvision
from lightning.pytorch.callbacks import EMAWeightAveraging, StochasticWeightAveraging
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.crossed.kit import Cases, Written, outputs, plain_pixels, trained

N, SIZE = 5, 32


class Classifier(L.LightningModule):
    """A network under one name, and a classifier under another where it is split."""

    def __init__(
        self, name: str = "model", head: str = "", arch: str = "resnet18", compiled: str = ""
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        network = torchvision.models.get_model(arch, num_classes=N)
        self.names = (name, head)
        if head:
            setattr(self, head, nn.Linear(network.fc.in_features, N))
            network.fc = nn.Identity()
        if compiled:
            setattr(network, compiled, torch.compile(getattr(network, compiled), backend="eager"))
        setattr(self, name, network)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = getattr(self, self.names[0])(x)
        return getattr(self, self.names[1])(features) if self.names[1] else features

    def training_step(self, batch: Any, index: int) -> torch.Tensor:
        x, y = batch
        return nn.functional.cross_entropy(self(x), y)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-4)


def checkpoint(
    folder: Path, *, callback: type | None = None, weights_only: bool = False, **settings: Any
) -> Written:
    """Train for two steps and save, as the Trainer does both."""
    torch.manual_seed(0)
    module = trained(Classifier(**settings))
    data = TensorDataset(plain_pixels(SIZE, 8), torch.arange(8) % N)
    options: dict[str, Any] = (
        {"swa_lrs": 1e-4, "swa_epoch_start": 1} if callback is StochasticWeightAveraging else {}
    )
    trainer = L.Trainer(
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback(**options)] if callback else [],
        default_root_dir=folder,
    )
    trainer.fit(module, DataLoader(data, 4))
    trainer.save_checkpoint(folder / "last.ckpt", weights_only=weights_only)
    pixels = plain_pixels(SIZE)
    return Written(
        spec="{folder}/last.ckpt", options={"input_size": SIZE}, pixels=pixels, logits=outputs(module, pixels)
    )


CASES: Cases = {
    ("Trainer.save_checkpoint", "self.model"): partial(checkpoint),
    ("Trainer.save_checkpoint", "self.model, weights_only"): partial(checkpoint, weights_only=True),
    ("Trainer.save_checkpoint", "self.net"): partial(checkpoint, name="net"),
    ("Trainer.save_checkpoint", "self.backbone"): partial(checkpoint, name="backbone"),
    ("Trainer.save_checkpoint", "self.backbone, self.classifier"): partial(
        checkpoint, name="backbone", head="classifier"
    ),
    ("Trainer.save_checkpoint", "self.encoder, self.fc"): partial(checkpoint, name="encoder", head="fc"),
    ("Trainer.save_checkpoint", "self.feature_extractor, self.head"): partial(
        checkpoint, name="feature_extractor", head="head"
    ),
    ("Trainer.save_checkpoint", "self.model, resnet50"): partial(checkpoint, arch="resnet50"),
    ("Trainer.save_checkpoint", "layer1 alone compiled"): partial(checkpoint, compiled="layer1"),
    ("Trainer.save_checkpoint", "EMAWeightAveraging"): partial(checkpoint, callback=EMAWeightAveraging),
    ("Trainer.save_checkpoint", "StochasticWeightAveraging"): partial(
        checkpoint, callback=StochasticWeightAveraging
    ),
}
