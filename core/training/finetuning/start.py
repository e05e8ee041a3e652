"""Start a training from an existing encoder: any SPEC of the registry, strictly loaded."""

import torch
from torch import nn

from core.encoders.registry import Encoder, load_encoder
from core.encoders.transform import Transform
from core.errors import EncoderError, SettingsError
from core.training.backbones import build_backbone, count_features
from core.training.config import TrainConfig


def start_encoder(spec: str) -> Encoder:
    """Load the encoder of a SPEC on the CPU without drawing from torch's random generators."""
    with torch.random.fork_rng(devices=[]):
        return load_encoder(spec)


def start_backbone(config: TrainConfig, arch: str, size: int) -> tuple[nn.Module, int]:
    """Build the network `arch` with the weights of `config.start`; return it and its number of features.

    `arch` may apply the same filters on another grid than the start does (a ResNet's output_stride).

    Raises:
        SettingsError, CheckpointError, EncoderError: the SPEC cannot be loaded (see `load_encoder`).
        SettingsError: `arch` has other weights. EncoderError: it does not accept images of `size` pixels.
    """
    assert config.start is not None
    encoder = start_encoder(config.start)
    with torch.random.fork_rng(devices=[]):  # weights that are overwritten must not change later random draws
        backbone, _ = build_backbone(arch, config.stem, size)
    try:
        backbone.load_state_dict(encoder.base.state_dict())
    except RuntimeError:
        raise SettingsError(
            f"The start '{config.start}' ({encoder.arch}) has different weights from arch '{arch}' with stem "
            f"'{config.stem}': give the start's architecture."
        ) from None
    if config.stem == "cifar":
        backbone.conv1.padding = encoder.base.conv1.padding  # type: ignore[union-attr]
    return backbone, count_features(backbone, arch, size)


def start_transform(config: TrainConfig) -> Transform:
    """Return the start's geometry and pixel statistics: those of the study if the regulariser names one."""
    assert config.start is not None
    if config.regularizer.study is not None:
        from core.store import Study

        return Study(config.regularizer.study).transform
    return start_encoder(config.start).transform


def square_side(transform: Transform, of: str) -> int:
    """Return the side of a square input view, pixels; `of` names whose view it is.

    Raises:
        EncoderError: it is not square, but training crops squares.
    """
    height, width = transform.sides
    if height != width:
        raise EncoderError(
            f"{of} has an input of {width} x {height} pixels, but training crops squares: use an encoder "
            "with a square input"
        )
    return height


def stem_of(encoder: Encoder) -> str:
    """Return `standard` or `cifar`, as in `TrainConfig.stem`.

    Raises:
        EncoderError: the stem is neither, so a rebuilt network would compute something else.
    """
    base = encoder.base
    first = getattr(base, "conv1", None)
    if not isinstance(first, nn.Conv2d):
        return "standard"
    pools = isinstance(getattr(base, "maxpool", None), nn.MaxPool2d)
    acts = not isinstance(getattr(base, "act1", getattr(base, "relu", None)), nn.Identity)
    cifar = first.kernel_size[0] == 3
    if pools == cifar or not acts:
        raise EncoderError(
            f"'{encoder.spec}' has non-standard first layers (layout {encoder.report.layout}); only ResNets "
            "with the usual ones, or a CIFAR stem without max-pool, can be fine-tuned."
        )
    return "cifar" if cifar else "standard"
