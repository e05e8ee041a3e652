"""The last products of a network in single precision, those before in fewer bits (docs/method.md 1.5)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

PRODUCTS = (nn.Conv2d, nn.Linear)


def products_in_order(base: nn.Module, forward: Callable[[], object]) -> list[nn.Module]:
    """Return the convolutions and linear layers of a network in the order in which a pass first reaches them.

    Args:
        forward: makes a pass through the network.
    """
    order: list[nn.Module] = []
    hooks = [
        module.register_forward_pre_hook(lambda reached, _: order.append(reached))
        for module in base.modules()
        if isinstance(module, PRODUCTS)
    ]
    try:
        forward()
    finally:
        for hook in hooks:
            hook.remove()
    return list(dict.fromkeys(order))


def multiply_precisely(module: nn.Module) -> None:
    """Let a module multiply in single precision under autocast as well; without autocast nothing changes."""
    if not _is_precise(module):
        module.forward = partial(_in_single_precision, module.forward)


def multiply_as_others(module: nn.Module) -> None:
    """Let an encoder's module multiply in reduced precision again, as before `multiply_precisely`."""
    if _is_precise(module):
        module.forward = module.forward.args[0]


def _is_precise(module: nn.Module) -> bool:
    return isinstance(module.forward, partial) and module.forward.func is _in_single_precision


def _in_single_precision(forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return forward(x.float())
