"""The small vision transformer of configs/vit_glyphworld.toml: trained a few steps, read in two ways."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.analysis.gradcam import gradcam_maps
from core.common.assets import configs_folder
from core.encoders.registry import load_encoder
from core.training.config import read_config
from core.training.trainer import train


@pytest.mark.slow
def test_the_transformer_trains_and_is_read_by_its_tokens(tmp_path):
    changes = {"images": "glyphworld?train=16&val=16&seed=0", "epochs": 1, "batch_size": 8}
    changes |= {"output": str(tmp_path / "vit.safetensors"), "cache": str(tmp_path / "cache")}
    config = read_config(
        configs_folder() / "vit_glyphworld.toml", device="cpu", workers=1, monitor_every=1, **changes
    )
    weights = train(config)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3)).astype(np.uint8))
    read = {tokens: load_encoder(str(weights), tokens=tokens, device="cpu") for tokens in ("cls", "mean")}
    raw = {tokens: encoder.represent(pixels) for tokens, encoder in read.items()}
    assert raw["cls"].shape == raw["mean"].shape == (2, 192)
    assert not torch.allclose(raw["cls"], raw["mean"], rtol=0.1)
    begun = load_encoder(config.arch, input_size=96, device="cpu").represent(pixels)
    assert not torch.allclose(begun, raw["cls"], rtol=0.1)  # the weights are those of the training
    maps = gradcam_maps(read["mean"], pixels, [0, 1, 2])
    assert maps.shape == (2, 3, 8, 8) and maps.max() > 0
