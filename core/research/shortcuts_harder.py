"""The contrastive losses of SimCLR and MoCo that differ from NT-Xent: modified features, hard negatives."""

from typing import Any

import torch
from lightly.loss import NTXentLoss
from lightly.utils import dist
from torch import Tensor
from torch.nn.functional import normalize

from core.research.shortcuts_losses import (
    crossed,
    hard_info_nce,
    ifm_info_nce,
    mixed_info_nce,
    paired,
    renormalised_cosines,
    stepped_cosines,
    turned_cosines,
)
from core.training.config import TrainConfig
from core.training.objective import HarderSettings, own_settings
from core.training.process_group import gathered


def harder_loss(config: TrainConfig, **options: Any) -> NTXentLoss | None:
    """Build the harder contrastive loss of research on shortcuts; None where settings ask for no other."""
    objective = own_settings(config.objective, HarderSettings)
    if objective.ifm_epsilon and objective.ifm_variant == "pre_norm":
        return PreNormNTXent(config, **options)
    if objective.ifm_epsilon:
        return HarderNTXent(config, **options)
    if objective.hard_beta or objective.hard_tau_plus:
        return HardNegativeNTXent(config, **options)
    return None


class SimilarityNTXent(NTXentLoss):
    """NT-Xent as a function of cosines; batch, queue and other processes as in lightly."""

    def forward(self, out0: Tensor, out1: Tensor) -> Tensor:
        out0, out1 = normalize(out0, dim=1), normalize(out1, dim=1)
        keys, bank = self.memory_bank(out1, update=out0.requires_grad)  # bank: (d, K), or None
        if bank is not None:
            return self.loss_between(out0, keys, bank.T, None)
        both = torch.cat([gathered(out0), gathered(out1)])
        itself = _own_images(len(out0), out0.device)
        losses = [
            self.loss_between(anchors, other, both, itself) for anchors, other in ((out0, out1), (out1, out0))
        ]
        return (losses[0] + losses[1]) / 2

    def loss_between(self, v: Tensor, positive: Tensor, negatives: Tensor, itself: Tensor | None) -> Tensor:
        """Loss of anchors v (B, d), their positives (B, d) and negatives (K, d), all of unit length.

        Args:
            itself: (B, K) bool, True where a negative is a view of the anchor's own image; None: nowhere.
        """
        return self.loss_of_cosines(paired(v, positive), _masked(crossed(v, negatives), itself))

    def loss_of_cosines(self, positive: Tensor, negatives: Tensor) -> Tensor:
        raise NotImplementedError


class HarderNTXent(SimilarityNTXent):
    """NT-Xent with implicit feature modification, in the variants `default` and `norm`."""

    def __init__(self, config: TrainConfig, **options: Any):
        super().__init__(config.temperature, **options)
        objective = own_settings(config.objective, HarderSettings)
        self.epsilon = objective.ifm_epsilon
        self.alpha = objective.ifm_alpha
        self.variant = objective.ifm_variant
        self.detach, self.undefined = objective.ifm_detach, 0

    def loss_between(self, v: Tensor, positive: Tensor, negatives: Tensor, itself: Tensor | None) -> Tensor:
        if self.variant == "default":
            return super().loss_between(v, positive, negatives, itself)
        plain = paired(v, positive), _masked(crossed(v, negatives), itself)
        near, lost = renormalised_cosines(v, positive, epsilon=-self.epsilon, dot=paired, detach=self.detach)
        far, gone = renormalised_cosines(v, negatives, epsilon=self.epsilon, detach=self.detach)
        self.undefined = self.undefined + lost.sum() + _counted(gone, itself)
        return mixed_info_nce(
            plain, (near, _masked(far, itself)), temperature=self.temperature, alpha=self.alpha
        )

    def loss_of_cosines(self, positive: Tensor, negatives: Tensor) -> Tensor:
        return ifm_info_nce(
            positive, negatives, temperature=self.temperature, epsilon=self.epsilon, alpha=self.alpha
        )

    def facts(self) -> dict[str, float]:
        """Return the number of undefined cosines since the last call."""
        n_undefined, self.undefined = float(self.undefined), 0
        return {} if self.variant == "default" else {"ifm_undefined": n_undefined}


