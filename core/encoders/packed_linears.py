"""Linear layers in float32 by oneDNN, where it is faster than what torch calls (docs/method.md 1.5).

torch multiplies by MKL, which takes half of the instructions of processors that Intel did not make.
"""

from collections.abc import Callable
from functools import cache, partial
from time import process_time

import torch
from torch import Tensor, nn
from torch.nn import functional

GAIN = 1.2  # oneDNN must be so many times faster: less may be chance, and differ between processes
CLOSE = 1e-5  # of the largest entry: a product that differs by more has been rounded
N_ROWS, N_INPUTS, N_OUTPUTS = 1024, 384, 1536  # of the product that is timed, 1.2 GFLOP
N_TRIES = 5


def pack_linears(base: nn.Module) -> int:
    """Let the linear layers of a network multiply by oneDNN where that is faster, and return their number.

    Names, types and weights stay; with gradients, under autocast and in other types they are the plain ones.

    Args:
        base: in eval mode, on the CPU, in float32; its weights change no more.
    """
    return multiply_by_onednn(base) if _linears(base) and onednn_is_faster() else 0


def multiply_by_onednn(base: nn.Module) -> int:
    """Do so whichever library is faster; see `pack_linears`."""
    linears = _linears(base)
    for linear in linears:
        linear.forward = partial(_by_onednn, linear, _packed(linear))
    return len(linears)


def _linears(base: nn.Module) -> list[nn.Linear]:
    return [module for module in base.modules() if type(module) is nn.Linear]


@cache
def onednn_is_faster() -> bool:
    """Whether a product by oneDNN is GAIN times faster and the same up to CLOSE, tried once a process."""
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(N_INPUTS, N_OUTPUTS).requires_grad_(False)
    linear.weight.copy_(torch.randn(N_OUTPUTS, N_INPUTS, generator=generator))
    x = torch.randn(N_ROWS, N_INPUTS, generator=generator)
    try:
        packed = _packed(linear)
        with torch.inference_mode():
            plain, other = linear(x), _by_onednn(linear, packed, x)
            if (plain - other).abs().max() > CLOSE * plain.abs().max():
                return False
            product = partial(_by_onednn, linear, packed)
            tries = [(_seconds(linear, x), _seconds(product, x)) for _ in range(N_TRIES)]
    except (RuntimeError, AttributeError, NotImplementedError):  # this torch has no such product
        return False
    plain_seconds, onednn_seconds = map(min, zip(*tries, strict=True))
    return plain_seconds > GAIN * onednn_seconds


def _seconds(product: Callable[[Tensor], Tensor], x: Tensor) -> float:
    began = process_time()
    product(x)
    return process_time() - began


def _packed(linear: nn.Linear) -> Tensor:
    return torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), N_ROWS)


def _by_onednn(linear: nn.Linear, packed: Tensor, x: Tensor) -> Tensor:
    has_gradient = torch.is_grad_enabled() and (x.requires_grad or linear.weight.requires_grad)
    if has_gradient or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return functional.linear(x, linear.weight, linear.bias)
    return torch.ops.mkldnn._linear_pointwise(x, packed, linear.bias, "none", [], "")
