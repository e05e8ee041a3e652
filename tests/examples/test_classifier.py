"""The example of the README writes a checkpoint that torchvision's own network loads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

from examples import classifier


@pytest.mark.slow
def test_the_example_writes_a_bare_state_dict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier, "EPOCHS", 1)
    rng = np.random.default_rng(0)
    for label in ("bird", "boat", "dog"):
        folder = tmp_path / "train" / label
        folder.mkdir(parents=True)
        for number in range(30):
            pixels = rng.integers(0, 255, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:02}.png")
    threads = torch.get_num_threads()
    try:
        classifier.main(["--images", str(tmp_path / "train"), "-o", str(tmp_path / "fc.pth")])
    finally:
        torch.set_num_threads(threads)
    state = torch.load(tmp_path / "fc.pth", weights_only=True)
    assert state["fc.weight"].shape == (3, 512)
    assert resnet18(num_classes=3).load_state_dict(state).missing_keys == []
