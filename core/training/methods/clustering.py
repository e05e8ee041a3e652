"""Methods with soft cluster assignments, over views of two sizes: SwAV, DINO."""

import warnings

import torch
from lightly.loss import DINOLoss, SwaVLoss
from lightly.models.modules.heads import DINOProjectionHead, SwaVProjectionHead, SwaVPrototypes
from torch import Tensor, nn
from torch.nn.functional import normalize

from core.training.config import TrainConfig
from core.training.methods.base import Method, MomentumMethod, by_view
from core.training.objective import DINOSettings, SwAVSettings, own_settings
from core.training.process_group import gathered, own_part


class SwAV(Method):
    """Caron et al. 2020: predict the prototype assignment of a view from every other view of the image."""

    queue: Tensor  # (2, n, head_out) projections of past images, newest first, one row per view
    n_queued: Tensor  # images that have entered it so far

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        objective = own_settings(config.objective, SwAVSettings)
        self.n_local = objective.local_crops
        self.frozen = objective.frozen
        self.queue_from = objective.queue_from
        self.head = SwaVProjectionHead(n_features, config.head_hidden, config.head_out)
        self.prototypes = SwaVPrototypes(config.head_out, objective.prototypes)
        if not objective.prototype_bias:  # logits are cosines, as in the paper
            self.prototypes.heads[0].register_parameter("bias", None)
        self.criterion = SwaVLoss(
            config.temperature,
            objective.sinkhorn_iterations,
            objective.sinkhorn_epsilon,
            sinkhorn_gather_distributed=True,
        )
        self.register_buffer("queue", torch.zeros(2, objective.queue, config.head_out))
        self.register_buffer("n_queued", torch.zeros((), dtype=torch.long))

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        self.prototypes.normalize()
        high = [normalize(view, dim=1) for view in by_view(self.head, raw, 2)]
        low = []
        if local is not None:
            low = [normalize(view, dim=1) for view in by_view(self.head, self.backbone(local), self.n_local)]
        with torch.autocast(raw.device.type, enabled=False):  # assignments at epsilon 0.05 need float32
            logits = [[self.prototypes(view) for view in views_of] for views_of in (high, low)]
            past = None
            if self._queue_counts():  # all processes hold the same queue and together use each image once
                past = [self.prototypes(own_part(view)) for view in self.queue]
            loss = self.criterion(*logits, past)
        self._remember(torch.stack([gathered(view.detach()) for view in high]))
        return loss.squeeze()

    def after_backward(self) -> None:
        if self.progress < self.frozen:
            forget_gradients(self.prototypes)

    def _queue_counts(self) -> bool:
        n = self.queue.shape[1]
        return n > 0 and self.progress >= self.queue_from and int(self.n_queued) >= n

    def _remember(self, projections: Tensor) -> None:
        """Put (2, B, head_out) projections in front; the oldest are dropped."""
        n = self.queue.shape[1]
        if n:
            self.queue = torch.cat([projections, self.queue], 1)[:, :n].clone()
            self.n_queued += projections.shape[1]


class DINO(MomentumMethod):
    """Caron et al. 2021: match the centred, sharpened output of a momentum teacher for another large view."""

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        objective = own_settings(config.objective, DINOSettings)
        self.n_local, self.frozen = objective.local_crops, objective.frozen
        shape = (n_features, config.head_hidden, objective.bottleneck, objective.prototypes)
        with warnings.catch_warnings():  # lightly uses torch's deprecated weight normalisation
            warnings.simplefilter("ignore", FutureWarning)
            self.head, self.target_head = DINOProjectionHead(*shape), DINOProjectionHead(*shape)
        self.target_head.load_state_dict(self.head.state_dict())  # such a head cannot be deep-copied
        self.target_head.requires_grad_(False)
        self.criterion = DINOLoss(
            objective.prototypes,
            warmup_teacher_temp=objective.teacher_temperature,
            teacher_temp=objective.teacher_temperature,
            student_temp=config.temperature,
            center_momentum=objective.center_momentum,
        )

    def pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [*super().pairs(), (self.head, self.target_head)]

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        student = by_view(self.head, raw, 2)
        if local is not None:
            student += by_view(self.head, self.backbone(local), self.n_local)
        with torch.no_grad():
            teacher = by_view(self.target_head, self.target_backbone(views), 2)
        return self.criterion(teacher, student)

    def after_backward(self) -> None:
        if self.progress < self.frozen:
            forget_gradients(self.head.last_layer)


def forget_gradients(layer: nn.Module) -> None:
    """Make the optimiser skip a layer."""
    for parameter in layer.parameters():
        parameter.grad = None
