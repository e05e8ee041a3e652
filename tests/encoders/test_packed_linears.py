"""Linear layers by another library: the same numbers, and only where it is faster and does not round."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from core.encoders import fast_inference
from core.encoders.encoder import Encoder
from core.encoders.fast_inference import onednn_is_faster, pack_linears
from core.encoders.registry import load_encoder
from tests.encoders.planted import some_pixels


@pytest.fixture
def timed(monkeypatch):
    """Set how many times as long the plain product takes; products are counted."""

    def take(ratio: float) -> list[bool]:
        products: list[bool] = []

        def seconds(product, x):
            products.append(isinstance(product, nn.Linear))
            return ratio if products[-1] else 1.0

        monkeypatch.setattr(fast_inference, "_seconds", seconds)
        return products

    onednn_is_faster.cache_clear()
    yield take
    onednn_is_faster.cache_clear()


def test_it_is_tried_once_in_turn_and_taken_where_it_is_faster(timed):
    products = timed(1.3)
    assert onednn_is_faster() and onednn_is_faster()
    assert products == [True, False] * fast_inference.N_TRIES


def test_a_little_faster_may_be_chance(timed):
    timed(1.1)
    model = nn.Sequential(nn.Linear(4, 4))
    assert pack_linears(model) == 0 and "forward" not in vars(model[0])


def test_a_product_that_rounds_is_not_taken(timed, monkeypatch):
    timed(9.0)
    plain = fast_inference._by_onednn
    rounded = lambda linear, packed, x: plain(linear, packed, x.bfloat16().float())  # noqa: E731
    monkeypatch.setattr(fast_inference, "_by_onednn", rounded)
    assert not onednn_is_faster()


def test_a_torch_without_it_goes_on_as_before(timed, monkeypatch):
    def lacks(_linear: nn.Linear) -> torch.Tensor:
        raise AttributeError("no such operator")

    timed(9.0)
    monkeypatch.setattr(fast_inference, "_packed", lacks)
    assert pack_linears(nn.Linear(4, 4)) == 0


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 3), (7, 5, 3), (0, 3)], ids=str)
def test_products_are_those_of_the_plain_layer(bias, shape, timed):
    timed(9.0)
    model = nn.Sequential(nn.Linear(3, 8, bias=bias), nn.ReLU(), nn.Linear(8, 2)).requires_grad_(False)
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0))
    before, names = model(x), list(model.state_dict())
    assert pack_linears(model) == 2
    assert_close(model(x), before, rtol=1e-5, atol=1e-6)
    assert list(model.state_dict()) == names and type(model[0]) is nn.Linear
    with torch.autocast("cpu", torch.bfloat16):
        assert model(x).dtype == torch.bfloat16


def test_a_network_may_name_the_input_of_its_layers(timed):
    timed(9.0)
    linear, x = nn.Linear(3, 2).requires_grad_(False), torch.ones(4, 3)
    before = linear(x)
    assert pack_linears(linear) == 1
    assert_close(linear(input=x), before, rtol=1e-5, atol=1e-6)


def test_gradients_flow_through_it(timed):
    timed(9.0)
    linear = nn.Linear(3, 2).requires_grad_(False)
    x = torch.randn(4, 3, requires_grad=True)
    pack_linears(linear)
    (gradient,) = torch.autograd.grad(linear(x).sum(), x)
    assert_close(gradient, linear.weight.sum(0).expand(4, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224?img_size=64", "test_convnext"])
def test_a_network_gives_the_same_representations(name, timed):
    timed(9.0)
    encoder: Encoder = load_encoder(f"timm:{name}", input_size=64, resize=64)
    pixels = some_pixels(64)
    before = encoder.represent(pixels)
    encoder.fold()
    assert any("forward" in vars(module) for module in encoder.base.modules())
    assert_close(encoder.represent(pixels), before, rtol=0, atol=1e-5 * float(before.abs().max()))
