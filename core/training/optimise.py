"""Optimiser, schedule, precision and device of a training."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import torch
from timm.optim.lars import Lars
from timm.optim.muon import Muon
from torch import nn

from core.errors import PeregrineError, SettingsError
from core.training.config import TrainConfig


class Trained(Protocol):
    """Protocol of what an optimiser is built for: a `Method`."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def constant_rate_parameters(self) -> list[nn.Parameter]: ...


def build_optimiser(method: Trained, config: TrainConfig) -> torch.optim.Optimizer:
    """Build the optimiser of a training: SGD, LARS, AdamW or Muon; biases and BatchNorm are not decayed.

    Groups of parameters that follow the schedule come first. `set_rates` reads the marks `decayed` and
    `constant_rate` of a group.
    """
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    constant = {id(parameter) for parameter in method.constant_rate_parameters()}
    groups: list[dict[str, Any]] = []
    for constant_rate in (False, True) if constant else (False,):
        some = [p for p in trained if (id(p) in constant) == constant_rate]
        for decayed in (True, False):
            params = [p for p in some if (p.ndim > 1) == decayed]
            group = {"params": params, "weight_decay": config.weight_decay if decayed else 0.0}
            groups.append(group | {"decayed": decayed, "constant_rate": constant_rate})
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    if config.optimizer == "muon":  # a weight of (n, m, 3, 3) is orthogonalised as (n, 9 m)
        return Muon(groups, lr=config.lr, momentum=config.momentum, nesterov=True)
    factory: Any = Lars if config.optimizer == "lars" else torch.optim.SGD
    return factory(groups, lr=config.lr, momentum=config.momentum)


def set_rates(optimiser: torch.optim.Optimizer, step: int, config: TrainConfig, steps_per_epoch: int) -> None:
    """Set each group's learning rate for a step of a training, and its weight decay if that changes."""
    rate, decay = learning_rate(step, config, steps_per_epoch), weight_decay(step, config, steps_per_epoch)
    for group in optimiser.param_groups:
        group["lr"] = _peak_rate(config) if group["constant_rate"] else rate
        if config.weight_decay_end is not None and group["decayed"]:
            group["weight_decay"] = decay


def weight_decay(step: int, config: TrainConfig, steps_per_epoch: int) -> float:
    """The weight decay of a training's step: half a cosine to `weight_decay_end` (DINO, section 3)."""
    if config.weight_decay_end is None:
        return config.weight_decay
    return along_cosine(
        step / (config.epochs * steps_per_epoch), config.weight_decay, config.weight_decay_end
    )


def along_cosine(progress: float, first: float, last: float) -> float:
    """Go from `first` at progress 0 of a training to `last` at 1 along half a cosine (as BYOL, 3.3)."""
    return last - (last - first) * (math.cos(math.pi * progress) + 1) / 2


def _peak_rate(config: TrainConfig) -> float:
    """Return the highest learning rate of a training, lr * batch_size / 256."""
    return config.lr * config.batch_size / 256


def learning_rate(step: int, config: TrainConfig, steps_per_epoch: int) -> float:
    """The learning rate of a training's step: linear warm-up to lr * batch_size / 256, then half a cosine."""
    peak = _peak_rate(config)
    total, warmup = config.epochs * steps_per_epoch, config.warmup_epochs * steps_per_epoch
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


@contextmanager
def naming_memory(config: TrainConfig) -> Iterator[None]:
    """Name the setting of a training to lower when memory is exhausted."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError on a GPU; a plain one on the CPU
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        raise PeregrineError(
            f"Out of memory with batch_size = {config.batch_size} and crop_size = {config.crop_size}. "
            "Lower --batch-size first (the last saved state is kept), or use --precision bf16."
        ) from None


def autocast(precision: str, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context in which a training's products are in bfloat16 where its precision says so."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def pick_device(name: str) -> torch.device:
    """Return the torch device of a training by name; "auto" is CUDA where available."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise SettingsError(f"Device '{name}' is not available here. Use auto, cpu or cuda.") from None
    return device
