"""The interface between a self-supervised method and the trainer, and code shared by several methods."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from lightly.models.utils import update_momentum
from torch import Tensor, nn

from core.training.config import TrainConfig
from core.training.objective import MomentumSettings, own_settings
from core.training.optimise import along_cosine
from core.training.process_group import at_least_single

Module = TypeVar("Module", bound=nn.Module)


class Method(nn.Module):
    """A backbone, a head, and a loss over the views of a batch. The trainer exports `backbone`.

    Everything that a resumed training needs is in `state_dict`, also queues, momentum encoders and centres.
    """

    n_views = 2
    n_local = 0  # additional small views per image
    progress = 0.0  # share of the training done; set by the trainer before each step
    rows: np.ndarray | None = None  # training images of a micro-batch; set by the trainer before each loss

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__()
        self.backbone = backbone

    def loss(self, views: Tensor, local: Tensor | None = None) -> Tensor:
        """Scalar loss of (n_views * B, 3, S, S) normalised views, view after view, and n_local small ones."""
        return self.loss_of(self.backbone(views), views, local)

    def loss_of(self, raw: Tensor, views: Tensor, local: Tensor | None = None) -> Tensor:
        """Compute the loss from raw = backbone(views), (n_views * B, n_features), for a regulariser."""
        raise NotImplementedError

    def forward(self, views: Tensor, local: Tensor | None = None) -> Tensor:
        """Return the loss; Fabric wraps this for mixed precision and for gradients of several processes."""
        return self.loss(views, local)

    def before_step(self, represent: Callable[[np.ndarray], Tensor]) -> bool:
        """Run before each step; `represent` gives raw representations of training images, by number.

        Returns:
            True if `batch_groups` may have changed.
        """
        return False

    def batch_groups(self) -> np.ndarray | None:
        """Return (n_images,) int codes of groups that take equal parts of each batch; -1: in none.

        None: every image once an epoch.
        """
        return None

    def after_backward(self) -> None:
        """Run between the backward pass and the optimiser step."""

    def after_step(self, progress: float) -> None:
        """Run after each optimiser step, with the share of the training done."""

    def constant_rate_parameters(self) -> list[nn.Parameter]:
        """Return parameters that are trained at the peak rate from the first step to the last."""
        return []

    def companions(self) -> dict[str, nn.Module]:
        """Return networks to export beside the backbone, each to FILE.NAME.safetensors."""
        return {}

    def facts(self) -> dict[str, float]:
        """Return extra numbers for the epoch's row of the log; called once, at the epoch's end."""
        return {}

    def step_facts(self) -> dict[str, float]:
        """Return numbers for the log of steps; called once after each step, in every process."""
        return {}

    def sidecar(self) -> dict[str, Any]:
        """Return what a reader of the exported weights must know, for their sidecar."""
        return {}

    def concern(self, means: dict[str, float]) -> str:
        """Return a warning about the means of an epoch's `step_facts`; empty if there is none."""
        return ""


def _of_inner(name: str) -> Any:
    return lambda self, *values: getattr(self.inner, name)(*values)


class Around(Method):
    """A method around another one, `inner`, which does everything that a subclass does not do itself."""

    def __init__(self, inner: Method):
        nn.Module.__init__(self)
        self.inner = inner
        self.n_views, self.n_local = inner.n_views, inner.n_local

    @property
    def backbone(self) -> nn.Module:  # type: ignore[override]
        return self.inner.backbone

    def before_step(self, represent: Callable[[np.ndarray], Tensor]) -> bool:
        self.inner.progress = self.progress
        return self.inner.before_step(represent)

    batch_groups = _of_inner("batch_groups")
    after_backward = _of_inner("after_backward")
    after_step = _of_inner("after_step")
    constant_rate_parameters = _of_inner("constant_rate_parameters")
    companions = _of_inner("companions")
    facts = _of_inner("facts")
    step_facts = _of_inner("step_facts")
    sidecar = _of_inner("sidecar")
    concern = _of_inner("concern")


class MomentumMethod(Method):
    """A method with a second network that follows the first: target = m target + (1 - m) online.

    m increases from `momentum` to `momentum_end` along half a cosine. The second network has its own running
    statistics of BatchNorm.
    """

    def __init__(self, backbone: nn.Module, n_features: int, config: TrainConfig):
        super().__init__(backbone, n_features, config)
        self.target_backbone = target_of(backbone)
        settings = own_settings(config.objective, MomentumSettings)
        self.momentum, self.momentum_end = settings.momentum, settings.momentum_end

    def pairs(self) -> list[tuple[nn.Module, nn.Module]]:
        """Return the (online, target) modules that are updated together."""
        return [(self.backbone, self.target_backbone)]

    def after_step(self, progress: float) -> None:
        share = along_cosine(progress, self.momentum, self.momentum_end)
        with torch.no_grad():
            for online, target in self.pairs():
                update_momentum(online, target, share)


def target_of(online: Module) -> Module:
    """Return a copy of a trained network that no optimiser updates: the target of BYOL and others."""
    return copy.deepcopy(online).requires_grad_(False)


def by_view(head: nn.Module, raw: Tensor, n_views: int) -> list[Tensor]:
    """Apply a training's projection head to each view separately, so that BatchNorm sees one at a time.

    Apply the head to each view separately, at least in float32: its BatchNorm sees one view at a time.
    """
    return [at_least_single(head(view)) for view in raw.chunk(n_views)]
