"""The classifier in a checkpoint of which only the tensors are known: a Linear, or a chain of layers."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.common.records import Record, Templates
from core.encoders.head_file import AUXILIARY, BEFORE, CLASSIFIER, COPY, HEAD_LIKE, OTHER, SCALES
from core.errors import EncoderError

WRAPPERS = "(?:(?:module|_orig_mod|model|net|network)[.])*"
LINEAR = re.compile(rf"(?:^|\.){CLASSIFIER}\.weight$")  # of a single Linear that is a classifier
CHAINS = (  # a layer of several: fc.2, head.mlp.0, head.fc1, fc2; of Sequential(encoder, classifier): 1.4
    re.compile(rf"(?P<stem>(?P<module>(?:.*?\.)?{CLASSIFIER})(?:\.[a-z_]+)*\.?)(?P<at>\d+)\.(?P<tensor>\w+)"),
    re.compile(rf"(?P<stem>{WRAPPERS}(?:1\.)?)(?P<at>\d+)\.(?P<tensor>\w+)"),
)
EPS = 1e-5  # of a BatchNorm of PyTorch
FACTORY = "name the network that ends in it: python:package.module:factory@PATH"
BETWEEN = f"tensors lie between the representation and its classifier '{{}}' ('{{}}'): {FACTORY}"
Affine = tuple[Tensor, Tensor]  # weights (out, in), of a BatchNorm (n,); bias
Layers = dict[int, dict[str, Tensor]]  # tensors by the number of their layer
Modules = dict[str, dict[str, Tensor]]  # tensors by the name of their module
say_of_head = Templates.beside(__file__)


@dataclass(frozen=True)
class BareHead:
    """A classifier whose tensors alone are known: its place in the file, and what was assumed of it."""

    module: nn.Module
    name: str
    notes: tuple[Record, ...] = ()


class UnknownActivation(nn.Module):
    """In place of an activation that a file does not name; it refuses to run."""

    def forward(self, _: Tensor) -> Tensor:
        raise EncoderError("the file does not say which activation lies between the layers of its classifier")


def fill_activation(module: nn.Module, name: str | None) -> None:
    """Put an activation of torch.nn in place of the unknown one in a checkpoint's chain of Linears."""
    for position, one in enumerate(module.children()):
        if name and isinstance(module, nn.Sequential) and isinstance(one, UnknownActivation):
            module[position] = getattr(nn, name)()


class CosineClassifier(nn.Module):
    """Logits are a factor times the cosine of the representation and the weights of each class."""

    def __init__(self, weight: Tensor, factor: float) -> None:
        super().__init__()
        self.weight, self.factor = nn.Parameter(weight.float()), factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * functional.linear(functional.normalize(x), functional.normalize(self.weight))


def bare_classifier(tensors: Mapping[str, Tensor], width: int) -> nn.Module | str:
    """The first classifier among the tensors of a file (`bare_heads`); "" for none, or why not."""
    heads = bare_heads(tensors, width)
    return heads if isinstance(heads, str) else heads[0].module


def bare_heads(tensors: Mapping[str, Tensor], width: int) -> list[BareHead] | str:
    """The classifiers among a file's tensors that read a representation of this width.

    What lies between the vector and a Linear is folded into it: a BatchNorm, or an embedding with an
    activation behind it that is not known. BatchNorms of a chain are folded into the layer beside them.

    Returns:
        at least one, in the order of the file: a Linear, or Sequential(Linear, activation, Linear), where the
        activation may be an UnknownActivation; "" for none, else why it cannot be had.
    """
    modules = _modules(tensors)
    ends = {name: one for name, one in modules.items() if _is_classifier(name, one)}
    reading = {name: end for name, end in ends.items() if end["weight"].shape[1] == width}
    later = {name: end for name, end in ends.items() if name not in reading}
    embedded = _behind_embedding(tensors, modules, later, width)
    if isinstance(embedded, BareHead):
        return [embedded]
    if embedded and not reading:
        return embedded
    heads, why = [], ""
    for name, layer in reading.items():
        head = _behind_neck(modules, reading, name, layer, width)
        heads, why = (heads, why or head) if isinstance(head, str) else ([*heads, head], why)
    if why and not heads:
        return why
    for stem, layers in _chains(tensors):
        module = _of_chain(stem, layers, width)
        if isinstance(module, nn.Module):
            heads.append(BareHead(module, f"{stem}{min(layers)}"))
        why = why or (module if isinstance(module, str) else "")
    heads = [one for number, one in enumerate(heads) if not number or not _is_copy(one, heads[0])]
    further = _further(tensors, width)
    return [_with_unused(one, further) for one in heads] or why


