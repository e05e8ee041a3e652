"""The pictures of augmentations against what training computes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image

from core.errors import SettingsError
from core.training import augment, preview
from core.training.augment import ViewParameters, apply_views
from core.training.augmentation_config import AugmentConfig


def draw(image: np.ndarray, name: str, seed: int = 0, **values: float) -> np.ndarray:
    shown_preview = preview.previews()[name]
    defaults = {slider.name: slider.default for slider in shown_preview.sliders}
    return shown_preview.draw(image, defaults | values, np.random.default_rng(seed))


@pytest.fixture
def image(rng) -> np.ndarray:
    return rng.random((12, 12, 3))


def as_training(image: np.ndarray, **changes) -> np.ndarray:
    """The image through `apply_views` with given parameters; pixels are rounded to bytes there."""
    none = torch.zeros(1)
    usual = {
        "box": torch.tensor([[0.0, 0.0, 12.0, 12.0]]),
        "flip": none.bool(),
        "sigma": none,
        "colour": torch.eye(3)[None],
        "contrast": none + 1,
    }
    pixels = torch.from_numpy((image * 255).round().astype(np.uint8))[None]
    return apply_views(pixels, ViewParameters(**usual | changes), 12)[0].permute(1, 2, 0).numpy()


def test_image_previews__are_what_training_does(image):
    one = torch.ones(1)
    hue, colour = torch.tensor([0.1]), torch.tensor([1.4])
    jitter = augment._hue_matrix(hue) @ augment._saturation_matrix(colour) * 1.4
    expected = {
        "flip": {"flip": one.bool()},
        "jitter": {"colour": jitter, "contrast": one * 1.4},
        "grayscale": {"colour": augment._saturation_matrix(one * 0)},
        "blur": {"sigma": one * 2},
        "solarize": {"solarize": one * 0.5},
    }
    rounded = (image * 255).round() / 255
    for name, parameters in expected.items():
        drawn = draw(rounded, name).clip(0, 1)
        assert_allclose(drawn, as_training(rounded, **parameters), atol=1e-5, err_msg=name)


def test_crop__a_share_of_the_area_at_a_seeded_place():
    gradient = np.stack([np.tile(np.linspace(0, 1, 40), (40, 1))] * 3, 2)
    drawn = draw(gradient, "crop", seed=1, area=0.25)
    across = drawn[20, :, 0]
    assert 0.38 < across[-1] - across[0] < 0.6  # half of the side, times the square root of the ratio
    assert np.array_equal(drawn, draw(gradient, "crop", seed=1, area=0.25))
    assert not np.array_equal(drawn, draw(gradient, "crop", seed=2, area=0.25))


@pytest.mark.parametrize("name", preview.previews())
def test_augmented__every_slider_changes_the_picture(rng, name):
    noise = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((260, 200))
    shown_preview = preview.previews()[name]
    usual = np.asarray(preview.augmented(picture, name, {}))
    assert usual.shape == (224, 224, 3)
    assert np.abs(usual.astype(int) - np.asarray(preview.centred(picture))).max() > 10
    for slider in shown_preview.sliders:
        assert slider.low <= slider.default <= slider.high
        other = slider.low if slider.default != slider.low else slider.high
        assert not np.array_equal(usual, np.asarray(preview.augmented(picture, name, {slider.name: other})))
    again = np.asarray(preview.augmented(picture, name, {}, seed=1))
    assert np.array_equal(usual, again) != shown_preview.random


def test_augmented__one_clear_line():
    picture = Image.new("RGB", (8, 8))
    with pytest.raises(SettingsError, match="'blurr'.*'blur'"):
        preview.augmented(picture, "blurr", {})
    with pytest.raises(SettingsError, match="'blur'.*'sigmas'.*'sigma'"):
        preview.augmented(picture, "blur", {"sigmas": 1.0})
    for sigma in (0.0, 9.0, float("nan")):
        with pytest.raises(SettingsError, match="'blur'.*0.1.*8"):
            preview.augmented(picture, "blur", {"sigma": sigma})


def test_sliders__begin_where_the_settings_of_a_training_end():
    usual = AugmentConfig()
    starts = {
        name: {slider.name: slider.default for slider in shown_preview.sliders}
        for name, shown_preview in preview.previews().items()
    }
    changes = {name: value - 1 for name, value in starts["jitter"].items() if name != "hue"}
    assert changes == pytest.approx({name: getattr(usual, name) for name in changes})
    assert starts["jitter"]["hue"] == usual.hue
    assert starts["solarize"]["threshold"] == usual.solarize_threshold


def test_preview__loads_no_torch():
    code = "import sys; from core.training import preview; preview.previews()"
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
