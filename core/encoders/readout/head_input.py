"""The representation that an encoder's own classifier is linear on: what its last Linear reads."""

from torch import nn

from core.encoders.encoder import Encoder
from core.encoders.readout.head import Head, HeadPart, complete_head
from core.errors import EncoderError

HEAD_INPUT = "head-input"  # in place of the name of a layer
NOTE = "the representation is what the last layer of the classifier reads"


def to_head_input(encoder: Encoder) -> Encoder:
    """The encoder whose representation the classifier is linear on.

    Raises:
        EncoderError: there is no classifier, or no Linear at its end.
    """
    head = encoder.find_head()
    if isinstance(head, str):
        raise EncoderError(f"--layer {HEAD_INPUT}: {head}")
    if head.linear is not None:
        return encoder
    rule = head.parts[0].rule if len(head.parts) == 1 else None
    split = before_last_linear(encoder.base, head) if rule is None else (encoder.base, head.parts[0])
    if split is None:
        raise EncoderError(
            f"--layer {HEAD_INPUT}: the classifier of {encoder.arch} is no chain of layers behind the "
            "representation that ends in a Linear"
        )
    base, last = split
    deeper = Encoder(
        base,
        encoder.transform,
        arch=encoder.arch,
        spec=encoder.spec,
        tokens=rule and rule.tokens,
        token_norm=rule and rule.norm,
        report=encoder.report,
        assumptions=[*encoder.assumptions, NOTE],
        device=encoder.device,
    )
    names = [] if head.assumed else head.names
    deeper.find_head = lambda: complete_head(deeper, [last], names)
    return deeper


def before_last_linear(base: nn.Module, head: Head) -> tuple[nn.Module, HeadPart] | None:
    """A network that gives what the last Linear of a classifier reads, and that Linear.

    None where the classifier is no chain that ends in a Linear, or reads something else than the output.
    """
    part = head.parts[0]
    layers = list(part.module) if isinstance(part.module, nn.Sequential) and part.at == "" else []
    while layers and isinstance(layers[-1], nn.Dropout | nn.Identity):
        layers.pop()
    if len(head.parts) > 1 or len(layers) < 2 or not isinstance(layers[-1], nn.Linear):
        return None
    return nn.Sequential(base, *layers[:-1]), HeadPart(layers[-1])
