"""Backbones in mixed precision: gradients are right where maps are smaller than a convolution's stride."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from core.training.backbones import ExactConv2d, build_backbone

SETTINGS = {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False}


def gradient(layer: nn.Conv2d, pixels: torch.Tensor, *, half: bool) -> torch.Tensor:
    """The gradient of the filters in memory that held NaN before."""
    layer.zero_grad()
    junk = [torch.full((layer.weight.numel(),), torch.nan) for _ in range(8)]
    del junk
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        out = layer(pixels)
    out.float().square().sum().backward()
    assert layer.weight.grad is not None
    return layer.weight.grad.clone()


@pytest.mark.parametrize("sides", [(1, 1), (2, 1), (4, 4)], ids=str)
def test_exact_conv2d__bf16_gradients_are_close_to_fp32(sides):
    torch.manual_seed(0)
    layer = ExactConv2d(96, 96, **SETTINGS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for _ in range(5):
        pixels = torch.randn(32, 96, *sides).contiguous(memory_format=torch.channels_last)
        exact, half = (gradient(layer, pixels, half=half) for half in (False, True))
        assert (half - exact).abs().max() <= 0.05 * exact.abs().max()
        if sides == (1, 1):  # the filter's corners and edges see padding only
            assert not half[:, :, 0].any() and not half[:, :, :, 2].any()


def test_build_backbone__every_plain_convolution_is_exact():
    torch.manual_seed(0)
    model, n_features = build_backbone("timm:test_resnet", "standard", 16)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert layers and {type(layer) for layer in layers} == {ExactConv2d}
    assert model(torch.zeros(1, 3, 16, 16)).shape == (1, n_features)


def test_exact_conv2d__outside_mixed_precision_keeps_the_type():
    layer = ExactConv2d(3, 2, **SETTINGS).double()
    assert layer(torch.ones(1, 3, 1, 1, dtype=torch.float64)).dtype == torch.float64
