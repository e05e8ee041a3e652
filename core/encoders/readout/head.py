"""The classifier that belongs to an encoder: found, loaded, and run in the encoder's own forward pass."""

import hashlib
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from core.encoders.layers import find_layer

# Names of a single Linear that is a classifier, at the end of the name of its weight.
LINEAR = re.compile(
    r"(?:^|\.)(?:fc|head|classifier|linear|last_linear|heads\.head|head\.fc|cls_head|classification_head|logits)"
    r"\.weight$"
)
NAMES = ("classes", "class_names", "categories", "idx_to_class", "class_to_idx")  # in a checkpoint
LINEAR_RTOL = 1e-4  # of the largest entry: what the classifier reads is the representation
SPREAD = 0.015  # relative; of a layer of 10 x 512 weights the standard deviation varies by .01
Beside = tuple[dict[str, Tensor], list[list[str]]]  # what else a checkpoint holds; its class names
NO_WEIGHTS = "the checkpoint holds no classifier"


@dataclass(frozen=True)
class HeadPart:
    """A module from what it reads to logits.

    Attributes:
        at: the module of the encoder's `base` whose input it reads; "" for what `base` returns.
        prefix: of its tensors in a checkpoint, without the last dot.
    """

    module: nn.Module
    at: str = ""
    prefix: str = ""