def _further(tensors: Mapping[str, Tensor], width: int) -> tuple[str, ...]:
    """Names of Linears that read a vector of this width and are called like heads, but are no classifier."""
    modules = {key.rpartition(".")[0] for key in tensors}
    n_modules = Counter(map(_group, modules))
    keys = [key for key, tensor in tensors.items() if tensor.ndim == 2 and tensor.shape[1] == width]
    names = [key.removesuffix(".weight") for key in keys if key.endswith(".weight")]
    return tuple(name for name in names if n_modules[_group(name)] == 1 and _is_head_like(name))


def _is_head_like(name: str) -> bool:
    plain = AUXILIARY.sub("", name)
    if LINEAR.search(f"{name}.weight") or OTHER.search(plain) or COPY.search(name):
        return False
    return HEAD_LIKE.search(plain) is not None


def _with_unused(head: BareHead, names: tuple[str, ...]) -> BareHead:
    """A classifier with a note of everything beside it that is not used."""
    noted = tuple(name for note in head.notes if note.kind == "unused" for name in note.names)
    if not names:
        return head
    notes = tuple(note for note in head.notes if note.kind != "unused")
    return replace(head, notes=(*notes, say_of_head("unused", what=head.name, names=(*noted, *names))))


def _is_copy(head: BareHead, first: BareHead) -> bool:
    """Whether a classifier is a momentum copy of the first one, or the same once more."""
    last, of_first = (COPY.sub("", one.name).rpartition(".")[2] for one in (head, first))
    states = (list(one.module.state_dict().values()) for one in (head, first))
    return last == of_first or all(map(torch.equal, *states))


def _modules(tensors: Mapping[str, Tensor]) -> Modules:
    """Modules of vectors and matrices that may lie on the way to a classifier, in the order of the file."""
    large = {_group(key) for key, tensor in tensors.items() if tensor.ndim > 2}
    modules: Modules = {}
    for key, tensor in tensors.items():
        module, _, name = key.rpartition(".")
        if _group(key) not in large and not OTHER.search(key):
            modules.setdefault(module, {})[name] = tensor
    return modules


def _group(key: str) -> str:
    """The first part of a key behind the wrappers of a whole model."""
    return re.sub(f"^{WRAPPERS}", "", key).partition(".")[0]


def _is_classifier(name: str, layer: Mapping[str, Tensor]) -> bool:
    is_matrix = "weight" in layer and layer["weight"].ndim == 2
    return is_matrix and LINEAR.search(f"{name}.weight") is not None


def _behind_neck(
    modules: Modules, heads: Modules, name: str, layer: Mapping[str, Tensor], width: int
) -> BareHead | str:
    """A Linear by the name of a classifier, with what lies between it and a vector of this width.

    Args:
        heads: all Linears by such names that read the vector.
    """
    necks = [one for one in modules if one not in heads and _keeps_width(modules[one], width)]
    square = [head for head in heads if head != name and _keeps_width(heads[head], width)]
    necks = [one for one in necks if _is_alone(one, modules)] + square
    linear = _linear(layer["weight"], layer.get("bias"))
    if not necks:
        return _with_scale(modules, name, layer, linear)
    neck, affine = necks[0], _affine(modules[necks[0]])
    activation = next((one for end, one in BEFORE.items() if neck.endswith(end)), None)
    if len(necks) == 1 and affine and affine[0].ndim == 1:
        weight, bias = _after(affine, (linear.weight.double(), _zero_bias(linear)))
        return BareHead(_linear(weight, bias), name, (say_of_head("neck", what=name, names=(neck,)),))
    if len(necks) == 1 and affine and activation:
        module = nn.Sequential(_linear(*affine), getattr(nn, activation)(), linear)
        return BareHead(module, name, (say_of_head("embedding", what=name, names=(neck,)),))
    if _keeps_width(layer, width):
        return f"'{name}' gives as much as it reads"
    return BETWEEN.format(name, neck)


