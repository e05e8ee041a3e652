"""Methods that distinguish an image from others: SimCLR, MoCo v2."""

from collections.abc import Iterable
from typing import Any

import torch
from lightly.loss import NTXentLoss
from lightly.models.modules.heads import MoCoProjectionHead, SimCLRProjectionHead
from torch import Tensor, nn

from core.errors import SettingsError
from core.topics import function_named, topics
from core.training.config import TrainConfig
from core.training.methods.base import Method, MomentumMethod, target_of
from core.training.objective import MoCoSettings, SimCLRSettings, own_settings
from core.training.process_group import at_least_single


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
        return criteria_facts([self.criterion])


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
            with_saved_queue(nt_xent(config, memory_bank_size=(n_queued, config.head_out))) for _ in range(2)
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
        return criteria_facts(self.criteria)


def in_shuffled_halves(network: nn.Module, views: Tensor) -> Tensor:
    """Compute outputs for two random halves, each with its own BatchNorm statistics, in the original order.

    MoCo's shuffled BatchNorm in one process: a query and its key must not share their statistics, or the loss
    could be solved by recognising them.
    """
    order = torch.randperm(len(views), device=views.device)
    return torch.cat([network(half) for half in views[order].chunk(2)])[order.argsort()]


def with_saved_queue(criterion: NTXentLoss) -> NTXentLoss:
    """Return the loss with its queue as part of the state, which lightly omits."""
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


def criteria_facts(criteria: Iterable[Any]) -> dict[str, float]:
    """Average the facts of the losses of a method, where they have any; counts are added up."""
    with_facts = [facts for one in criteria if hasattr(one, "facts") and (facts := one.facts())]
    names = dict.fromkeys(name for facts in with_facts for name in facts)
    totals = {name: sum(facts[name] for facts in with_facts) for name in names}
    return {
        name: total if name == "ifm_undefined" else total / len(with_facts) for name, total in totals.items()
    }
