"""The classifier that belongs to an encoder: found, loaded, and run in the encoder's own forward pass."""

import copy
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from core.common.records import Record
from core.encoders.bare_head import BareHead, UnknownActivation, bare_heads
from core.encoders.head_file import known_names, read_head
from core.encoders.layers import find_layer
from core.encoders.tokens import TokenRule, read_tokens, token_parts
from core.errors import CheckpointError

RTOL = 1e-4  # of the largest entry: the classifier reads the representation, gives the network's logits
SPREAD = 0.015  # relative; of a layer of 10 x 512 weights the standard deviation varies by .01
SKIPPED = nn.Dropout | nn.Identity | nn.Flatten  # of vectors they change nothing
ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardswish, nn.GELU, nn.SiLU, nn.Tanh, UnknownActivation)
USUAL = ("", "inplace=True", "approximate='none'")  # what these say of themselves, as they are known
LinearMap = tuple[Tensor, Tensor]  # weights (C, r), bias (C,)
Beside = tuple[dict[str, Tensor], list[list[str]]]  # what else a checkpoint holds; its class names
NO_WEIGHTS = "the checkpoint holds no classifier"


@dataclass(frozen=True)
class HeadPart:
    """A module from what it reads to logits.

    Attributes:
        at: the module of the encoder's `base` whose input it reads; "" for what `base` returns, None for what
            `base` itself reads.
        rule: how it makes a vector of the tokens that it reads; None where it reads no tokens.
    """

    module: nn.Module
    at: str | None = ""
    rule: TokenRule | None = None


# Of the tensors of a file that its encoder lacks, a network with a classifier and the parts of that; or why
# there is none. The network has other weights than the file where it is given, the parts where it is not.
HeadMaker = Callable[[Mapping[str, Tensor]], tuple[nn.Module | None, Sequence[HeadPart]] | str]


