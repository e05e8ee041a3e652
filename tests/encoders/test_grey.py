"""Networks of one channel give of a picture in colours what they give of the picture in grey."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from core.encoders.registry import load_encoder
from tests.answers.test_head import trained
from tests.sentences import as_record


@pytest.mark.parametrize(
    ("name", "spec"),
    [("resnet18", "{}"), ("resnet10t", "timm:resnet10t@{}"), ("resnet10t", "timm:resnet10t?in_chans=1@{}")],
)
def test_a_network_of_one_channel_reads_grey(name, spec, tmp_path):
    torch.manual_seed(0)
    model = trained(timm.create_model(name, in_chans=1, num_classes=0))
    torch.save(model.state_dict(), tmp_path / "net.pth")
    half: dict[str, Any] = {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    encoder = load_encoder(spec.format(tmp_path / "net.pth"), input_size=32, resize=32, **half)
    assert [as_record(one).kind for one in encoder.assumptions].count("one_channel") == 1
    colours = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    grey = np.array(Image.fromarray(colours).convert("L"))
    with torch.no_grad():
        theirs = model((torch.from_numpy(grey).float()[None, None] / 255 - 0.5) / 0.5)
        ours = encoder.represent(torch.from_numpy(colours)[None])
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-2  # grey is rounded to 8 bits
    same = np.repeat(grey[:, :, None], 3, 2)
    with torch.no_grad():
        of_grey = encoder.represent(torch.from_numpy(same)[None])
    assert float((of_grey - theirs).norm() / theirs.norm()) < 1e-4
