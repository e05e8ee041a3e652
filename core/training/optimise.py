"""Optimiser, schedule, precision and device of a training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from timm.optim.lars import Lars
from torch import nn

from core.errors import PeregrineError, SettingsError
from core.training.config import TrainConfig


def build_optimiser(method: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Build SGD, LARS or AdamW; biases and BatchNorm are not decayed."""
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    factory: Any = Lars if config.optimizer == "lars" else torch.optim.SGD
    return factory(groups, lr=config.lr, momentum=config.momentum)


def learning_rate(step: int, config: TrainConfig, steps_per_epoch: int) -> float:
    """Linear warm-up to lr * batch_size / 256, then half a cosine to 0 at the last step."""
    peak = config.lr * config.batch_size / 256
    total, warmup = config.epochs * steps_per_epoch, config.warmup_epochs * steps_per_epoch
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


def first_not_finite(module: nn.Module) -> str | None:
    """Return the name of a non-finite weight; the loss may hide it (bf16 CPU kernels fail on odd widths)."""
    return next((name for name, x in module.state_dict().items() if not torch.isfinite(x).all()), None)


@contextmanager
def naming_memory(config: TrainConfig) -> Iterator[None]:
    """Name the setting to lower when memory is exhausted."""
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
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def pick_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError):
        raise SettingsError(f"Device '{name}' is not available here. Use auto, cpu or cuda.") from None
    return device