@dataclass
class Head:
    """An encoder's own classifier: the mean of the logits of its parts.

    Attributes:
        linear: (weights (C, r), bias (C,)) where it is linear on the representation, else None.
        hidden: where it is two Linears on the representation, both as `linear`, the first one first, and the
            name in torch.nn of the activation between them, "" where the file does not say it; else None.
        independent: each of several outputs is a sigmoid, so an image may have several classes.
        unchecked: no whole network is known with whose logits these could be compared.
        reads_representation: all its parts read the representation, and nothing else.
        names: what the outputs are called, one list an output, in the checkpoint or the library.
        assumed: the names are those of the data set that has so many classes.
        source: its name in the file, where it is known by that alone. notes: what was assumed of it.
        others: further classifiers of the file that read the representation.
    """

    parts: tuple[HeadPart, ...]
    n_outputs: int = 0
    linear: LinearMap | None = None
    hidden: tuple[LinearMap, LinearMap, str] | None = None
    names: list[list[str]] = field(default_factory=list)
    assumed: bool = True
    independent: bool = False
    unchecked: bool = False
    reads_representation: bool = False
    source: str = ""
    notes: tuple[Record, ...] = ()
    others: tuple["Head", ...] = ()

    def of_source(self, source: str) -> "Head":
        """The one of this and the others that has a name in the file."""
        return next((other for other in self.others if other.source == source), self)

    @property
    def single(self) -> bool:
        """Whether it is one output, of which `logits` makes two."""
        last = [
            module for part in self.parts for module in part.module.modules() if isinstance(module, nn.Linear)
        ]
        return self.n_outputs == 2 and bool(last) and last[-1].out_features == 1

    @property
    def logits_in_pass(self) -> bool:
        """Whether its logits are to be taken in the encoder's pass; else they are made of its layers."""
        return self.linear is None and not (self.hidden and not self.hidden[2])

    @property
    def fingerprint(self) -> str:
        """A checksum of its weights and of those of the other heads."""
        digest = hashlib.sha256()
        for part in (part for head in (self, *self.others) for part in head.parts):
            for key, tensor in sorted(part.module.state_dict().items()):
                digest.update(f"{part.at} {key} {tuple(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        return digest.hexdigest()

    @contextmanager
    def reading(self, base: nn.Module) -> Iterator[Callable[[], Tensor]]:
        """Watch a forward pass of `base`; the function that is yielded returns the logits after it."""
        with self.watching(base) as inputs:
            yield lambda: self.logits(inputs())

    def logits(self, inputs: Sequence[Tensor]) -> Tensor:
        """(B, n_outputs) of what each part reads. A single output x is the logits (0, x): of them the softmax
        is the sigmoid of x."""
        logits = _sum_logits([part.module(x).flatten(1) for part, x in zip(self.parts, inputs, strict=True)])
        return _with_zero(logits.T).T if logits.shape[1] == 1 else logits

    @contextmanager
    def watching(self, base: nn.Module) -> Iterator[Callable[[], list[Tensor]]]:
        """Watch a forward pass of `base`; the function that is yielded returns what each part reads."""
        read: dict[str | None, Tensor] = {}
        with ExitStack() as hooks:
            for at in {part.at for part in self.parts}:
                if at == "":
                    handle = base.register_forward_hook(
                        lambda _module, _inputs, out: read.__setitem__("", out.clone())
                    )
                else:
                    module = base if at is None else find_layer(base, at)
                    handle = module.register_forward_pre_hook(
                        lambda _module, inputs, *, at=at: read.__setitem__(at, inputs[0].clone())
                    )
                hooks.callback(handle.remove)
            yield lambda: [_tokens_read(read[part.at], part.rule, base) for part in self.parts]


def _tokens_read(read: Tensor, rule: TokenRule | None, base: nn.Module) -> Tensor:
    parts = token_parts(base) if rule is not None else None
    return read if rule is None or parts is None else read_tokens(read, parts, rule)


def _sum_logits(logits: Sequence[Tensor]) -> Tensor:
    """The mean logits over the parts of a classifier: networks with a distilled head answer so."""
    return torch.stack(list(logits)).mean(0) if len(logits) > 1 else logits[0]


def head_of_network(encoder: Any, built: Any, beside: Beside | None) -> Head | str:
    """Find an encoder's own classifier in its network, or say the reason why there is none.

    Args:
        built: the network as `core.encoders.factories` made it. beside: None without a checkpoint.
    """
    if encoder.classifier is not None:
        part = HeadPart(encoder.base.get_submodule(encoder.classifier), encoder.classifier)
        head = complete_head(encoder, [part], [])
        if isinstance(head, Head) and not head.single:
            head.independent = _ends_in_sigmoids(encoder, head)
        return head
    if beside is None and (built.head is None or built.weights == "random"):
        return "the network has not been trained" if built.weights == "random" else NO_WEIGHTS
    tensors, names = beside or ({}, [])
    made = built.head(tensors) if built.head is not None else (None, ())
    if isinstance(made, str):
        return made
    network, parts = made
    if network is not None:
        lacking = _load(network.eval(), encoder.base, tensors if beside else network.state_dict())
        if lacking is None:  # nothing of it: the classifier is another
            network, parts = None, ()
        elif lacking:
            return f"the classifier in the checkpoint is not that of {encoder.arch}: it lacks {lacking}"
    width = int(encoder.random_input()[1].shape[1])
    bare = bare_heads(tensors, width) if tensors else ""
    first: BareHead | None = None
    if network is None and not parts and tensors:
        if isinstance(bare, str):
            return bare or NO_WEIGHTS
        first, *bare = _trained_first(bare)
        parts = (HeadPart(first.module),)
    if network is None and parts and built.around is not None and isinstance(parts[0].module, nn.Linear):
        network = built.around(copy.deepcopy(parts[0].module))
        if network is not None and _load(network.eval(), encoder.base, _of_linear(network)):
            network = None  # it has more than the encoder and the classifier
    head = complete_head(encoder, parts, names, network)
    if isinstance(head, Head):
        head.independent = built.independent
        head.unchecked |= built.inferred
        if first is not None:
            head.source, head.notes = first.name, first.notes
        if head.linear is not None and not isinstance(bare, str):
            head.others = _others(encoder, bare, names, head.linear)
    return head


def head_of_file(encoder: Any, path: str) -> Head:
    """Give an encoder the classifier of a file (`head_file`) in place of its own.

    Raises:
        CheckpointError: the file cannot be read, or its head does not fit the representation.
    """
    weights, bias, names = read_head(path)
    width = int(encoder.n_features)
    if weights.shape[1] != width:
        raise CheckpointError(
            f"the head '{path}' reads {weights.shape[1]:,} features, and {encoder.arch} gives {width:,}: "
            "name the encoder, layer and pooling that it was fitted to"
        )
    linear = nn.Linear(width, len(weights))
    linear.load_state_dict({"weight": torch.from_numpy(weights), "bias": torch.from_numpy(bias)})
    module = linear.eval().requires_grad_(False)
    return Head(
        (HeadPart(module),),
        len(weights),
        linear=(module.weight.detach(), module.bias.detach()),
        names=[[name] for name in names],
        assumed=False,
        reads_representation=True,
        source=Path(path).name,
    )


def _trained_first(heads: Sequence[BareHead]) -> list[BareHead]:
    """Those classifiers that were trained, then the others, each in the order of the file."""

    def is_drawn(head: BareHead) -> bool:
        linears = [module for module in head.module.modules() if isinstance(module, nn.Linear)]
        return any(untrained(linear) for linear in linears[-1:])

    return sorted(heads, key=is_drawn)


def _others(
    encoder: Any, bare: Sequence[BareHead], names: list[list[str]], first: LinearMap
) -> tuple[Head, ...]:
    """Further classifiers of a file that are linear on the representation, as the first one is."""
    layers = []
    for one in bare:
        head = complete_head(encoder, [HeadPart(one.module)], names)
        if isinstance(head, Head) and head.linear is not None and not _same(head.linear[0], first[0]):
            head.source, head.notes = one.name, one.notes
            layers.append(head)
    return tuple(layers)


@torch.no_grad()
def _ends_in_sigmoids(encoder: Any, head: Head) -> bool:
    x, _ = encoder.random_input()
    with head.reading(encoder.base) as logits:
        returned = encoder.base(x)
        return bool(torch.allclose(returned, logits().sigmoid(), atol=1e-5))


def _of_linear(network: nn.Module) -> dict[str, Tensor]:
    """The tensors of the last Linear of a network, by their names in it."""
    name, linear = [pair for pair in network.named_modules() if isinstance(pair[1], nn.Linear)][-1]
    return {f"{name}.{key}": tensor for key, tensor in linear.state_dict().items()}


def _load(network: nn.Module, base: nn.Module, tensors: Mapping[str, Tensor]) -> str | None:
    """Give a whole network the weights of `base`, which are not copied, and those of a file for the rest.

    Returns:
        "" if all are there, the first that is not, None if none is.
    """
    state, base_state = network.state_dict(), base.state_dict()
    rest = [key for key in state if key not in base_state and not key.endswith("num_batches_tracked")]
    lacking = [key for key in rest if key in tensors and tensors[key].shape != state[key].shape]
    absent = [key for key in rest if key not in tensors]
    lacking += [key for key in absent if not (key.endswith(".bias") and f"{key[:-4]}weight" in tensors)]
    lacking += [key for key in base_state if key in state and base_state[key].shape != state[key].shape]
    if lacking or not rest:
        return lacking[0] if any(key in tensors for key in rest) else None
    for key in rest:
        if key in tensors:
            state[key] = tensors[key].to(state[key].dtype)
        else:
            state[key] = torch.zeros_like(state[key])
    state.update({key: base_state[key] for key in state if key in base_state})
    network.load_state_dict(state, assign=True)
    return ""


@torch.no_grad()
def complete_head(
    encoder: Any, parts: Sequence[HeadPart], names: list[list[str]], network: nn.Module | None = None
) -> Head | str:
    """Check an encoder's classifier against its network, and whether it is linear on the representation.

    Args:
        parts: with their weights. network: with its classifier, if it is known. Where the parts give other
            logits than it does, the logits are its own, by a forward pass beside that of the encoder.
    Returns:
        the head, or the reason why there is none.
    """
    if not parts and network is None:
        return NO_WEIGHTS
    last = [module for part in parts for module in part.module.modules() if isinstance(module, nn.Linear)]
    if any(untrained(module) for module in last[-1:]):
        return "the classifier was never trained: its weights are as they were drawn"
    whole = () if network is None else (HeadPart(network, None),)
    for part in (*parts, *whole):
        part.module.eval().requires_grad_(False).to(encoder.device)
    x, _ = encoder.random_input()
    head = Head(tuple(parts), unchecked=network is None and encoder.classifier is None)
    if _lacks_activation(parts):
        return _without_activation(head, encoder, x, names)
    forward, of_network = (_forward(Head(tuple(one)), encoder, x) if one else None for one in (parts, whole))
    if of_network and not (forward and _same(forward[2], of_network[2])):
        head.parts, forward = whole, of_network
    if forward is None:
        return "its classifier does not fit what the encoder returns"
    raw, inputs, logits = forward
    _name_outputs(head, int(logits.shape[1]), names)
    head.reads_representation = all(_same(one, raw) for one in inputs)
    if head.reads_representation:
        head.linear = _linear_on(raw, head.parts, logits)
        head.hidden = None if head.linear else _with_hidden_layer(head.parts)
    return head


def _name_outputs(head: Head, n_outputs: int, names: list[list[str]]) -> None:
    """State how many outputs a head has, and their names: those of the file, else those of ImageNet."""
    head.n_outputs, head.assumed = n_outputs, len(names) != n_outputs
    head.names = known_names(n_outputs) if head.assumed else names


def _lacks_activation(parts: Sequence[HeadPart]) -> bool:
    """Whether the file of an encoder's head does not name the activation between its layers."""
    return any(isinstance(module, UnknownActivation) for part in parts for module in part.module.modules())


def _without_activation(head: Head, encoder: Any, x: Tensor, names: list[list[str]]) -> Head | str:
    with head.watching(encoder.base) as read:
        raw, inputs = encoder.model(x), read()
    head.hidden, head.reads_representation = _with_hidden_layer(head.parts), _same(inputs[0], raw)
    if not head.reads_representation or head.hidden is None:
        return "its classifier has a hidden layer, which does not read this representation"
    _name_outputs(head, len(head.hidden[1][1]), names)
    return head


def _linear_on(raw: Tensor, parts: Sequence[HeadPart], logits: Tensor) -> LinearMap | None:
    """The weights and the bias of a head whose parts read `raw` alone, where they are linear on it."""
    maps = [_as_linear(part.module, raw.shape[1]) for part in parts]
    if not all(maps):
        return None
    weights = _with_zero(torch.stack([one[0] for one in maps if one]).mean(0).cpu())
    biases = torch.stack([one[1] for one in maps if one]).mean(0)
    bias = _with_zero(biases[:, None].cpu())[:, 0]
    return (weights, bias) if _same(raw.cpu() @ weights.T + bias, logits.cpu()) else None


def _with_hidden_layer(parts: Sequence[HeadPart]) -> tuple[LinearMap, LinearMap, str] | None:
    """The layers of a head of one part, where they are Linear, activation, Linear."""
    module = parts[0].module
    if len(parts) > 1 or type(module).forward is not nn.Sequential.forward:
        return None
    layers = [one for one in module.children() if not isinstance(one, SKIPPED)]
    if len(layers) != 3 or type(layers[1]) not in ACTIVATIONS or layers[1].extra_repr() not in USUAL:
        return None
    activation = "" if isinstance(layers[1], UnknownActivation) else type(layers[1]).__name__
    both = [_as_linear(layer, 0) for layer in layers[::2] if isinstance(layer, nn.Linear)]
    maps = [(weights.cpu(), bias.cpu()) for weights, bias in filter(None, both)]
    if len(maps) < 2:
        return None
    weights, bias = maps[1]
    second = (_with_zero(weights), _with_zero(bias[:, None])[:, 0])
    return maps[0], second, activation


def _forward(head: Head, encoder: Any, x: Tensor) -> tuple[Tensor, list[Tensor], Tensor] | None:
    """The representations of an input, what the parts of a head read, and its logits; None where they do not
    fit together."""
    try:
        with head.watching(encoder.base) as read:
            raw, inputs = encoder.model(x), read()
            return raw, inputs, head.logits(inputs)
    except (RuntimeError, ValueError, IndexError, KeyError, AttributeError, TypeError):
        return None


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are one but for rounding."""
    if one.shape != other.shape:
        return False
    return float((one - other).abs().max()) <= RTOL * float(other.abs().max())


def _with_zero(rows: Tensor) -> Tensor:
    """One row, behind another of zeros."""
    return torch.cat([torch.zeros_like(rows), rows]) if len(rows) == 1 else rows


def _as_linear(module: nn.Module, width: int) -> LinearMap | None:
    """The weights (C, width) and bias (C,) of a Linear, also behind dropout or flattening of vectors; of any
    other module those that it would have, were it linear, which its logits have to show. None: it fails."""
    if isinstance(module, nn.Linear):
        bias = torch.zeros(module.out_features) if module.bias is None else module.bias
        return module.weight, bias.to(module.weight)
    if type(module).forward is nn.Sequential.forward:
        inner = [one for one in module.children() if not isinstance(one, SKIPPED)]
        if len(inner) == 1:
            return _as_linear(inner[0], width)
    try:
        exact = copy.deepcopy(module).cpu().double()
        shift = exact(torch.zeros(1, width).double())
        return (exact(torch.eye(width).double()) - shift).T.float(), shift[0].float()
    except (RuntimeError, ValueError, TypeError):
        return None


def untrained(linear: nn.Linear) -> bool:
    """Whether a head's weights are as PyTorch or timm draws them untrained, or all alike."""
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
