"""Build untrained backbones: torchvision and timm classifiers without their classification layer."""

from typing import Any

import timm
import torch
import torchvision
from torch import Tensor, nn

from core.encoders.spec import Spec, parse_spec
from core.encoders.trusted_code import check_arguments
from core.errors import EncoderError, did_you_mean, first_line


def parse_arch(arch: str) -> Spec:
    """Parse the SPEC of an untrained network; a bare name is torchvision's.

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
        use_cifar_stem(model, arch)
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


def use_cifar_stem(model: nn.Module, arch: str) -> None:
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
    """Return the length of the network's output for an image of `size` pixels. Raises EncoderError."""
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
