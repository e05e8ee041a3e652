"""Find the layer that provides an encoder's maps, and capture its output."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from core.errors import EncoderError, did_you_mean

RTOL, ATOL = 1e-3, 1e-4  # channels_last and NCHW sum a map in different orders


@dataclass
class Captured:
    """The output of a layer in the last forward pass."""

    output: Tensor | None = None


@contextmanager
def capture(module: nn.Module, convert: Callable[[Tensor], Tensor] = torch.clone) -> Iterator[Captured]:
    """Record a layer's output while the block runs; the hook is always removed at the end.

    Args:
        convert: applied to the output at once, because later in-place operations may overwrite it.
    """
    captured = Captured()

    def keep(_module: nn.Module, _inputs: object, output: object) -> None:
        captured.output = convert(output) if isinstance(output, Tensor) else None

    handle = module.register_forward_hook(keep)
    try:
        yield captured
    finally:
        handle.remove()


class LayerPool(nn.Module):
    """A model whose representation is the average-pooled (ReLU'd, for CNNs) map of an inner layer.

    Attributes:
        pooled_map: the module whose output is the map that is averaged. Grad-CAM looks there: at the layer
            itself, the ReLU after it would give each channel the share of its positive positions as a factor.
    """

    def __init__(self, base: nn.Module, layer: str, family: str) -> None:
        super().__init__()
        self.base = base
        self.layer = layer
        self.family = family
        self.pooled_map = nn.ReLU() if family == "cnn" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_with_map(x).mean(dim=(2, 3))

    def forward_with_map(self, x: Tensor) -> Tensor:
        """(B, C, h, w) map of the layer, after ReLU for CNNs."""
        with capture(find_layer(self.base, self.layer)) as captured:
            self.base(x)
        return self.pooled_map(as_map(captured.output, self.layer, self.base, self.family))


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Return a layer by its dotted name.

    Raises:
        EncoderError: there is no such layer; the message names the closest ones.
    """
    names = [known for known, _ in model.named_modules() if known]
    if name not in names:
        tops = ", ".join(known for known in names if known.count(".") == 0)
        near = difflib.get_close_matches(name, names, n=5)[1:]
        others = f" Near it: {', '.join(near)}." if near else ""
        raise EncoderError(
            f"the encoder has no layer '{name}'.{did_you_mean(name, names)}{others} Its parts: {tops}"
        )
    return model.get_submodule(name)


def is_transformer(model: nn.Module) -> bool:
    """Return True for networks over patch tokens: those of timm and torchvision, or named like them."""
    return hasattr(model, "patch_embed") or type(model).__name__ in ("VisionTransformer", "SwinTransformer")


def as_map(output: Tensor | None, name: str, model: nn.Module, family: str) -> Tensor:
    """Convert a layer's output to a map (B, C, h, w); tokens (B, T, C) of a transformer go on their grid.

    Raises:
        EncoderError: the output is not a map.
    """
    if output is None:
        raise EncoderError(f"the layer '{name}' returns no tensor in a forward pass; choose another layer")
    if output.ndim == 4:
        # some transformers keep channels last; the inputs are square, so the two equal sides are h and w
        last = family == "vit" and output.shape[1] == output.shape[2] != output.shape[3]
        return output.permute(0, 3, 1, 2) if last else output
    if output.ndim == 3 and family == "vit":
        n_prefix = getattr(model, "num_prefix_tokens", 1 if hasattr(model, "class_token") else 0)
        side = math.isqrt(max(output.shape[1] - n_prefix, 0))
        if side and side * side == output.shape[1] - n_prefix:
            tokens = output[:, n_prefix:].transpose(1, 2)  # (B, C, T)
            return tokens.reshape(*tokens.shape[:2], side, side)
        raise EncoderError(
            f"the output of layer '{name}' is not a map: tokens {tuple(output.shape)} form no square grid "
            f"after {n_prefix} prefix tokens, and no other reshape is known; choose another layer or encoder"
        )
    raise EncoderError(
        f"the output of layer '{name}' is not a map: its shape is {tuple(output.shape)}, not "
        "(images, channels, h, w); choose a convolutional layer, such as the default"
    )


def default_layer(model: nn.Module, family: str, x: Tensor) -> str:
    """Choose the default layer for maps: a CNN's last stage, or the first norm of a transformer's last block.

    For a CNN: the last layer whose map averages to the representation or, if there is none, the last map.
    Raises:
        EncoderError: no layer returns a map.
    """
    if family == "vit":
        for pattern in ("blocks.{}.norm1", "encoder.layers.encoder_layer_{}.ln_1"):
            names = {name for name, _ in model.named_modules()}
            depth = next((n for n in range(1000) if pattern.format(n) not in names), 0)
            if depth:
                return pattern.format(depth - 1)
    matching, maps = _maps_in_order(model, x)
    name = (matching or maps or [""])[-1]
    if not name:
        raise EncoderError("no layer of the encoder returns a map (images, channels, h, w)")
    while isinstance(layer := model.get_submodule(name), nn.Sequential) and len(layer):
        name = f"{name}.{list(dict(layer.named_children()))[-1]}"
    return name


def averages_to(map_: Tensor, raw: Tensor) -> bool:
    """Return True when the mean of a map over its pixels equals the representation."""
    mean = map_.float().mean(dim=(2, 3))
    return mean.shape == raw.shape and torch.allclose(mean, raw.float(), rtol=RTOL, atol=ATOL * _scale(raw))


def _scale(raw: Tensor) -> float:
    return max(float(raw.abs().max()), 1e-6)


def _maps_in_order(model: nn.Module, x: Tensor) -> tuple[list[str], list[str]]:
    """Return the layers with maps larger than one pixel, in execution order: those that match, and all."""
    means: list[tuple[str, Tensor]] = []

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] > 1:
                means.append((name, output.float().mean(dim=(2, 3))))

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in model.named_modules() if name]
    try:
        raw = model(x)
    finally:
        for handle in handles:
            handle.remove()
    matching = [name for name, mean in means if averages_to(mean[:, :, None, None], raw)]
    return matching, [name for name, _ in means]