class PreNormNTXent(HarderNTXent):
    """NT-Xent with implicit feature modification of the embeddings before they are normalised.

    The queue has one more column, the length of each key; entries that no image has filled yet have length 1.
    """

    def __init__(self, config: TrainConfig, **options: Any):
        size = options.get("memory_bank_size", 0)
        if size:
            options["memory_bank_size"] = (size[0], size[1] + 1)
        super().__init__(config, **options)
        settings = own_settings(config.objective, HarderSettings)
        self.steps, self.relative = settings.ifm_steps, settings.ifm_relative
        self.lengths, self.n_lengths = 0.0, 0
        if size:
            bank = self.memory_bank.bank
            bank[:, :-1] = normalize(bank[:, :-1], dim=1)
            bank[:, -1] = 1.0

    def forward(self, out0: Tensor, out1: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(out1.detach(), dim=1, keepdim=True)
        self.lengths, self.n_lengths = self.lengths + length.sum(), self.n_lengths + len(length)
        stored = torch.cat([normalize(out1, dim=1), length], 1)
        _, bank = self.memory_bank(stored, update=out0.requires_grad)  # (d + 1, K), or None
        if bank is not None:
            return self.loss_between(out0, out1, (bank[:-1] * bank[-1]).T, None)
        both = torch.cat([gathered(out0), gathered(out1)])
        itself = _own_images(len(out0), out0.device)
        losses = [
            self.loss_between(anchors, other, both, itself) for anchors, other in ((out0, out1), (out1, out0))
        ]
        return (losses[0] + losses[1]) / 2

    def loss_between(self, v: Tensor, positive: Tensor, negatives: Tensor, itself: Tensor | None) -> Tensor:
        unit, others = normalize(v, dim=1), normalize(negatives, dim=1)
        plain = paired(unit, normalize(positive, dim=1)), _masked(crossed(unit, others), itself)
        near, lost = self._perturbed(v, positive, epsilon=-self.epsilon, dot=paired)
        far, gone = self._perturbed(v, negatives, epsilon=self.epsilon, dot=crossed)
        self.undefined = self.undefined + lost.sum() + _counted(gone, itself)
        return mixed_info_nce(
            plain, (near, _masked(far, itself)), temperature=self.temperature, alpha=self.alpha
        )

    def _perturbed(self, v: Tensor, u: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
        if self.steps:
            return stepped_cosines(v, u, steps=self.steps, relative=self.relative, **options)
        return turned_cosines(v, u, relative=self.relative, **options)

    def facts(self) -> dict[str, float]:
        """Return also the mean length of the embeddings, with which epsilon compares."""
        mean = float(self.lengths) / self.n_lengths if self.n_lengths else float("nan")
        self.lengths, self.n_lengths = 0.0, 0
        return {**super().facts(), "ifm_length": mean}


class HardNegativeNTXent(SimilarityNTXent):
    """NT-Xent with importance weights on the negatives."""

    def __init__(self, config: TrainConfig, **options: Any):
        super().__init__(config.temperature, **options)
        settings = own_settings(config.objective, HarderSettings)
        self.beta, self.tau_plus = settings.hard_beta, settings.hard_tau_plus

    def loss_of_cosines(self, positive: Tensor, negatives: Tensor) -> Tensor:
        hardness = {"beta": self.beta, "tau_plus": self.tau_plus}
        return hard_info_nce(positive, negatives, temperature=self.temperature, **hardness)


def _own_images(n: int, device: torch.device) -> Tensor:
    """(B, 2 n_processes B) bool: gathered views of the anchor's own image (harder losses, research)."""
    itself = dist.eye_rank(n, device).to(device).bool()
    return torch.cat([itself, itself], 1)


def _masked(cosines: Tensor, itself: Tensor | None) -> Tensor:
    """Leave out the anchor's own image from cosines of a harder loss (shortcuts, research): -inf."""
    return cosines if itself is None else cosines.masked_fill(itself, -torch.inf)


def _counted(undefined: Tensor, itself: Tensor | None) -> Tensor:
    return (undefined if itself is None else undefined & ~itself).sum()