@dataclass
class Head:
    """An encoder's own classifier: the mean of the logits of its parts.

    Attributes:
        linear: (weights (C, r), bias (C,)) where it is linear on the representation, else None.
        names: what the outputs are called, one list an output, in the checkpoint or the library.
        assumed: the names are those of the data set that has so many classes.
    """

    parts: tuple[HeadPart, ...]
    n_outputs: int = 0
    linear: tuple[Tensor, Tensor] | None = None
    names: list[list[str]] = field(default_factory=list)
    assumed: bool = True

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for part in self.parts:
            for key, tensor in sorted(part.module.state_dict().items()):
                digest.update(f"{part.at} {key} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @contextmanager
    def reading(self, base: nn.Module) -> Iterator[Callable[[], Tensor]]:
        """Watch a forward pass of `base`; the function that is yielded returns the logits after it."""
        read: dict[str, Tensor] = {}
        with ExitStack() as hooks:
            handle = base.register_forward_hook(
                lambda _module, _inputs, out: read.__setitem__("", out.clone())
            )
            hooks.callback(handle.remove)
            for part in self.parts:
                if part.at:
                    keep = _keeper(read, part.at)
                    hooks.callback(find_layer(base, part.at).register_forward_pre_hook(keep).remove)

            yield lambda: sum_logits([part.module(read[part.at]).flatten(1) for part in self.parts])

    def inputs(self, base: nn.Module, x: Tensor) -> list[Tensor]:
        """What each part reads of an input."""
        caught: list[Tensor] = []
        parts = tuple(HeadPart(_Catch(caught, part.module), part.at) for part in self.parts)
        with Head(parts).reading(base) as logits:
            base(x)
            logits()
        return caught


class _Catch(nn.Module):
    def __init__(self, caught: list[Tensor], module: nn.Module):
        super().__init__()
        self.caught, self.module = caught, module

    def forward(self, x: Tensor) -> Tensor:
        self.caught.append(x)
        return self.module(x)


def _keeper(read: dict[str, Tensor], at: str) -> Callable[..., None]:
    def keep(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        read[at] = inputs[0].clone()

    return keep


def sum_logits(logits: Sequence[Tensor]) -> Tensor:
    """The mean over parts: networks with a distilled head answer so."""
    return torch.stack(list(logits)).mean(0) if len(logits) > 1 else logits[0]


def head_of_network(encoder: Any, built: Any, beside: Beside | None) -> Head | str:
    """The classifier of the encoder's own network, or the reason why there is none.

    Args:
        built: the network as `core.encoders.factories` made it. beside: None without a checkpoint.
    """
    if encoder.classifier is not None:
        part = HeadPart(encoder.base.get_submodule(encoder.classifier), encoder.classifier)
        return complete_head(encoder, [part], None, [])
    if beside is None and (built.head is None or built.weights == "random"):
        return "the network has not been trained" if built.weights == "random" else NO_WEIGHTS
    parts = built.head() if built.head is not None else []
    tensors, names = beside or (None, [])
    return complete_head(encoder, parts, tensors, names)


@torch.no_grad()
def complete_head(
    encoder: Any, parts: Sequence[HeadPart], tensors: Mapping[str, Tensor] | None, names: list[list[str]]
) -> Head | str:
    """Load a classifier, and measure whether it is linear on the representation.

    Args:
        parts: of the library, perhaps none. tensors: of the checkpoint that do not belong to the encoder;
            None where the parts have their weights.
    Returns:
        the head, or the reason why there is none.
    """
    if tensors is not None:
        loaded = tuple(part for one in parts if (part := _loaded(one, tensors)) is not None)
        parts = loaded if len(loaded) == len(parts) and parts else _bare(tensors, _width(encoder))
    if not parts:
        return NO_WEIGHTS
    last = [module for part in parts for module in part.module.modules() if isinstance(module, nn.Linear)]
    if any(untrained(module) for module in last[-1:]):
        return "the classifier was never trained: its weights are as they were drawn"
    head = Head(tuple(parts), names=names, assumed=not names)
    for part in parts:
        part.module.eval().requires_grad_(False).to(encoder.device)
    x, _ = encoder.random_input()
    with head.reading(encoder.base) as read:
        raw = encoder.model(x)
        try:
            logits = read()
        except (RuntimeError, ValueError, IndexError, KeyError):
            return "its classifier does not fit what the encoder returns"
    if logits.ndim != 2 or logits.shape[1] < 2:
        return f"its classifier has {counted_outputs(logits)}: a class needs another to be told from"
    head.n_outputs = int(logits.shape[1])
    if names and len(names) != head.n_outputs:
        head.names, head.assumed = [], True
    if not head.names:
        head.names = known_names(head.n_outputs)
    linears = [_as_linear(part.module) for part in parts]
    inputs = head.inputs(encoder.base, x)
    close = all(
        one.shape == raw.shape and float((one - raw).abs().max()) <= LINEAR_RTOL * float(one.abs().max())
        for one in inputs
    )
    if close and all(linears):
        weights = torch.stack([one.weight for one in linears if one]).mean(0)
        biases = [
            torch.zeros(head.n_outputs) if one.bias is None else one.bias.cpu() for one in linears if one
        ]
        head.linear = weights.cpu(), torch.stack(biases).mean(0)
    return head


def counted_outputs(logits: Tensor) -> str:
    return f"{logits.shape[-1]} output{'s' * (logits.shape[-1] != 1)}"


def _width(encoder: Any) -> int:
    """The width of what the base returns."""
    return int(encoder.random_input()[1].shape[1])


def _loaded(part: HeadPart, tensors: Mapping[str, Tensor]) -> HeadPart | None:
    """The part with the weights of a checkpoint, and as many outputs; None where it lacks some."""
    start = f"{part.prefix}."
    state = {key[len(start) :]: tensor for key, tensor in tensors.items() if key.startswith(start)}
    last = [name for name, module in part.module.named_modules() if isinstance(module, nn.Linear)]
    module = part.module
    if last and (weight := state.get(f"{last[-1]}.weight".lstrip("."))) is not None and weight.ndim == 2:
        linear = nn.Linear(weight.shape[1], weight.shape[0], f"{last[-1]}.bias".lstrip(".") in state)
        if not last[-1]:
            module = linear
        else:
            parent, _, name = last[-1].rpartition(".")
            setattr(module.get_submodule(parent), name, linear)
    expected = module.state_dict()
    if expected.keys() - state.keys() or any(expected[key].shape != state[key].shape for key in expected):
        return None
    module.load_state_dict({key: state[key].to(expected[key].dtype) for key in expected})
    return HeadPart(module, part.at, part.prefix)


def _bare(tensors: Mapping[str, Tensor], width: int) -> tuple[HeadPart, ...]:
    """A Linear with the name of a classifier that fits the width of a representation."""
    for key, weight in tensors.items():
        if LINEAR.search(key) and weight.ndim == 2 and weight.shape[1] == width:
            bias = tensors.get(f"{key.removesuffix('weight')}bias")
            linear = nn.Linear(width, weight.shape[0], bias is not None)
            linear.load_state_dict(
                {"weight": weight.float()} | ({} if bias is None else {"bias": bias.float()})
            )
            return (HeadPart(linear, prefix=key.removesuffix(".weight")),)
    return ()


def _as_linear(module: nn.Module) -> nn.Linear | None:
    """The Linear that a module is, but for dropout and flattening of vectors; else None."""
    if isinstance(module, nn.Linear):
        return module
    if not isinstance(module, nn.Sequential):
        return None
    inner = [one for one in module if not isinstance(one, nn.Dropout | nn.Identity | nn.Flatten)]
    return _as_linear(inner[0]) if len(inner) == 1 else None


def untrained(linear: nn.Linear) -> bool:
    """Whether weights are as PyTorch (uniform) or timm (normal of .02, bias 0) draws them, or all alike."""
    weight, bias = linear.weight.detach().float(), linear.bias
    spread, bound = float(weight.std()), 1 / math.sqrt(weight.shape[1])
    if not spread > 0:
        return True
    no_bias = bias is None or not bool(bias.any())
    largest = float(weight.abs().max())
    uniform = largest <= bound * 1.0001 and abs(spread * math.sqrt(3) / bound - 1) < SPREAD
    drawn_bias = bias is None or float(bias.detach().abs().max()) <= bound * 1.0001
    normal = any(abs(spread / std - 1) < SPREAD for std in (0.02, 0.01)) and no_bias and bias is not None
    return weight.numel() >= 1000 and ((uniform and drawn_bias) or normal)


def known_names(n_outputs: int) -> list[list[str]]:
    """WordNet id and names of each class of the ImageNet that has so many; empty lists for other numbers."""
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset({"num_classes": n_outputs})
    if subset is None:
        return [[] for _ in range(n_outputs)]
    info = ImageNetInfo(subset)
    return [[info.index_to_label_name(place), info.index_to_description(place)] for place in range(n_outputs)]


def names_in(file: Any) -> list[list[str]]:
    """The class names that a checkpoint states beside its weights, if it does."""
    if not isinstance(file, Mapping):
        return []
    for key in NAMES:
        classes = file.get(key)
        if isinstance(classes, Mapping) and all(isinstance(value, int) for value in classes.values()):
            classes = [str(name) for name, _ in sorted(classes.items(), key=lambda one: one[1])]
        elif isinstance(classes, Mapping) and all(str(one).isdecimal() for one in classes):
            classes = [str(classes[output]) for output in sorted(classes, key=lambda one: int(one))]
        if isinstance(classes, list | tuple) and classes and all(isinstance(one, str) for one in classes):
            return [[one] for one in classes]
    parts: Collection[Any] = [file.get(key) for key in ("hyper_parameters", "args", "config", "meta")]
    return next((names for part in parts if (names := names_in(part))), [])
