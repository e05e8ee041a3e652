"""The pictures of Fourier augmentations against what training computes, and against sums over frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from core.research import fourier_previews as previews
from core.research.fourier_views import (
    AmplitudeRescale,
    GaussianMixtureMask,
    PhaseShift,
    RandomFrequencyMask,
    to_frequency_image,
)
from core.training.augmentation_config import FourierConfig
from tests.research import reference_fourier as reference
from tests.training.test_preview import draw


@pytest.fixture
def image(rng) -> np.ndarray:
    return rng.random((12, 12, 3))


@pytest.mark.parametrize("size", [(6, 6), (5, 6), (6, 5), (5, 7)], ids=str)
@pytest.mark.parametrize("name", ["amplitude", "mask", "mixture", "phase"])
def test_fourier_previews__match_loops(rng, monkeypatch, size, name):
    """The response that is drawn acts on every frequency, also on those that the rfft grid leaves out."""
    image, seen = rng.random((*size, 3)), []
    real = previews.filtered
    monkeypatch.setattr(previews, "filtered", lambda *both: seen.append(both[1]) or real(*both))
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
    response = previews.mixture_response(9, 8, np.array([[4.0, 2.0]]), np.array([[1.0, 2.0]]))
    assert response[4, 2] == 1
    assert response[6, 2] == pytest.approx(np.exp(-0.5 * 4))
    assert response[4, 3] == pytest.approx(np.exp(-0.5 / 4))
    assert response[0, 0] == 1  # the mean


def test_phase_and_frequency__equal_trainings_own(image):
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    shifts = PhaseShift((0.7, 0.7), p=1.0).response(8, 3, 12, 12, torch.device("cpu")).numpy()[:, 0]
    previewed = previews.phase_response(12, 12, 0.7)
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


def test_sliders__begin_where_the_settings_of_a_training_end():
    fourier = FourierConfig()
    starts = {
        name: {slider.name: slider.default for slider in one.sliders}
        for name, one in previews.PREVIEWS.items()
    }
    assert tuple(starts["amplitude"].values()) == fourier.amplitude_scale
    assert starts["phase"]["angle"] == fourier.phase_angle[1]
    assert starts["mask"]["fraction"] == fourier.mask_fraction[1]
    assert tuple(starts["mixture"].values()) == (fourier.mixture_kernels, *fourier.mixture_sigma)
