"""Optimiser, schedule, precision and device of a training."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

import torch
from timm.optim.lars import Lars
from torch import nn

from core.errors import PeregrineError, SettingsError
from core.training.config import TrainConfig


def build_optimiser(method: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD or LARS; biases and BatchNorm are not decayed."""
    trained = [parameter for parameter in method.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    factory: Any = Lars if config.optimizer == "lars" else torch.optim.SGD
    return factory(groups, lr=config.lr, momentum=config.momentum)


def learning_rate(step: int, config: TrainConfig, steps_per_epoch: int) -> float:
    """Linear warm-up to lr * batch_size / 256, then half a cosine to 0 at the last step."""
    peak = config.lr * config.batch_size / 256
    total, warmup = config.epochs * steps_per_epoch, config.warmup_epochs * steps_per_epoch
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))


def check_finite(module: nn.Module) -> None:
    """Raise if weights are lost; the loss may hide it (bf16 CPU kernels can fail on layers of odd widths)."""
    for name, tensor in module.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise PeregrineError(
                f"Weights of '{name}' are no longer finite. Try --precision fp32 or a lower --lr."
            )


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
