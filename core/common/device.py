"""Where a computation runs. torch is loaded when it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.errors import SettingsError

if TYPE_CHECKING:
    import torch


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, else the CPU.

    Raises:
        SettingsError: unknown, or not on this machine.
    """
    import torch

    if str(name) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda", "mps"):
        raise SettingsError(f"unknown device '{name}'; use auto, cpu, cuda, cuda:1 … or mps")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            have = f"this machine has {count}" if count else "this machine has no CUDA GPU that torch can use"
            raise SettingsError(f"device '{name}' is not there: {have}; use --device auto")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SettingsError(f"device '{name}' is not there: this machine has no Apple GPU; use --device auto")
    return device
