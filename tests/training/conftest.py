"""A tiny world to train on: coloured noise in two classes, held in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.training.config import TrainConfig, from_dict
from core.training.trainer import TrainingRun


class TinySource:
    """The part of an ImageSource that training uses: 64 train and 16 val images of 24 pixels.

    Every other pair of images is of another domain, which the class does not tell; it does not show.
    """

    def __init__(self, labels: bool = True):
        rng = np.random.default_rng(0)
        codes = np.arange(80) % 2
        tint = np.array([[200, 60, 60], [60, 60, 200]])[codes]
        noise = rng.normal(0, 40, (80, 24, 24, 3)) + rng.normal(0, 25, (80, 1, 1, 3))
        self.images = np.clip(tint[:, None, None] + noise, 0, 255).astype(np.uint8)
        self.table = pd.DataFrame(
            {
                "image_id": [f"{row}.png" for row in range(80)],
                "path": [f"{row}.png" for row in range(80)],
                "split": ["train"] * 64 + ["val"] * 16,
                "label": np.array(["red", "blue"])[codes] if labels else [None] * 80,
            }
        )

        self.extras = pd.DataFrame({"light": np.array(["day", "night"])[np.arange(80) // 2 % 2]})

    def read(self, row: int) -> Image.Image:
        return Image.fromarray(self.images[row])

    def fingerprint(self) -> str:
        return f"tiny{self.table['label'].notna().all()}"

    def describe(self) -> dict[str, Any]:
        return {"kind": "tiny"}


@pytest.fixture
def tiny_source(monkeypatch: pytest.MonkeyPatch) -> TinySource:
    """Makes `train` open the tiny world whatever `images` says."""
    source = TinySource()
    monkeypatch.setattr("core.training.setup.open_training_images", lambda config: source)
    return source


@pytest.fixture
def stopping_at(monkeypatch: pytest.MonkeyPatch):
    """`with stopping_at(5):` every training in it is interrupted, as by Ctrl-C, after five steps."""

    @contextmanager
    def stopping(step: int) -> Iterator[None]:
        real = TrainingRun.train_step

        def interrupted(run: TrainingRun) -> None:
            if run.step == step:
                raise KeyboardInterrupt
            real(run)

        with monkeypatch.context() as patch:
            patch.setattr(TrainingRun, "train_step", interrupted)
            yield

    return stopping


@pytest.fixture
def tiny_config(tmp_path: Path):
    """Settings of a training of seconds; keyword arguments change them."""

    def make(**changes: Any) -> TrainConfig:
        values = {
            "images": "tiny",
            "output": str(tmp_path / "encoder.safetensors"),
            "arch": "timm:test_resnet",
            "epochs": 2,
            "batch_size": 16,
            "lr": 1.0,
            "warmup_epochs": 0.5,
            "image_size": 24,
            "crop_size": 16,
            "head_hidden": 32,
            "head_out": 16,
            "monitor_every": 1,
            "device": "cpu",
            "workers": 1,
            "cache": str(tmp_path / "cache"),
        }
        return from_dict({**values, **changes})

    return make
