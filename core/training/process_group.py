"""Run in one process or in several started by torchrun: devices, and shared values.

    torchrun --nproc-per-node 2 -m core train CONFIG

Every process holds the same weights, queues and random state, and processes its own images of each batch.
The state saved by the first process is therefore valid for all, whatever their number.
"""

import inspect
import logging
import os
from typing import Any, TypeVar

import torch
from lightly.utils import dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from core.common.worker_group import leave_at_exit
from core.errors import SettingsError
from core.training.config import TrainConfig
from core.training.optimise import pick_device

Network = TypeVar("Network", bound=nn.Module)


def connect(config: TrainConfig) -> Any:
    """Return a launched Lightning Fabric for the processes of a training with these settings.

    Under torchrun each process uses one GPU of its machine, or all share its CPU.

    Raises:
        SettingsError: unknown device, or fewer GPUs than processes.
    """
    from lightning_fabric import Fabric  # takes seconds to import; only training needs it
    from lightning_fabric.strategies.ddp import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    device = pick_device(config.device)
    if device.type not in ("cpu", "cuda", "mps"):
        raise SettingsError(f"device = '{config.device}' cannot train. Use auto, cpu or cuda.")
    launched = torch.distributed.is_torchelastic_launched()
    n_all = int(os.environ["WORLD_SIZE"]) if launched else 1
    n_here = int(os.environ["LOCAL_WORLD_SIZE"]) if launched else 1
    if n_all > 1:
        check_share(device, n_here)
        leave_at_exit()
    one: Any = [device.index or 0] if device.type == "cuda" else 1
    strategy = DDPStrategy(**_own_buffers()) if n_all > 1 else "auto"
    precision = "bf16-mixed" if config.precision == "bf16" else "32-true"
    fabric = Fabric(
        accelerator=device.type,
        devices=n_here if n_all > 1 else one,
        num_nodes=n_all // n_here,
        strategy=strategy,
        precision=precision,
    )
    fabric.launch()
    return fabric


def _own_buffers() -> dict[str, Any]:
    """Return the option (its name has changed) that stops DDP from copying the first process's buffers."""
    names = inspect.signature(nn.parallel.DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in names else "broadcast_buffers": False}


def check_share(device: torch.device, n_processes: int) -> None:
    """Raise SettingsError where a training has more processes than devices, one being needed for each."""
    if device.index is not None:
        raise SettingsError(
            f"device = '{device}' names one device, but torchrun started {n_processes} processes here. "
            f"Use --device {device.type}."
        )
    if device.type == "cuda" and n_processes > torch.cuda.device_count():
        raise SettingsError(
            f"torchrun started {n_processes} processes here, but there are {torch.cuda.device_count()} GPUs. "
            "Lower --nproc-per-node, or pass --device cpu."
        )


def gathered(rows: Tensor) -> Tensor:
    """Gather (B, d) rows of all processes of a training: (n_processes * B, d), in batch order.

    Every process computes the loss over all rows. Its gradient is summed over processes here and averaged by
    DDP, which equals the gradient of one process with the whole batch.
    """
    return torch.cat(dist.gather(rows)) if dist.world_size() > 1 else rows


def total(value: Tensor) -> Tensor:
    """Sum a number that needs no gradient over all processes of a training."""
    if dist.world_size() > 1:
        torch.distributed.all_reduce(value)
    return value


def n_processes() -> int:
    """Return the number of processes of a training, each with its own images of every batch."""
    return dist.world_size()


def own_part(rows: Tensor) -> Tensor:
    """Return a training process's share of (n, d) rows that all hold; a rest is left out."""
    share = len(rows) // dist.world_size()
    return rows[dist.rank() * share :][:share]


def synchronise(network: Network, device: torch.device) -> Network:
    """Convert BatchNorm to use the batches of all processes of a training; parameters stay unchanged."""
    if dist.world_size() == 1:
        return network
    if device.type == "cuda":
        from timm.layers.norm_act import convert_sync_batchnorm

        return convert_sync_batchnorm(network)  # type: ignore[return-value]
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.__class__ = type(type(module).__name__, (_SynchronisedNorm, type(module)), {})
    return network


def _summed(values: Tensor) -> Tensor:
    """Sum over all processes; differentiable."""
    return torch.stack(dist.gather(values)).sum(0)


class _SynchronisedNorm(_BatchNorm):
    """BatchNorm over several processes on a CPU, which torch lacks; inserted before a layer's class."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1, *[1] * (input.ndim - 2)]
        n = input.numel() // input.shape[1] * dist.world_size()
        values = at_least_single(input)
        mean = _summed(values.sum(axes)) / n  # (C,)
        centred = values - mean.view(shape)
        variance = _summed(centred.square().sum(axes)) / n
        self._remember(mean.detach(), variance.detach() * n / max(n - 1, 1))
        scaled = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            scaled = scaled * self.weight.view(shape) + self.bias.view(shape)
        scaled = scaled.to(input.dtype)
        activation = getattr(self, "act", None)  # timm's layers contain an activation
        return scaled if activation is None else activation(self.drop(scaled))  # type: ignore[operator]

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def at_least_single(values: Tensor) -> Tensor:
    """Return outputs of a trained network, half precision as float32, for its loss; others as they are.

    Half precision as float32; float32 and float64 as they are.

    Training is in single precision. That several processes make the step of one is checked in double, where
    sums in another order agree to far more digits than any error of ours would leave.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))
