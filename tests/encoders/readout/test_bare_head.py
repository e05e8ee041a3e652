"""A classifier in a bare checkpoint, whose network is known by its keys alone: compared with a library's."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from core.encoders.readout.head import Head
from core.encoders.registry import load_encoder
from tests.answers.test_head import same_logits, trained
from tests.encoders.planted import narrow_resnet


def saved(model: nn.Module, folder: Any, classifier: str) -> str:
    """The weights as Lightning saves a backbone with a classifier beside it."""
    state = {
        f"model.{key}" if key.startswith(classifier) else f"model.backbone.{key}": tensor
        for key, tensor in model.state_dict().items()
    }
    torch.save({"state_dict": state}, folder / "net.ckpt")
    return str(folder / "net.ckpt")


@pytest.mark.parametrize(
    ("name", "tokens"), [("resnet18", None), ("vit_tiny_patch16_224", None), ("vit_tiny_patch16_224", "mean")]
)
def test_logits_are_those_of_the_whole_network(name, tokens, tmp_path):
    if name == "resnet18":
        model = trained(torchvision.models.get_model(name, num_classes=5))
    else:
        model = trained(timm.create_model(name, num_classes=5, depth=1))
    path = saved(model, tmp_path, "fc." if name == "resnet18" else "head.")
    encoder = load_encoder(path, tokens=tokens)
    head = encoder.find_head()
    assert isinstance(head, Head) and not head.unchecked
    assert (head.linear is not None) == (tokens is None)
    x = torch.randn(2, 3, *encoder.transform.sides, generator=torch.Generator().manual_seed(2))
    with torch.no_grad(), head.reading(encoder.base) as logits:
        encoder.model(x)
        same_logits(logits(), model(x))


def test_a_network_that_no_library_has_is_told(tmp_path):
    model = narrow_resnet()
    model.set_submodule("fc", classifier := nn.Linear(64, 5))
    nn.init.normal_(classifier.weight, std=0.4)
    head = load_encoder(saved(model, tmp_path, "fc.")).find_head()
    assert isinstance(head, Head) and head.unchecked and head.linear is not None
