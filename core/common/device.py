"""Choose how fast and on which device to compute. torch is imported on the first call."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.config import RunOptions
from core.errors import SettingsError

if TYPE_CHECKING:
    import torch

EVERYWHERE = (None, "", "auto", "cpu")  # names of devices; of none, the default is taken


def resolve_device(name: str | torch.device = "auto") -> torch.device:
    """Return the named torch device; "auto" is CUDA if available, else the CPU.

    Raises:
        SettingsError: the device is unknown or not on this machine.
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
            raise SettingsError(f"device '{name}' is not available: {have}; use --device auto")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SettingsError(f"device '{name}' is not available: there is no Apple GPU; use --device auto")
    return device


def run_options(options: Mapping[str, Any]) -> RunOptions:
    """Return by options on which of the machine's devices, in how many processes and batches, to compute."""
    names = {field.name for field in dataclasses.fields(RunOptions)}
    return RunOptions(**{name: value for name, value in options.items() if name in names})


def check_device(options: Mapping[str, Any]) -> None:
    """Raise SettingsError for a torch device that is unknown or not here, before any work is done.

    torch is asked only about a device that not every machine has: it takes seconds to import.
    """
    if options.get("device") not in EVERYWHERE:
        resolve_device(run_options(options).device)
