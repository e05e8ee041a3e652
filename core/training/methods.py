"""Self-supervised methods: a backbone, a head, and a loss over the views of a batch.

A method is one class in METHODS. It says how many views it wants, turns them into a loss, and may do
something after each optimiser step (move a momentum encoder, say). The trainer knows no more of it.
"""

from __future__ import annotations

from lightly.loss import NTXentLoss
from lightly.models.modules.heads import SimCLRProjectionHead
from torch import Tensor, nn

from core.errors import SettingsError, did_you_mean
from core.training.config import TrainConfig


class Method(nn.Module):
    """What the trainer trains. `backbone` is what it exports."""

    n_views = 2

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__()
        self.backbone = backbone

    def loss(self, views: Tensor) -> Tensor:
        """Scalar loss of (n_views * B, 3, S, S) normalised views, view after view."""
        raise NotImplementedError

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step with the share of the training done."""


class SimCLR(Method):
    """Chen et al. 2020: NT-Xent between two views, all other images of the batch as negatives."""

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        self.head = SimCLRProjectionHead(n_features, config.head_hidden, config.head_out)
        self.criterion = NTXentLoss(temperature=config.temperature)

    def loss(self, views: Tensor) -> Tensor:
        first, second = self.head(self.backbone(views)).chunk(2)
        return self.criterion(first.float(), second.float())


METHODS: dict[str, type[Method]] = {"simclr": SimCLR}


def build_method(name: str, backbone: nn.Module, n_features: int, config: TrainConfig) -> Method:
    """The method of that name around a backbone."""
    if name not in METHODS:
        known = ", ".join(sorted(METHODS))
        raise SettingsError(f"Unknown method '{name}'. Known: {known}.{did_you_mean(name, METHODS)}")
    return METHODS[name](backbone, n_features, config)
