"""Folded networks: fewer operations, the same numbers; and what must not be folded."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from core.encoders.encoder import Encoder
from core.encoders.fast_inference import fold_batch_norms
from core.encoders.registry import load_encoder
from core.encoders.transform import Transform
from tests.encoders.planted import narrow_resnet, some_pixels

TRANSFORM = Transform(resize=72, input_size=64)


def with_statistics(model: nn.Module) -> nn.Module:
    """Planted running statistics and scales: those of a new network fold to nothing."""
    generator = torch.Generator().manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in ((module.running_mean, -1, 1), (module.running_var, 0.5, 2)):
                assert values is not None
                values.uniform_(low, high, generator=generator)
            if module.affine:
                module.weight.data.uniform_(0.5, 1.5, generator=generator)
                module.bias.data.uniform_(-0.5, 0.5, generator=generator)
    return model.eval()


def n_norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def folded(model: nn.Module, x: torch.Tensor) -> tuple[int, torch.Tensor, torch.Tensor]:
    before = model(x)
    n = fold_batch_norms(model, x, lambda: [model(x)])
    return n, before, model(x)


def test_by_hand():
    model: Any = with_statistics(nn.Sequential(nn.Conv2d(3, 4, 3, bias=True), nn.BatchNorm2d(4, eps=1e-3)))
    convolution, norm = model[0], model[1]
    expected = torch.empty_like(convolution.weight)
    for channel in range(4):
        scale = norm.weight[channel] / (norm.running_var[channel] + 1e-3).sqrt()
        expected[channel] = convolution.weight[channel] * scale
    n, before, after = folded(model, torch.randn(2, 3, 8, 8))
    assert n == 1 and isinstance(model[1], nn.Identity)
    assert_close(model[0].weight.data, expected.data)
    assert_close(after, before)


@pytest.mark.parametrize("groups, bias, affine", [(1, False, True), (4, True, True), (1, True, False)])
def test_groups_biases_and_norms_without_weights(groups, bias, affine):
    model = nn.Sequential(nn.Conv2d(4, 8, 3, groups=groups, bias=bias), nn.BatchNorm2d(8, affine=affine))
    n, before, after = folded(with_statistics(model), torch.randn(2, 4, 8, 8))
    assert n == 1
    assert_close(after, before)


class TwiceRead(nn.Module):
    """What the convolution returns is added to what the normalisation makes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        x = self.conv(x)
        return x + self.norm(x)


class Shared(nn.Module):
    """One convolution before two normalisations, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.second(self.conv(self.first(self.conv(x))))


class Standardised(nn.Conv2d):
    """Its weights are not used as they are."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return nn.functional.conv2d(x, weight, self.bias)


@pytest.mark.parametrize(
    "model",
    [TwiceRead(), Shared(), nn.Sequential(Standardised(3, 3, 3), nn.BatchNorm2d(3))],
    ids=lambda m: type(m).__name__,
)
def test_what_must_stay(model):
    state = {name: value.clone() for name, value in with_statistics(model).state_dict().items()}
    n, before, after = folded(model, torch.randn(2, 3, 8, 8))
    assert n == 0
    assert_close(after, before, rtol=0, atol=0)
    assert_close(dict(model.state_dict()), state, rtol=0, atol=0)


def test_a_map_before_the_normalisation__stays():
    """The layer whose map is read ends in the convolution."""
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 1)),
        nn.BatchNorm2d(8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    encoder = Encoder(with_statistics(model), TRANSFORM, arch="test", layer="0")
    before = encoder.represent_with_map(some_pixels(64))
    assert encoder.fold() == 0
    assert_close(encoder.represent_with_map(some_pixels(64)), before, rtol=0, atol=0)


def test_an_encoder_gives_the_same_numbers():
    model = with_statistics(narrow_resnet())
    encoder = Encoder(model, TRANSFORM, arch="test")
    print_before, before = encoder.fingerprint, encoder.represent_with_map(some_pixels(64))
    n = n_norms(model)
    assert encoder.fold() == n and n_norms(model) == 0
    assert encoder.fingerprint == print_before and encoder.fold() == 0
    for one, other in zip(encoder.represent_with_map(some_pixels(64)), before, strict=True):
        assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    ["asset:efficientnet_lite0", "timm:mobilenetv3_small_100", "timm:regnetx_002", "asset:simclr_glyphworld"],
)
def test_networks_of_libraries(spec, one_thread):
    encoder = load_encoder(spec)
    with_statistics(encoder.base)
    height, width = encoder.transform.sides
    pixels = torch.randint(0, 255, (2, height, width, 3), dtype=torch.uint8)
    before = encoder.represent_with_map(pixels)
    assert encoder.fold() > 10
    for one, other in zip(encoder.represent_with_map(pixels), before, strict=True):
        assert float((one - other).abs().max() / other.abs().max()) < 1e-4
