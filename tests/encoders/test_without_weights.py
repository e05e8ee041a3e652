"""Networks by names and shapes alone: those of the network with weights, and no compiler for them."""

from __future__ import annotations

import subprocess
import sys

import pytest
import timm
import torch

from core.encoders.architectures import without_weights

NAMES = ["tf_efficientnet_lite0", "test_vit", "test_convnext", "resnet10t", "test_byobnet"]
LOADED = """
import sys
from core.encoders.registry import load_encoder
load_encoder("asset:efficientnet_lite0")
assert "torch._dynamo" not in sys.modules and "sympy" not in sys.modules
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_state__has_the_names_and_shapes_of_the_network(name):
    with without_weights():
        state = timm.create_model(name).state_dict()
    expected = timm.create_model(name).state_dict()
    assert {key: value.shape for key, value in state.items()} == {
        key: value.shape for key, value in expected.items()
    }
    assert all(value.device.type == "meta" for value in state.values())


def test_weights__are_drawn_as_ever_afterwards():
    with without_weights():
        shape = torch.nn.Linear(3, 2).weight
    assert shape.is_meta and float(torch.nn.Linear(3, 2).weight.detach().std()) > 0


@pytest.mark.slow
def test_encoder__is_loaded_without_the_compiler():
    ended = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
