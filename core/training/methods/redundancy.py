"""Methods that decorrelate features over the batch: VICReg, Barlow Twins."""

from lightly.loss import BarlowTwinsLoss, VICRegLoss
from lightly.models.modules.heads import BarlowTwinsProjectionHead, VICRegProjectionHead
from torch import Tensor, nn

from core.training.config import TrainConfig
from core.training.methods.base import Method, by_view
from core.training.objective import BarlowSettings, VICRegSettings, own_settings
from core.training.process_group import gathered


class VICReg(Method):
    """Bardes et al. 2022: views agree, every feature varies, and no two features are correlated."""

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        objective = own_settings(config.objective, VICRegSettings)
        self.head = VICRegProjectionHead(n_features, config.head_hidden, config.head_out)
        self.criterion = VICRegLoss(objective.invariance, objective.variance, objective.covariance)

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        return self.criterion(*map(gathered, by_view(self.head, raw, 2)))


class BarlowTwins(Method):
    """Zbontar et al. 2021: the cross-correlation of two views approaches the identity."""

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        self.head = BarlowTwinsProjectionHead(n_features, config.head_hidden, config.head_out)
        self.criterion = BarlowTwinsLoss(own_settings(config.objective, BarlowSettings).redundancy)

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        return self.criterion(*map(gathered, by_view(self.head, raw, 2)))
