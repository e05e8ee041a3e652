"""In words: how an encoder makes one vector of a map, or of tokens. No torch."""

from collections.abc import Mapping
from typing import Any

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
    """
    >>> token_words("cls", "after")
    'CLS token after the final norm'
    """
    return f"{OF_TOKENS[tokens]} {norm} the final norm"


def readout_words(encoder: Mapping[str, Any]) -> str:
    """Describe it from what a study remembers of its encoder; "" where that is not known.

    >>> readout_words({"pool": "max"}), readout_words({"pools_globally": True}), readout_words({})
    ('maximum pooling', 'average pooling', '')
    >>> readout_words({"tokens": "mean", "token_norm": "before"})
    'mean of the patch tokens before the final norm'
    """
    tokens, norm = str(encoder.get("tokens")), str(encoder.get("token_norm"))
    if tokens in OF_TOKENS and norm in ("before", "after"):
        return token_words(tokens, norm)
    pool = encoder.get("pool") or ("gap" if encoder.get("pools_globally") else None)
    return POOLED.get(str(pool), "")


def layer_words(encoder: Mapping[str, Any]) -> str:
    """Name the layer that it reads.

    >>> layer_words({"layer": "layer4.1"}), layer_words({"layer": "blocks.11"}), layer_words({})
    ('layer4.1', 'layer blocks.11', 'layer not known')
    """
    layer = str(encoder.get("layer") or "not known")
    return layer if layer.startswith("layer") else f"layer {layer}"


def weights_words(report: Mapping[str, Any] | None) -> str:
    """Say what was taken from a checkpoint, and what was left out; empty without one.

    >>> weights_words({"layout": "SimSiam", "matched": 120, "dropped": {"module.predictor": 6}})
    '120 tensors used, format SimSiam; not of the representation: module.predictor (6)'
    >>> weights_words({"layout": "plain", "matched": 84})
    '84 tensors used, format plain state dict'
    >>> weights_words({"layout": "random", "matched": 120})
    'random weights, not trained'
    """
    if not report:
        return ""
    if report["layout"] == "random":
        return "random weights, not trained"
    layout = "plain state dict" if report["layout"] == "plain" else report["layout"]
    dropped = ", ".join(f"{group} ({n})" for group, n in (report.get("dropped") or {}).items())
    used = f"{report['matched']:,} tensors used, format {layout}"
    return f"{used}; not of the representation: {dropped}" if dropped else used


def chosen_readout(encoder: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """Describe it only where the settings of `embed` ask for another way than the average or the network's.

    >>> chosen_readout({"pool": "max"}, {"pool": "max"}), chosen_readout({"pool": "gap"}, {"pool": None})
    ('maximum pooling', '')
    """
    asked = [settings.get(name) for name in READOUT if name != "layer"]
    return readout_words(encoder) if any(word not in (None, "gap") for word in asked) else ""
