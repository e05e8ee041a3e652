from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.evidence import supervised
from core.encoders.registry import load_encoder
from core.errors import SettingsError
from core.training.files import resume_path


def folder_of(path, *, labelled: bool = True):
    """Eighty red and eighty blue noisy images, a fifth of them for evaluation."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 64), ("val", 16)):
        for name, channel in (("red", 0), ("blue", 2)):
            home = path / split / name if labelled else path
            home.mkdir(parents=True, exist_ok=True)
            for number in range(n):
                pixels = rng.integers(0, 120, (32, 32, 3), np.uint8)
                pixels[..., channel] += 100
                Image.fromarray(pixels).save(home / f"{split}{name}{number}.png")
    return path


def test_shifted_and_flipped__is_the_loop_over_pixels():
    images = torch.rand(5, 3, 8, 8)
    found = supervised.shifted_and_flipped(images, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    top, left = torch.randint(0, 9, (2, 5), generator=generator).tolist()
    flipped = (torch.rand(5, generator=generator) < 0.5).tolist()

    def mirrored(at: int) -> int:
        return -at if at < 0 else 14 - at if at > 7 else at

    for n in range(5):
        for y in range(8):
            for x in range(8):
                seen = 7 - x if flipped[n] else x
                source = images[n, :, mirrored(y + top[n] - 4), mirrored(seen + left[n] - 4)]
                assert torch.equal(found[n, :, y, x], source)
    assert 0 < sum(flipped) < 5 and len(set(top + left)) > 3


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(supervised, "ARCH", "timm:resnet18?channels=(4,4,8,8)")
    monkeypatch.setattr(supervised, "BATCH", 16)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.slow
def test_train__stopped_goes_on_to_the_same_weights_that_analyze_reads(small, tmp_path, monkeypatch):
    images = str(folder_of(tmp_path / "images"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    whole, parts = tmp_path / "whole.safetensors", tmp_path / "parts.safetensors"
    accuracy = supervised.train(images, whole, epochs=3, seed=0, workers=1)
    assert accuracy > 0.9

    one_epoch, done = supervised.Training.one_epoch, []

    def stops(self, bar):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return one_epoch(self, bar)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(supervised.Training, "one_epoch", stops)
        supervised.train(images, parts, epochs=3, seed=0, workers=1)
    assert resume_path(parts).exists() and not parts.exists()
    with pytest.raises(SettingsError, match="other settings"):
        supervised.train(images, parts, epochs=4, seed=0, workers=1)
    assert supervised.train(images, parts, epochs=3, seed=0, workers=1) == accuracy
    assert whole.read_bytes() == parts.read_bytes()
    assert load_encoder(str(whole)).n_features == 8


def test_train__needs_labels(small, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = folder_of(tmp_path / "flat", labelled=False)
    with pytest.raises(SettingsError, match="labels"):
        supervised.train(str(images), tmp_path / "x.safetensors", epochs=1, seed=0, workers=1)
