"""What makes an encoder faster (docs/method.md 1.5): folded norms, packed layers, numeric types."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from core.errors import SettingsError

# Batch normalisation folded into the convolution before it (docs/method.md 1.5): in inference it scales.
#
# W' = W gamma / sqrt(sigma^2 + eps), b' = (b - mu) gamma / sqrt(sigma^2 + eps) + beta, for each output
# channel.


FOLDED_CLOSE = 1e-4  # of the largest entry: where an output differs by more, it is another one


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
    before = [output.clone() for output in outputs()]
    replaced = {name: base.get_submodule(name) for pair in pairs.items() for name in pair}
    for norm, convolution in pairs.items():
        _put(base, convolution, _folded(replaced[convolution], replaced[norm]))
        _put(base, norm, _without_norm(replaced[norm]))
    if all(_are_close(output, other) for output, other in zip(outputs(), before, strict=True)):
        return len(pairs)
    for name, module in replaced.items():
        _put(base, name, module)
    return 0


def _are_close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= FOLDED_CLOSE * other.abs().max())


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


# Linear layers in float32 by oneDNN, where it is faster than what torch calls (docs/method.md 1.5).
#
# torch multiplies by MKL, which takes half of the instructions of processors that Intel did not make.


GAIN = 1.2  # oneDNN must be so many times faster: less may be chance, and differ between processes
PACKED_CLOSE = 1e-5  # of the largest entry: a product that differs by more has been rounded
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
    """Let an encoder's linear layers multiply by oneDNN, whichever library is faster; see `pack_linears`."""
    linears = _linears(base)
    for linear in linears:
        linear.forward = partial(_by_onednn, linear, _packed(linear))
    return len(linears)


def _linears(base: nn.Module) -> list[nn.Linear]:
    return [module for module in base.modules() if type(module) is nn.Linear]


@cache
def onednn_is_faster() -> bool:
    """Whether linear layers of encoders are faster by oneDNN here and as exact, tried once a process."""
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(N_INPUTS, N_OUTPUTS).requires_grad_(False)
    linear.weight.copy_(torch.randn(N_OUTPUTS, N_INPUTS, generator=generator))
    x = torch.randn(N_ROWS, N_INPUTS, generator=generator)
    try:
        packed = _packed(linear)
        with torch.inference_mode():
            plain, other = linear(x), _by_onednn(linear, packed, x)
            if (plain - other).abs().max() > PACKED_CLOSE * plain.abs().max():
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


def _by_onednn(linear: nn.Linear, packed: Tensor, input: Tensor) -> Tensor:  # named as that of `nn.Linear`
    has_gradient = torch.is_grad_enabled() and (input.requires_grad or linear.weight.requires_grad)
    if has_gradient or input.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return functional.linear(input, linear.weight, linear.bias)
    return torch.ops.mkldnn._linear_pointwise(input, packed, linear.bias, "none", [], "")


# In which numeric type an encoder multiplies (docs/method.md 1.5).


NATIVE = ("avx512_bf16", "amx_bf16", "sve_bf16")  # instructions that multiply bfloat16
FULL = "float32"
REDUCED = ("bfloat16", "mixed")  # one thing; the second is its former name


def multiplies_bfloat16() -> bool:
    """Return True if this processor multiplies bfloat16 itself; elsewhere an encoder is slower in it."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in NATIVE)


def reduced_type(precision: str) -> str:
    """Return "bfloat16" by any of its names, else "float32": the type in which an encoder multiplies."""
    return REDUCED[0] if precision in REDUCED else FULL


def working_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the type of an encoder's products; their sums are in single precision.

    Args:
        precision: "float32", "bfloat16" (or "mixed"), or "auto": bfloat16 on CUDA, float32 elsewhere. A GPU
            without bfloat16 takes float16.
    """
    if precision == FULL or (precision == "auto" and device.type != "cuda"):
        return torch.float32
    on_gpu = device.type == "cuda"
    old_gpu = on_gpu and not torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.float16 if old_gpu else torch.bfloat16


def check_precision(precision: str, device: torch.device) -> None:
    """Raise SettingsError for an encoder in bfloat16 on a processor that can only imitate it."""
    if precision in REDUCED and device.type == "cpu" and not multiplies_bfloat16():
        raise SettingsError(
            f"--precision {precision}: this processor does not multiply bfloat16 (it has none of "
            f"{', '.join(NATIVE)}), so it would be slower and less accurate. Leave the option out"
        )
