"""Backbones of a training: untrained ones, and existing encoders to start from."""

from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn

from core.encoders.registry import Encoder, load_encoder
from core.encoders.spec import Spec, parse_spec
from core.encoders.transform import Transform
from core.encoders.trusted_code import check_arguments
from core.errors import EncoderError, SettingsError, did_you_mean, first_line
from core.training.config import TrainConfig

# Build untrained backbones: torchvision and timm classifiers without their classification layer.


def parse_arch(arch: str) -> Spec:
    """Parse the SPEC of an untrained network to train; a bare name is torchvision's.

    >>> parse_arch("timm:resnet18?output_stride=16").arguments, parse_arch("resnet18").family
    ({'output_stride': 16}, 'torchvision')
    """
    return parse_spec(arch if ":" in arch else f"torchvision:{arch}")


def build_backbone(arch: str, stem: str = "standard", size: int = 64) -> tuple[nn.Module, int]:
    """Build a randomly initialised network from images to (B, n_features); return it and n_features.

    Raises:
        SettingsError: not a SPEC. EncoderError: unknown network, or one that does not turn images of `size`
            pixels into vectors.
        CodeRefused: an argument may name a file or an address.
    """
    spec = parse_arch(arch)
    if spec.family not in ("timm", "torchvision"):
        raise EncoderError(f"'{arch}': only timm:NAME and torchvision:NAME can be trained.")
    model = _timm(spec) if spec.family == "timm" else _torchvision(spec)
    if stem == "cifar":
        _use_cifar_stem(model, arch)
    for layer in model.modules():
        if type(layer) is nn.Conv2d:
            layer.__class__ = ExactConv2d  # the same weights and settings
    return model, count_features(model, arch, size)


class ExactConv2d(nn.Conv2d):
    """A convolution that leaves mixed precision where the CPU's kernels are wrong.

    On maps that are smaller than the stride, such as one pixel, some weights of a filter meet padding only.
    Their gradient is 0, but oneDNN's bfloat16 kernels leave whatever was in memory there, often NaN.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        small = any(side < stride for side, stride in zip(input.shape[-2:], self.stride, strict=True))
        if not (small and input.device.type == "cpu" and torch.is_autocast_enabled("cpu")):
            return super()._conv_forward(input, weight, bias)
        with torch.autocast("cpu", enabled=False):
            return super()._conv_forward(input.float(), weight, bias)


def _use_cifar_stem(model: nn.Module, arch: str) -> None:
    """Use a 3x3 first convolution with stride 1 and padding 1, without max-pool: for images of 32 pixels."""
    first = getattr(model, "conv1", None)
    if not isinstance(first, nn.Conv2d) or not hasattr(model, "maxpool"):
        raise EncoderError(f"'{arch}' has no conv1 and maxpool, so stem = 'cifar' does not apply.")
    model.conv1 = nn.Conv2d(first.in_channels, first.out_channels, 3, 1, 1, bias=False)
    nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model.maxpool = nn.Identity()


def _timm(spec: Spec) -> nn.Module:
    if spec.name not in timm.list_models():
        raise EncoderError(f"timm has no model '{spec.name}'.{did_you_mean(spec.name, timm.list_models())}")
    return _call(timm.create_model, spec, {"pretrained": False, "num_classes": 0})


def _torchvision(spec: Spec) -> nn.Module:
    names = torchvision.models.list_models(module=torchvision.models)
    if spec.name not in names:
        raise EncoderError(f"torchvision has no model '{spec.name}'.{did_you_mean(spec.name, names)}")
    model = _call(torchvision.models.get_model, spec, {"weights": None})
    for head in ("fc", "classifier", "heads", "head"):
        if hasattr(model, head):
            setattr(model, head, nn.Identity())
            return model
    raise EncoderError(f"torchvision's '{spec.name}' has no classifier that can be removed.")


def _call(factory: Any, spec: Spec, ours: dict[str, Any]) -> nn.Module:
    """Call a factory with the arguments of a config, which may be a stranger's, and those that training sets.

    Raises:
        CodeRefused: an argument names a file or an address, and the owner has not named it.
    """
    check_arguments(spec)
    if taken := sorted(set(ours) & set(spec.arguments)):
        raise EncoderError(
            f"'{taken[0]}' cannot be given in '{spec.arch}': training begins with random weights, or with "
            "those of start = SPEC"
        )
    try:
        return factory(spec.name, **ours, **spec.arguments)
    except (TypeError, ValueError, OSError, NotImplementedError, RuntimeError, AssertionError) as reason:
        raise EncoderError(
            f"Cannot build '{spec.name}' with {spec.arguments}: {first_line(reason)}"
        ) from None


@torch.no_grad()
def count_features(model: nn.Module, arch: str, size: int) -> int:
    """Return the length of a trained network's output for images of `size` pixels. Raises EncoderError."""
    try:
        raw = model.eval()(torch.zeros(1, 3, size, size))
    except (RuntimeError, AssertionError, ValueError) as reason:
        raise EncoderError(
            f"'{arch}' does not accept images of {size} pixels, as used by this training "
            f"({str(reason).splitlines()[0]}). timm's transformers need ?dynamic_img_size=True."
        ) from None
    if raw.ndim != 2:
        raise EncoderError(f"'{arch}' returns {tuple(raw.shape[1:])} per image; training needs one vector.")
    return raw.shape[1]


# Start a training from an existing encoder: any SPEC of the registry, strictly loaded.


def _start_encoder(spec: str) -> Encoder:
    """Load the encoder that a training starts from on the CPU without drawing random numbers."""
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
    encoder = _start_encoder(config.start)
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
    return _start_encoder(config.start).transform


def square_side(transform: Transform, of: str) -> int:
    """Return the side of a square input view that training reads, pixels; `of` names whose view it is.

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
    """Return the stem of an encoder that training starts from: `standard` or `cifar`.

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
