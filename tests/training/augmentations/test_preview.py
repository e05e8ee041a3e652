"""The pictures of augmentations against what training computes, and against sums over frequencies."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from PIL import Image

from core.errors import SettingsError
from core.research.fourier.training.fourier import (
    AmplitudeRescale,
    GaussianMixtureMask,
    PhaseShift,
    RandomFrequencyMask,
)
from core.research.fourier.training.frequency_image import to_frequency_image
from core.training.augmentations import augment, preview
from core.training.augmentations.augment import ViewParameters, apply_views
from core.training.augmentations.config import AugmentConfig, FourierConfig
from tests.research.fourier.training import reference_fourier as reference


def draw(image: np.ndarray, name: str, seed: int = 0, **values: float) -> np.ndarray:
    shown_preview = preview.PREVIEWS[name]
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


@pytest.mark.parametrize("size", [(6, 6), (5, 6), (6, 5), (5, 7)], ids=str)
@pytest.mark.parametrize("name", ["amplitude", "mask", "mixture", "phase"])
def test_fourier_previews__match_loops(rng, monkeypatch, size, name):
    """The response that is drawn acts on every frequency, also on those that the rfft grid leaves out."""
    image, seen = rng.random((*size, 3)), []
    real = preview.filtered
    monkeypatch.setattr(preview, "filtered", lambda *both: seen.append(both[1]) or real(*both))
    sigma: dict[str, Any] = {"sigma_low": 30.0, "sigma_high": 60.0} if name == "mixture" else {}
    drawn = draw(image, name, **sigma).clip(0, 1)
    [response] = seen
    for channel in range(3):
        of_channel = response[..., channel] if response.ndim == 3 else response
        expected = reference.filtered(
            image[..., channel].tolist(), lambda u, v, one=of_channel: complex(one[u, v])
        )
        assert_allclose(drawn[..., channel], expected, atol=1e-9)
    assert np.abs(drawn - image).max() > 0.01


def test_mixture_response__two_widths_by_hand():
    response = preview.mixture_response(9, 8, np.array([[4.0, 2.0]]), np.array([[1.0, 2.0]]))
    assert response[4, 2] == 1
    assert response[6, 2] == pytest.approx(np.exp(-0.5 * 4))
    assert response[4, 3] == pytest.approx(np.exp(-0.5 / 4))
    assert response[0, 0] == 1  # the mean


def test_phase_and_frequency__equal_trainings_own(image):
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    shifts = PhaseShift((0.7, 0.7), p=1.0).response(8, 3, 12, 12, torch.device("cpu")).numpy()[:, 0]
    previewed = preview.phase_response(12, 12, 0.7)
    assert all(
        np.abs(shift - previewed).max() < 1e-6 or np.abs(shift - previewed.conj()).max() < 1e-6
        for shift in shifts
    )
    expected = to_frequency_image(tensor)[0].permute(1, 2, 0).numpy()
    assert_allclose(draw(image, "frequency"), expected, atol=1e-5)


def test_mask__drops_the_share_that_is_asked_for(rng):
    image = rng.random((16, 16, 3))
    before, after = (np.fft.fft2(x, axes=(0, 1)) for x in (image, draw(image, "mask", fraction=0.3)))
    gone = np.abs(after[..., 0]) < 1e-9
    assert 0.25 < gone.mean() < 0.35 and not gone[0, 0]
    assert_allclose(after[~gone], before[~gone], atol=1e-9)


@pytest.mark.parametrize("name", preview.PREVIEWS)
def test_augmented__every_slider_changes_the_picture(rng, name):
    noise = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((260, 200))
    shown_preview = preview.PREVIEWS[name]
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
    with pytest.raises(SettingsError, match="no augmentation 'blurr'. Did you mean 'blur'"):
        preview.augmented(picture, "blurr", {})
    with pytest.raises(SettingsError, match="'blur' has no slider 'sigmas'. Did you mean 'sigma'"):
        preview.augmented(picture, "blur", {"sigmas": 1.0})
    for sigma in (0.0, 9.0, float("nan")):
        with pytest.raises(SettingsError, match="'blur': sigma = .* must lie between 0.1 and 8"):
            preview.augmented(picture, "blur", {"sigma": sigma})


def test_sliders__begin_where_the_settings_of_a_training_end():
    usual, fourier = AugmentConfig(), FourierConfig()
    starts = {
        name: {slider.name: slider.default for slider in shown_preview.sliders}
        for name, shown_preview in preview.PREVIEWS.items()
    }
    changes = {name: value - 1 for name, value in starts["jitter"].items() if name != "hue"}
    assert changes == pytest.approx({name: getattr(usual, name) for name in changes})
    assert starts["jitter"]["hue"] == usual.hue
    assert starts["solarize"]["threshold"] == usual.solarize_threshold
    assert tuple(starts["amplitude"].values()) == fourier.amplitude_scale
    assert starts["phase"]["angle"] == fourier.phase_angle[1]
    assert starts["mask"]["fraction"] == fourier.mask_fraction[1]
    assert tuple(starts["mixture"].values()) == (fourier.mixture_kernels, *fourier.mixture_sigma)


@pytest.mark.parametrize("size", [(12, 12), (9, 12), (12, 9), (9, 11)], ids=str)
def test_mask_and_mixture__are_trainings_own_for_the_same_draws(rng, size):
    """Torch's transforms get the numbers that the preview draws."""
    height, width = size
    image, drawn = rng.random((*size, 3)), np.random.default_rng(3)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]

    def trained(transform, *numbers) -> np.ndarray:
        ready = iter([torch.zeros(1), *(torch.from_numpy(np.asarray(one, np.float32)) for one in numbers)])
        transform._uniform = lambda shape, between, device: (
            between[0] + (between[1] - between[0]) * next(ready).reshape(shape)
        )
        return transform(pixels)[0].permute(1, 2, 0).numpy()

    luck = drawn.random((height, width // 2 + 1))
    expected = trained(RandomFrequencyMask((0.3, 0.3), p=1.0), luck, 0.5)
    assert_allclose(draw(image, "mask", seed=3, fraction=0.3).clip(0, 1), expected, atol=1e-5)
    drawn = np.random.default_rng(3)
    centres, sigmas = drawn.random((20, 2)), drawn.random((20, 2))
    expected = trained(GaussianMixtureMask(20, (20.0, 50.0), p=1.0), sigmas, centres[:, 0], centres[:, 1])
    applied = draw(image, "mixture", seed=3, sigma_low=20.0, sigma_high=50.0).clip(0, 1)
    assert_allclose(applied, expected, atol=1e-5)
    factors = np.random.default_rng(3).random((height, width // 2 + 1, 3))
    expected = trained(AmplitudeRescale(p=1.0), factors.transpose(2, 0, 1))
    assert_allclose(draw(image, "amplitude", seed=3).clip(0, 1), expected, atol=1e-5)


def test_preview__loads_no_torch():
    code = "import sys, core.training.augmentations.preview; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