def _keeps_width(layer: Mapping[str, Tensor], width: int) -> bool:
    """Whether a module may turn a vector into one of its width: a norm or a square matrix."""
    one = layer.get("weight", layer.get("running_mean"))
    return one is not None and one.shape in ((width,), (width, width))


def _is_alone(name: str, modules: Modules) -> bool:
    """Whether a module is one of two at most of its group, hence no part of another network."""
    return sum(_group(module) == _group(name) for module in modules) <= 2


def _zero_bias(linear: nn.Linear) -> Tensor:
    return torch.zeros(linear.out_features).double() if linear.bias is None else linear.bias.double()


def _with_scale(modules: Modules, name: str, layer: Mapping[str, Tensor], linear: nn.Linear) -> BareHead:
    """A Linear, or a cosine classifier where a factor stands beside its weights."""
    outer = modules.get(name.rpartition(".")[0], {})
    for key, tensor in (*layer.items(), *outer.items()):
        if key in SCALES and tensor.numel() == 1 and linear.bias is None:
            factor = float(tensor.reshape(())) ** SCALES[key]
            note = say_of_head("cosine", what=name, names=(key,))
            return BareHead(CosineClassifier(layer["weight"], factor), name, (note,))
    unused = _unused(outer, layer, linear.out_features)
    return BareHead(linear, name, (say_of_head("unused", what=name, names=unused),) if unused else ())


def _unused(outer: Mapping[str, Tensor], layer: Mapping[str, Tensor], n_outputs: int) -> tuple[str, ...]:
    """Names of numbers beside a Linear, one or one an output, that its outputs may be changed by."""
    more = {key: tensor for key, tensor in layer.items() if key not in ("weight", "bias")}
    sizes = {1, n_outputs}
    unused = []
    for key, tensor in {**outer, **more}.items():
        if key not in ("weight", "bias") and tensor.is_floating_point() and tensor.numel() in sizes:
            unused.append(key)
    return tuple(unused)


def _behind_embedding(
    tensors: Mapping[str, Tensor], modules: Modules, ends: Modules, width: int
) -> BareHead | str:
    """The first Linear by the name of a classifier that reads what an embedding of the vector gives.

    Args:
        ends: Linears by such names that read a vector of another width.
    Returns:
        "" for none, or why it cannot be had.
    """
    chained = {f"{stem}{at}" for stem, layers in _chains(tensors) for at in layers if len(layers) > 1}
    names = list(modules)
    for name, layer in ends.items():
        if name in chained:
            continue
        before = [one for one in names[: names.index(name)] if one not in ends and "weight" in modules[one]]
        embedding = _walk({one: modules[one] for one in before}, width)
        if embedding is not None and len(embedding[1]) == layer["weight"].shape[1]:
            second = _linear(layer["weight"], layer.get("bias"))
            module = nn.Sequential(_linear(*embedding), UnknownActivation(), second)
            return BareHead(module, name, (say_of_head("embedding", what=name, names=(before[0],)),))
        if any(_reads(modules[one]) == width for one in before):
            return BETWEEN.format(name, before[0])
    return ""


def _walk(layers: Modules, width: int) -> Affine | None:
    """All layers as one, where each reads what the one before gives; None where they are not affine, or an
    activation may lie between them."""
    whole: Affine | None = None
    last = ""
    for name, layer in layers.items():
        one = _affine(layer)
        if one is None or one[0].shape[-1] != (width if whole is None else len(whole[1])):
            return None
        if whole is not None and not _follows(name, last) and one[0].ndim == 2:
            return None
        whole, last = one if whole is None else _after(whole, one), name
    return whole


