"""Batch normalisation folded into the convolution before it (docs/method.md 1.5): in inference it scales.

W' = W gamma / sqrt(sigma^2 + eps), b' = (b - mu) gamma / sqrt(sigma^2 + eps) + beta, for each output channel.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

CLOSE = 1e-4  # of the largest entry: where an output differs by more, it is another one


@torch.no_grad()
def fold_batch_norms(base: nn.Module, x: Tensor, outputs: Callable[[], Sequence[Tensor]]) -> int:
    """Fold, in place, each batch normalisation that follows a convolution, and return their number.

    A convolution that runs twice stays as it is. Where anything but the normalisation reads what one returns,
    one of the outputs changes: then nothing is folded.

    Args:
        base: in eval mode. x: an input of it. outputs: all that is read of the network, for one input.
    """
    pairs = _pairs(base, x)
    if not pairs:
        return 0
    before = [one.clone() for one in outputs()]
    replaced = {name: base.get_submodule(name) for pair in pairs.items() for name in pair}
    for norm, convolution in pairs.items():
        _put(base, convolution, _folded(replaced[convolution], replaced[norm]))
        _put(base, norm, _without_norm(replaced[norm]))
    if all(_are_close(one, other) for one, other in zip(outputs(), before, strict=True)):
        return len(pairs)
    for name, module in replaced.items():
        _put(base, name, module)
    return 0


def _are_close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= CLOSE * other.abs().max())


@dataclass
class _Seen:
    """What a forward pass showed: who made a tensor, and how often a module ran."""

    made_by: dict[int, str] = field(default_factory=dict)  # by the tensor's id
    held: list[Tensor] = field(default_factory=list)  # so that no id is used twice
    read_by: dict[str, str] = field(default_factory=dict)  # of a norm, the convolution that it reads
    runs: dict[str, int] = field(default_factory=dict)

    def convolved(self, name: str, _module: nn.Module, _inputs: Any, output: Tensor) -> None:
        self.made_by[id(output)] = name
        self.held.append(output)
        self.runs[name] = self.runs.get(name, 0) + 1

    def normalised(self, name: str, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.runs[name] = self.runs.get(name, 0) + 1
        if (made_by := self.made_by.get(id(inputs[0]))) is not None:
            self.read_by[name] = made_by


def _pairs(base: nn.Module, x: Tensor) -> dict[str, str]:
    """Names of the batch normalisations that read what a convolution returned, and of these convolutions."""
    seen, hooks = _Seen(), []
    for name, module in base.named_modules():
        if _is_plain_convolution(module):
            hooks.append(module.register_forward_hook(partial(seen.convolved, name)))
        elif isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            hooks.append(module.register_forward_pre_hook(partial(seen.normalised, name)))
    try:
        base(x)
    finally:
        for hook in hooks:
            hook.remove()
    convolutions = list(seen.read_by.values())
    pairs = {}
    for norm, made_by in seen.read_by.items():
        if seen.runs[norm] == seen.runs[made_by] == convolutions.count(made_by) == 1:
            pairs[norm] = made_by
    return pairs


def _is_plain_convolution(module: nn.Module) -> bool:
    """Whether its weights are used as they are: some subclasses standardise them first."""
    is_plain = type(module) is nn.Conv2d or type(module).__name__ == "Conv2dSame"
    return is_plain and not parametrize.is_parametrized(module)


def _folded(convolution: Any, norm: Any) -> nn.Module:
    one = copy.copy(convolution)
    one._parameters = dict(convolution._parameters)
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        scale, shift = scale * norm.weight.double(), shift * norm.weight.double() + norm.bias.double()
    if convolution.bias is not None:
        shift = shift + convolution.bias.double() * scale
    weight = (convolution.weight.double() * scale[:, None, None, None]).float()
    one.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
    one.bias = nn.Parameter(shift.float(), requires_grad=False)
    return one


def _without_norm(norm: Any) -> nn.Module:
    """What a module does beside normalising: timm's have an activation in them."""
    rest = [part for part in (getattr(norm, "drop", None), getattr(norm, "act", None)) if part is not None]
    return nn.Sequential(*rest).eval() if rest else nn.Identity()


def _put(base: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(base.get_submodule(parent), last, module)
