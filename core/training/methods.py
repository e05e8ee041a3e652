"""The self-supervised methods, and the table of them by name; the trainer uses nothing but `Method`."""

import warnings
from collections.abc import Iterable
from typing import Any

import torch
from lightly.loss import BarlowTwinsLoss, DINOLoss, NegativeCosineSimilarity, NTXentLoss, SwaVLoss, VICRegLoss
from lightly.models.modules import heads
from lightly.models.modules.heads import (
    BarlowTwinsProjectionHead,
    DINOProjectionHead,
    MoCoProjectionHead,
    SimCLRProjectionHead,
    SwaVProjectionHead,
    SwaVPrototypes,
    VICRegProjectionHead,
)
from torch import Tensor, nn
from torch.nn.functional import normalize

from core.common.topics import function_named, function_of_option, topics
from core.errors import SettingsError
from core.training.config import TrainConfig, has_two_encoders
from core.training.method import Method, MomentumMethod, by_view, target_of
from core.training.objective import (
    BarlowSettings,
    BYOLSettings,
    DINOSettings,
    MoCoSettings,
    SimCLRSettings,
    SimSiamSettings,
    SwAVSettings,
    VICRegSettings,
    method_name,
    own_settings,
)
from core.training.process_group import at_least_single, gathered, own_part

# Methods that distinguish an image from others: SimCLR, MoCo v2.


class SimCLR(Method):
    """Chen et al. 2020: NT-Xent between two views, all other images of the batch as negatives.

    With small views (`objective.local_pairs`; SwAV's multi-crop), that is half of the loss; the other half is
    the mean of NT-Xent between each small view and each of the two large ones.
    """

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        self.n_local = own_settings(config.objective, SimCLRSettings).local_pairs
        self.head = SimCLRProjectionHead(n_features, config.head_hidden, config.head_out)
        self.criterion = nt_xent(config)

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        large = at_least_single(self.head(raw)).chunk(2)
        loss = self.criterion(*large)
        if local is None:
            return loss
        small = at_least_single(self.head(self.backbone(local))).chunk(self.n_local)
        pairs = [self.criterion(view, other) for view in small for other in large]
        return (loss + torch.stack(pairs).mean()) / 2

    def facts(self) -> dict[str, float]:
        return _criteria_facts([self.criterion])


class MoCo(MomentumMethod):
    """Chen et al. 2020b (MoCo v2), symmetric: negatives are a queue of earlier keys of the other view."""

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        n_queued = own_settings(config.objective, MoCoSettings).queue
        if n_queued < 1:
            raise SettingsError("objective.queue = 0, but moco needs a queue; 4096 is common.")
        self.head = MoCoProjectionHead(n_features, config.head_hidden, config.head_out)
        self.target_head = target_of(self.head)
        # one queue per view: in a shared one, a query would meet another view of its own image as a negative
        self.criteria = nn.ModuleList(
            _with_saved_queue(nt_xent(config, memory_bank_size=(n_queued, config.head_out))) for _ in range(2)
        )

    def pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        return [*super().pairs(), (self.head, self.target_head)]

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        queries = at_least_single(self.head(raw)).chunk(2)
        with torch.no_grad():
            keys = self.target_head(in_shuffled_halves(self.target_backbone, views))
            keys = at_least_single(keys).chunk(2)
        first = self.criteria[0](queries[0], keys[1])
        second = self.criteria[1](queries[1], keys[0])
        return (first + second) / 2

    def facts(self) -> dict[str, float]:
        return _criteria_facts(self.criteria)


def in_shuffled_halves(network: nn.Module, views: Tensor) -> Tensor:
    """Compute a trained network's outputs for random halves of a batch, each with its own BatchNorm.

    MoCo's shuffled BatchNorm in one process: a query and its key must not share their statistics, or the loss
    could be solved by recognising them.
    """
    order = torch.randperm(len(views), device=views.device)
    return torch.cat([network(half) for half in views[order].chunk(2)])[order.argsort()]


def _with_saved_queue(criterion: NTXentLoss) -> NTXentLoss:
    """Return a contrastive training loss with its queue as part of the state, which lightly omits."""
    bank = criterion.memory_bank
    bank.register_buffer("bank", bank.bank.to(torch.get_default_dtype()), persistent=True)
    bank.register_buffer("bank_ptr", bank.bank_ptr, persistent=True)
    return criterion


def nt_xent(config: TrainConfig, **options: Any) -> NTXentLoss:
    """Build the contrastive loss over the images of all processes: that of a topic, if its settings ask."""
    options["gather_distributed"] = True
    builders = [function_named(topic.contrastive_loss) for topic in topics() if topic.contrastive_loss]
    asked = (loss for build in builders if (loss := build(config, **options)) is not None)
    return next(asked, None) or NTXentLoss(config.temperature, **options)


def _criteria_facts(criteria: Iterable[Any]) -> dict[str, float]:
    """Average the facts of the losses of a training's method, where they have any; counts are added."""
    with_facts = [facts for one in criteria if hasattr(one, "facts") and (facts := one.facts())]
    names = dict.fromkeys(name for facts in with_facts for name in facts)
    totals = {name: sum(facts[name] for facts in with_facts) for name in names}
    return {
        name: total if name == "ifm_undefined" else total / len(with_facts) for name, total in totals.items()
    }


# Methods with soft cluster assignments, over views of two sizes: SwAV, DINO.


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
            _forget_gradients(self.prototypes)

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
            _forget_gradients(self.head.last_layer)


def _forget_gradients(layer: nn.Module) -> None:
    """Make the optimiser of a training skip a layer of the network."""
    for parameter in layer.parameters():
        parameter.grad = None


# Methods that predict one view from the other, without negatives: BYOL, SimSiam.


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


# Methods that decorrelate features over the batch: VICReg, Barlow Twins.


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


# The self-supervised methods by name: one class each, of which the trainer uses nothing but `Method`.


METHODS: dict[str, type[Method]] = {
    "simclr": SimCLR,
    "moco": MoCo,
    "swav": SwAV,
    "byol": BYOL,
    "dino": DINO,
    "simsiam": SimSiam,
    "vicreg": VICReg,
    "barlow": BarlowTwins,
}


def build_method(name: str, backbone: nn.Module, n_features: int, config: TrainConfig) -> Method:
    """Build the named method of training around a backbone. Raises SettingsError."""
    if has_two_encoders(config):
        return function_of_option("train [objective] dual")(backbone, n_features, config)
    return METHODS[method_name(name)](backbone, n_features, config)
