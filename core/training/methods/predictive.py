"""Methods that predict one view from the other, without negatives: BYOL, SimSiam."""

import torch
from lightly.loss import NegativeCosineSimilarity
from lightly.models.modules import heads
from torch import Tensor, nn

from core.training.config import TrainConfig
from core.training.methods.base import Method, MomentumMethod, by_view, target_of
from core.training.objective import BYOLSettings, SimSiamSettings, own_settings
from core.training.process_group import at_least_single


class BYOL(MomentumMethod):
    """Grill et al. 2020: predict a momentum encoder's output for the other view."""

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        out = config.head_out
        self.head = heads.BYOLProjectionHead(n_features, config.head_hidden, out)
        self.predictor = heads.BYOLPredictionHead(
            out, own_settings(config.objective, BYOLSettings).predictor_hidden, out
        )
        self.target_head = target_of(self.head)
        self.criterion = NegativeCosineSimilarity()

    def pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [*super().pairs(), (self.head, self.target_head)]

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        predicted = by_view(nn.Sequential(self.head, self.predictor), raw, 2)
        with torch.no_grad():
            targets = by_view(self.target_head, self.target_backbone(views), 2)
        return (self.criterion(predicted[0], targets[1]) + self.criterion(predicted[1], targets[0])) / 2


class SimSiam(Method):
    """Chen and He 2021: predict the other view's projection, with stopped gradient."""

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        out = config.head_out
        self.head = heads.SimSiamProjectionHead(n_features, config.head_hidden, out)
        settings = own_settings(config.objective, SimSiamSettings)
        self.predictor = heads.SimSiamPredictionHead(out, settings.predictor_hidden, out)
        self.constant_predictor_rate = settings.constant_predictor_rate
        self.criterion = NegativeCosineSimilarity()

    def constant_rate_parameters(self) -> list[nn.Parameter]:
        return list(self.predictor.parameters()) if self.constant_predictor_rate else []

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        projected = by_view(self.head, raw, 2)
        predicted = [at_least_single(self.predictor(view)) for view in projected]
        first, second = (view.detach() for view in projected)
        return (self.criterion(predicted[0], second) + self.criterion(predicted[1], first)) / 2
