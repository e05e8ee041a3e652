"""The head that a training writes: rebuilt for every method, it gives what the training's own head gives."""

from __future__ import annotations

import json

import pytest
import torch
from torch.nn.functional import normalize

from core.errors import CheckpointError
from core.research.shortcuts_readout import load_head, unit_outputs
from core.training import files
from core.training.config import from_dict, lasting
from core.training.methods import METHODS, build_method
from core.training.penalty import head_of


def written(folder, method: str):
    """The head of a method around a backbone of 8 features, written as a training writes it."""
    small = {"head_hidden": 12, "head_out": 6, "objective": {"queue": 4, "prototypes": 5, "bottleneck": 4}}
    config = from_dict({"images": "x", "output": str(folder / "e.safetensors"), "method": method, **small})
    torch.manual_seed(0)
    built = build_method(method, torch.nn.Linear(3, 8), 8, config)
    out = folder / "e.safetensors"
    sidecar = {"settings": lasting(config), "images": "x"}
    files.export(out, built.backbone, sidecar, half=True, head=head_of(built))
    return out, head_of(built)


@pytest.mark.parametrize("method", METHODS)
def test_load_head__is_the_head_that_was_written(tmp_path, method):
    out, head = written(tmp_path, method)
    raw = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    loaded = load_head(out)
    assert head is not None and loaded is not None and not loaded.training
    expected = normalize(head.eval()(raw), dim=1)
    assert torch.allclose(unit_outputs(loaded, raw, at_once=2), expected, atol=1e-6)
    assert torch.allclose(expected.norm(dim=1), torch.ones(5))


def test_load_head__without_one_the_representation_itself(tmp_path):
    out, _ = written(tmp_path, "simclr")
    files.head_path(out).unlink()
    assert load_head(out) is None
    raw = torch.randn(3, 8)
    assert torch.allclose(unit_outputs(None, raw), normalize(raw, dim=1))


def test_load_head__refuses_the_head_of_another_training(tmp_path):
    out, _ = written(tmp_path, "simclr")
    sidecar = json.loads(files.sidecar_path(out).read_text())
    sidecar["settings"]["head_out"] = 7
    files.sidecar_path(out).write_text(json.dumps(sidecar))
    with pytest.raises(CheckpointError, match="training"):
        load_head(out)
    files.head_path(out).write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="training"):
        load_head(out)
