"""Networks of timm that transformers trained."""

from __future__ import annotations

import json
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from core.encoders.head import Head
from core.encoders.registry import load_encoder
from core.errors import CheckpointError

NAMES = ["elk", "cat", "tench"]
CONFIG: dict[str, Any] = {
    "architecture": "vit_tiny_patch16_224", "model_type": "timm_wrapper", "num_classes": 3,
    "architectures": ["TimmWrapperForImageClassification"], "label_names": NAMES,
    "model_args": {"img_size": 32, "embed_dim": 32, "depth": 1, "num_heads": 2, "global_pool": "avg"},
    "pretrained_cfg": {
        "input_size": [3, 32, 32], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4], "crop_pct": 0.8,
        "interpolation": "bicubic", "crop_mode": "center",
    },
}  # fmt: skip


def test_a_network_of_timm_that_transformers_trained(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model(CONFIG["architecture"], num_classes=3, **CONFIG["model_args"]).eval()
    save_file(
        {f"timm_model.{key}": one for key, one in model.state_dict().items()}, tmp_path / "model.safetensors"
    )
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    encoder = load_encoder(str(tmp_path))
    transform = encoder.transform
    assert (transform.resize, transform.input_size, transform.interpolation) == (40, 32, "bicubic")
    assert (transform.mean, transform.std) == (
        (0.4, 0.5, 0.6),
        (0.2, 0.3, 0.4),
    ) and encoder.normalisation_stated
    head = encoder.find_head()
    assert isinstance(head, Head) and head.names == [[name] for name in NAMES]
    x = torch.randn(2, 3, 32, 32)
    with head.reading(encoder.base) as logits:
        encoder.model(x)
        assert_close(logits(), model(x), rtol=1e-4, atol=1e-4)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "timm_wrapper"}))
    with pytest.raises(CheckpointError, match="architecture"):
        load_encoder(str(tmp_path))
