"""The classifier in a checkpoint of which only the tensors are known: a Linear, or a chain of layers."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from core.errors import EncoderError

NAMES = (
    "(?:fc|head|classifier|linear|last_linear|heads[.]head|head[.]fc|cls_head|classification_head|logits"
    "|mlp_head)"
)
WRAPPERS = "(?:(?:module|_orig_mod|model|net|network)[.])*"
LINEAR = re.compile(rf"(?:^|\.){NAMES}\.weight$")  # of a single Linear that is a classifier
CHAINS = (  # a layer of several: fc.2, head.mlp.0, head.fc1, fc2; of Sequential(encoder, classifier): 1.4
    re.compile(rf"(?P<stem>(?P<module>(?:.*?\.)?{NAMES})(?:\.[a-z_]+)*\.?)(?P<at>\d+)\.(?P<tensor>\w+)"),
    re.compile(rf"(?P<stem>{WRAPPERS}(?:1\.)?)(?P<at>\d+)\.(?P<tensor>\w+)"),
)
EPS = 1e-5  # of a BatchNorm of PyTorch
FACTORY = "name the network that ends in it: python:package.module:factory@PATH"
Affine = tuple[Tensor, Tensor]  # weights (out, in), of a BatchNorm (n,); bias
Layers = dict[int, dict[str, Tensor]]  # tensors by the number of their layer


class UnknownActivation(nn.Module):
    """In place of an activation that a file does not name; it refuses to run."""

    def forward(self, _: Tensor) -> Tensor:
        raise EncoderError("the file does not say which activation lies between the layers of its classifier")


def fill_activation(module: nn.Module, name: str | None) -> None:
    """Put an activation of torch.nn in place of the one of a chain that is not known."""
    for position, one in enumerate(module.children()):
        if name and isinstance(module, nn.Sequential) and isinstance(one, UnknownActivation):
            module[position] = getattr(nn, name)()


def bare_linear(tensors: Mapping[str, Tensor], width: int) -> nn.Linear | None:
    """A single Linear with the name of a classifier that reads a vector of this width."""
    for key, weight in tensors.items():
        if LINEAR.search(key) and weight.ndim == 2 and weight.shape[1] == width:
            return _linear(weight, tensors.get(f"{key.removesuffix('weight')}bias"))
    return None


def bare_classifier(tensors: Mapping[str, Tensor], width: int) -> nn.Module | str:
    """The classifier that reads a vector of this width: a Linear, or two with an activation between them that
    is not known. BatchNorms are folded into the layer beside them.

    The numbers of a Sequential tell where it has layers without tensors: dropout or an activation. Those
    before the first layer with tensors are taken for dropout.

    Returns:
        a Linear, or Sequential(Linear, UnknownActivation, Linear); "" for none, else why it cannot be had.
    """
    if linear := bare_linear(tensors, width):
        return linear
    stem, layers = _chain(tensors)
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


def _chain(tensors: Mapping[str, Tensor]) -> tuple[str, Layers]:
    """The numbered layers of a classifier, in order, and what stands before their numbers."""
    for pattern in CHAINS:
        matches = {key: match for key in tensors if (match := pattern.fullmatch(key))}
        for match in matches.values():
            stem, module = match["stem"], match.groupdict().get("module", "")
            inside = "" if pattern is CHAINS[1] else f"{module}." if stem != module else stem
            members = [key for key, one in matches.items() if one["stem"] == stem]
            if len(members) < sum(key.startswith(inside) for key in tensors):
                continue  # it has more than numbered layers
            layers: Layers = {}
            for key in members:
                layers.setdefault(int(matches[key]["at"]), {})[matches[key]["tensor"]] = tensors[key]
            return stem, dict(sorted(layers.items()))
    return "", {}


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
