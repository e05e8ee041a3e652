"""In words: how an encoder makes one vector of a map, or of tokens. No torch."""

from collections.abc import Mapping
from typing import Any

from core.common.step_facts import CheckpointFacts, EncoderFacts
from core.config import READOUT

POOLED = {
    "gap": "average pooling",
    "max": "maximum pooling",
    "top4": "mean of the 4 strongest positions",
    "gem3": "generalised mean, exponent 3",
}
OF_TOKENS = {
    "cls": "CLS token",
    "mean": "mean of the patch tokens",
    "cls+mean": "CLS token and mean of the patch tokens",
    "cls+dist": "CLS and distillation token",
    "attnpool": "attention pooling",
}

ASSETS = {  # the shipped encoders by the names that a reader sees, in the order of lists
    "efficientnet_lite0": "EfficientNet-Lite0 (ImageNet-1k), for photographs",
    "simclr_glyphworld": "SimCLR on the embedded world",
    "simclr_q_glyphworld": "SimCLR on the embedded world, fine-tuned for Q-Scores",
    "simclr_cifar10": "SimCLR on CIFAR-10, for images of 32 pixels",
}


def encoder_title(spec: str) -> str:
    """The title of a shipped encoder; any other is called by its SPEC.

    >>> encoder_title("asset:simclr_glyphworld"), encoder_title("torchvision:resnet50")
    ('SimCLR on the embedded world', 'torchvision:resnet50')
    """
    family, _, name = spec.partition(":")
    return ASSETS.get(name, spec) if family == "asset" else spec


def token_words(tokens: str, norm: str) -> str:
    """Say in words which tokens of a transformer a representation is read from.

    >>> token_words("cls", "after")
    'CLS token after the final norm'
    """
    return f"{OF_TOKENS[tokens]} {norm} the final norm"


def readout_words(encoder: EncoderFacts) -> str:
    """Say in words how an encoder's representation is read from its layer or tokens; "" if not known.

    >>> readout_words(EncoderFacts(pool="max")), readout_words(EncoderFacts(pools_globally=True))
    ('maximum pooling', 'average pooling')
    >>> readout_words(EncoderFacts(tokens="mean", token_norm="before"))
    'mean of the patch tokens before the final norm'
    """
    if encoder.tokens in OF_TOKENS and encoder.token_norm in ("before", "after"):
        return token_words(encoder.tokens, encoder.token_norm)
    pool = encoder.pool or ("gap" if encoder.pools_globally else "")
    return POOLED.get(pool, "")


def layer_words(encoder: EncoderFacts) -> str:
    """Name the layer of the network that an encoder's representation is read from.

    >>> layer_words(EncoderFacts(layer="layer4.1")), layer_words(EncoderFacts(layer="blocks.11"))
    ('layer4.1', 'layer blocks.11')
    >>> layer_words(EncoderFacts())
    'layer not known'
    """
    layer = encoder.layer or "not known"
    return layer if layer.startswith("layer") else f"layer {layer}"


def weights_words(report: CheckpointFacts | None) -> str:
    """Say which weights were taken from an encoder's checkpoint, and which left out; empty without one.

    >>> weights_words(CheckpointFacts("SimSiam", 120, {"module.predictor": 6}))
    '120 tensors used, format SimSiam; not of the representation: module.predictor (6)'
    >>> weights_words(CheckpointFacts("plain", 84))
    '84 tensors used, format plain state dict'
    >>> weights_words(CheckpointFacts("random", 120))
    'random weights, not trained'
    """
    if report is None or not report.layout:
        return ""
    if report.layout == "random":
        return "random weights, not trained"
    layout = "plain state dict" if report.layout == "plain" else report.layout
    dropped = ", ".join(f"{group} ({n})" for group, n in report.dropped.items())
    used = f"{report.matched:,} tensors used, format {layout}"
    return f"{used}; not of the representation: {dropped}" if dropped else used


def chosen_readout(encoder: EncoderFacts, settings: Mapping[str, Any]) -> str:
    """Say how an encoder is read, only where settings of `embed` ask for another way than the usual.

    >>> chosen_readout(EncoderFacts(pool="max"), {"pool": "max"})
    'maximum pooling'
    >>> chosen_readout(EncoderFacts(pool="gap"), {"pool": None})
    ''
    """
    asked = [settings.get(name) for name in READOUT if name != "layer"]
    return readout_words(encoder) if any(word not in (None, "gap") for word in asked) else ""