def _follows(name: str, last: str) -> bool:
    """Whether a layer of a Sequential comes right behind another one of it."""
    (stem, _, at), (before, _, earlier) = name.rpartition("."), last.rpartition(".")
    return stem == before and at.isdecimal() and earlier.isdecimal() and int(at) == int(earlier) + 1


def _reads(layer: Mapping[str, Tensor]) -> int:
    return layer["weight"].shape[-1] if layer["weight"].ndim else 0


def _of_chain(stem: str, layers: Layers, width: int) -> nn.Module | str:
    """The layers of a classifier as one or two Linears, or why they cannot be had; "" for no Linear.

    The numbers of a Sequential tell where it has layers without tensors: dropout or an activation. Those
    before the first layer with tensors are taken for dropout.
    """
    if not any("weight" in one and one["weight"].ndim == 2 for one in layers.values()):
        return ""
    in_sequence, folded = not stem or stem.endswith("."), []
    for at, layer in layers.items():
        one = _affine(layer)
        if one is None:
            return f"layer '{stem}{at}' of its classifier is neither Linear nor BatchNorm: {FACTORY}"
        reads, given = one[0].shape[-1], len(folded[-1][1]) if folded else width
        if reads != given:
            both = ", perhaps the maximum and the mean of a map, as with fastai" if reads == 2 * given else ""
            return f"layer '{stem}{at}' of its classifier reads {reads:,}{both}, not {given:,}: {FACTORY}"
        if folded and in_sequence and at - 1 in layers:
            folded[-1] = _after(folded[-1], one)
        else:
            folded.append(one)
    if len(folded) > 2:
        return (
            f"its classifier, layers '{stem}{min(layers)}' to '{stem}{max(layers)}', has {len(folded) - 1} "
            f"places for an activation, and the file does not name them: {FACTORY}"
        )
    first, *second = (_linear(*one) for one in folded)
    return nn.Sequential(first, UnknownActivation(), *second) if second else first


def _chains(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Layers]]:
    """The numbered layers of each classifier, in order, and what stands before their numbers."""
    for pattern in CHAINS:
        matches = {key: match for key in tensors if (match := pattern.fullmatch(key))}
        for stem in dict.fromkeys(match["stem"] for match in matches.values()):
            members = [key for key, match in matches.items() if match["stem"] == stem]
            module = matches[members[0]].groupdict().get("module", "")
            inside = "" if pattern is CHAINS[1] else f"{module}." if stem != module else stem
            if len(members) < sum(key.startswith(inside) for key in tensors):
                continue  # it has more than numbered layers
            layers: Layers = {}
            for key in members:
                layers.setdefault(int(matches[key]["at"]), {})[matches[key]["tensor"]] = tensors[key]
            yield stem, dict(sorted(layers.items()))


def _affine(layer: Mapping[str, Tensor]) -> Affine | None:
    """A Linear or a BatchNorm as weights and bias, float64; None for another layer."""
    values = {name: one.double() for name, one in layer.items()}
    weight, bias = values.get("weight"), values.get("bias")
    if weight is not None and weight.ndim == 2:
        return weight, torch.zeros(len(weight)).double() if bias is None else bias
    if "running_var" not in values or values["running_var"].ndim != 1:
        return None
    scale = (values["running_var"] + EPS).rsqrt() * (1 if weight is None else weight)
    return scale, (0 if bias is None else bias) - values["running_mean"] * scale


def _after(first: Affine, second: Affine) -> Affine:
    """Two layers as one."""
    (weight, bias), (then, more) = first, second
    if then.ndim == 1:
        return (weight.T * then).T, bias * then + more
    return then @ torch.diag(weight) if weight.ndim == 1 else then @ weight, then @ bias + more


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    weight = torch.diag(weight) if weight.ndim == 1 else weight
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias is not None)
    linear.load_state_dict({"weight": weight.float()} | ({} if bias is None else {"bias": bias.float()}))
    return linear
