"""Weights that a file holds in parts are what torch's own modules compute with."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune

from core.encoders.registry import load_encoder
from core.encoders.stored_weights import as_used
from core.errors import CheckpointError
from tests.encoders.planted import narrow_resnet

MAKERS: dict[str, Callable[[nn.Module], object]] = {
    "pruned": lambda module: prune.l1_unstructured(module, "weight", 0.5),
    "weight_norm": lambda module: parametrizations.weight_norm(module),
    "weight_norm of old": lambda module: nn.utils.weight_norm(module),
    "weight_norm of another dimension": lambda module: nn.utils.weight_norm(module, dim=1),
    "weight_norm of all": lambda module: nn.utils.weight_norm(module, dim=None),  # pyright: ignore[reportArgumentType]
    "spectral_norm": lambda module: parametrizations.spectral_norm(module),
    "spectral_norm of old": lambda module: nn.utils.spectral_norm(module),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("layer", [nn.Linear(6, 4), nn.Conv2d(3, 4, 3)], ids=["linear", "conv"])
def test_as_used__gives_the_weights_that_the_module_computes_with(name, layer):
    torch.manual_seed(0)
    module = type(layer)(*((6, 4) if isinstance(layer, nn.Linear) else (3, 4, 3)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        MAKERS[name](module)
    x = torch.randn(3, 6) if isinstance(layer, nn.Linear) else torch.randn(2, 3, 5, 5)
    with torch.no_grad():
        module.train()(x)
        expected = module.eval()(x)
    used = as_used({f"a.{key}": one for key, one in module.state_dict().items()})
    assert set(used) == {"a.weight", "a.bias"}
    layer.load_state_dict({key.removeprefix("a."): one for key, one in used.items()})
    with torch.no_grad():
        torch.testing.assert_close(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_as_used__other_tensors_stay_as_they_are_and_unknown_parametrizations_are_refused():
    plain = {"attn.to_v": torch.ones(2), "token_mask": torch.ones(2), "weight": torch.ones(2, 2)}
    assert as_used(plain) == plain
    linear = nn.Linear(3, 3)
    parametrize.register_parametrization(linear, "weight", nn.Softplus())
    with pytest.raises(CheckpointError, match="parametrizations.weight.original' is a parametrization"):
        as_used(linear.state_dict())


def test_a_pruned_encoder_with_its_classifier_is_read(tmp_path):
    torch.manual_seed(0)
    network = narrow_resnet()
    torch.save(network.state_dict(), tmp_path / "before.pth")
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            prune.l1_unstructured(module, "weight", 0.5)
    torch.save(network.state_dict(), tmp_path / "pruned.pth")
    encoder = load_encoder(str(tmp_path / "pruned.pth"), input_size=32)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(encoder.model(x), network.eval()(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("alone", [True, False])
def test_adapters_that_are_not_merged_are_refused_with_the_way_out(alone, tmp_path):
    state = {"base_model.model.fc.lora_A.default.weight": torch.ones(2, 8)}
    state |= {} if alone else {"base_model.model.fc.base_layer.weight": torch.ones(8, 8)}
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match="merge_and_unload") as error:
        load_encoder(str(tmp_path / "net.pth"))
    assert ("alone" in str(error.value)) == alone
