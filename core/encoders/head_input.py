"""The representation that an encoder's own classifier is linear on: what its last Linear reads."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from core.encoders.encoder import Encoder
from core.encoders.factories import AfterMap
from core.encoders.head import Head, HeadPart, complete_head
from core.encoders.tokens import TokenRule, token_parts
from core.errors import EncoderError

HEAD_INPUT = "head-input"  # in place of the name of a layer
NOTE = "the representation is what the last layer of the classifier reads"
BY_ITSELF = (
    f"{NOTE}: more than the network gives without it, which --pool gap takes, or --tokens of a transformer"
)
BOTH = TokenRule("cls+dist", "after")


def to_head_input(encoder: Encoder, notes: Sequence[str], *, note: str = NOTE) -> Encoder:
    """The encoder changed so that the classifier is linear on its representation.

    Args:
        notes: what was assumed of the network, whatever its representation. note: what is said of that.
    Raises:
        EncoderError: there is no classifier, or no Linear at its end.
    """
    head = encoder.find_head()
    if isinstance(head, str):
        raise EncoderError(f"--layer {HEAD_INPUT}: {head}")
    if head.linear is not None:
        return encoder
    split = _before_last_linear(encoder.base, head)
    if split is None:
        raise EncoderError(
            f"--layer {HEAD_INPUT}: the classifier of {encoder.arch} is no chain of layers behind the "
            "representation that ends in a Linear"
        )
    base, last = split
    tokens = last.rule and last.rule.tokens
    token_norm = last.rule and last.rule.norm
    of_encoder = {"report": encoder.report, "assumptions": [*notes, note], "device": encoder.device}
    deeper = Encoder(
        base,
        encoder.transform,
        arch=encoder.arch,
        spec=encoder.spec,
        tokens=tokens,
        token_norm=token_norm,
        **of_encoder,
    )
    deeper.normalisation_stated = encoder.normalisation_stated
    names = [] if head.assumed else head.names

    def find_head() -> Head | str:
        complete = complete_head(deeper, [last], names)
        if isinstance(complete, Head):
            complete.unchecked, complete.independent = head.unchecked, head.independent
            complete.source, complete.notes = head.source, head.notes
        return complete

    deeper.find_head = find_head
    return deeper


def with_all_that_is_read(encoder: Encoder, notes: Sequence[str]) -> Encoder:
    """The encoder as `to_head_input` gives it, where its classifier reads more than its representation."""
    head = encoder.find_head()
    if isinstance(head, str) or head.reads_representation:
        return encoder
    try:
        return to_head_input(encoder, notes, note=BY_ITSELF)
    except EncoderError:
        return encoder


def _before_last_linear(base: nn.Module, head: Head) -> tuple[nn.Module, HeadPart] | None:
    """A network that gives what the last Linear of a classifier reads, and that Linear.

    The two classifiers of a distilled transformer are one on both of their tokens. None where the classifier
    is no chain that ends in a Linear, or reads something else than the output.
    """
    part, modules = head.parts[0], [part.module for part in head.parts]
    linears = [module for module in modules if isinstance(module, nn.Linear)]
    if len(linears) == len(modules) == 2:
        tokens = token_parts(base)
        of_both = tokens is not None and BOTH in tokens.rules
        return (base, HeadPart(_side_by_side(linears), "norm", BOTH)) if of_both else None
    if part.rule is not None and len(modules) == 1:
        return base, part
    layers = list(part.module.children()) if isinstance(part.module, nn.Sequential) else []
    while layers and isinstance(layers[-1], nn.Dropout | nn.Identity):
        layers.pop()
    if len(modules) > 1 or len(layers) < 2 or not isinstance(layers[-1], nn.Linear):
        return None
    if isinstance(part.module, AfterMap):
        read = nn.Sequential(*part.module.before, *layers[:-1])
        named = OrderedDict(features=base.get_submodule("features"), classifier=read)
        return nn.Sequential(named), HeadPart(layers[-1])
    return (nn.Sequential(base, *layers[:-1]), HeadPart(layers[-1])) if part.at == "" else None


def _side_by_side(linears: Sequence[nn.Linear]) -> nn.Linear:
    """The mean of Linears as one, which reads the vectors of all one after another."""
    weights = torch.cat([linear.weight for linear in linears], 1) / len(linears)
    joined = nn.Linear(weights.shape[1], weights.shape[0])
    biases = [
        linear.bias if linear.bias is not None else torch.zeros(linear.out_features) for linear in linears
    ]
    joined.load_state_dict({"weight": weights, "bias": torch.stack(biases).mean(0)})
    return joined
