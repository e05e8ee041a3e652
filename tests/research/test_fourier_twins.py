"""Each Fourier augmentation against plain sums over frequencies, with the same random draws."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from core.research.fourier_views import (
    AmplitudeRescale,
    GaussianMixtureMask,
    PhaseShift,
    RandomFrequencyMask,
    fourier_chain,
)
from core.training.augmentation_config import FourierConfig
from tests.research import reference_fourier as reference

SIZES = [(6, 6), (5, 6), (6, 5), (5, 7)]  # which frequencies are their own opposites depends on the parity
EXACT = {"atol": 1e-6, "rtol": 0}  # the draws are float32
N = 3


def images(height: int, width: int) -> torch.Tensor:
    """(N, 3, H, W) float64 over the whole range, so that the clip has work to do."""
    return torch.rand(N, 3, height, width, generator=seeded(9), dtype=torch.float64)


def seeded(seed: int = 4) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Draws:
    """The numbers that a transform with p = 1 draws, in its order."""

    def __init__(self) -> None:
        self.generator = seeded()
        self.uniform((N,), 0.0, 1.0)  # whether an image is changed

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(shape, generator=self.generator)


def twin(size: tuple[int, int], factor_of) -> torch.Tensor:
    """Each channel filtered in loops by `factor_of(image, channel)`."""
    return torch.tensor(
        [
            [reference.filtered(plane.tolist(), factor_of(i, c)) for c, plane in enumerate(image)]
            for i, image in enumerate(images(*size))
        ],
        dtype=torch.float64,
    )


def least_change(changed: torch.Tensor) -> float:
    """The largest change of a pixel, of the image that changed least."""
    return float((changed - images(*changed.shape[2:])).abs().amax((1, 2, 3)).min())


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_amplitude_rescale__matches_loop(size, mean):
    factors = Draws().uniform((N, 3, size[0], size[1] // 2 + 1), 0.8, 1.75).tolist()

    def factor_of(image: int, channel: int) -> reference.Factor:
        drawn = factors[image][channel]
        return lambda u, v: 1.0 if u == v == 0 and not mean else drawn[u][v]

    changed = AmplitudeRescale(p=1.0, generator=seeded(), mean=mean)(images(*size))
    assert_close(changed, twin(size, factor_of), **EXACT)
    assert least_change(changed) > 1e-3


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_phase_shift__matches_loop(size):
    draws = Draws()
    theta = draws.uniform((N, 1, 1, 1), 0.4, 0.7).flatten().tolist()
    negative = (draws.uniform((N, 1, 1, 1), 0.0, 1.0) < 0.5).flatten().tolist()
    signed = [-t if below else t for t, below in zip(theta, negative, strict=True)]
    changed = PhaseShift(p=1.0, generator=seeded())(images(*size))
    assert_close(changed, twin(size, lambda image, _: reference.phase_shift(signed[image])), **EXACT)
    assert least_change(changed) > 1e-3


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_random_frequency_mask__matches_loop(size):
    draws = Draws()
    luck = draws.uniform((N, 1, size[0], size[1] // 2 + 1), 0.0, 1.0)[:, 0].tolist()
    n_modes = size[0] * (size[1] // 2 + 1)
    share = draws.uniform((N, 1), 0.2, 0.6).flatten().tolist()

    def factor_of(image: int, channel: int) -> reference.Factor:
        return reference.frequency_mask(luck[image], round(share[image] * (n_modes - 1)), *size)

    changed = RandomFrequencyMask((0.2, 0.6), p=1.0, generator=seeded())(images(*size))
    assert_close(changed, twin(size, factor_of), **EXACT)
    assert least_change(changed) > 1e-3


@pytest.mark.parametrize("isotropic", [False, True])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_gaussian_mixture_mask__matches_loop(size, isotropic):
    height, width = size
    draws, n_kernels = Draws(), 2
    sigma = draws.uniform((N, n_kernels, 1 if isotropic else 2), 20.0, 60.0) * height / 224
    rows = draws.uniform((N, n_kernels, 1), 0.0, float(height))[..., 0].tolist()
    columns = draws.uniform((N, n_kernels, 1), 0.0, float(width // 2))[..., 0].tolist()

    def factor_of(image: int, channel: int) -> reference.Factor:
        centres = list(zip(rows[image], columns[image], strict=True))
        return reference.gaussian_mixture(centres, sigma[image].expand(-1, 2).tolist(), height)

    changed = GaussianMixtureMask(n_kernels, (20.0, 60.0), 1.0, seeded(), isotropic=isotropic)(images(*size))
    assert_close(changed, twin(size, factor_of), **EXACT)
    assert least_change(changed) > 1e-3


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_chain__goes_to_the_frequencies_and_back_once(size):
    """Bright pixels that one transform makes are still there for the next: only the result is clipped."""
    height, width = size
    draws, n_modes = Draws(), height * (width // 2 + 1)
    amplitude = draws.uniform((N, 3, height, width // 2 + 1), 0.8, 1.75).tolist()
    draws.uniform((N,), 0.0, 1.0)
    theta = draws.uniform((N, 1, 1, 1), 0.4, 0.7).flatten().tolist()
    negative = (draws.uniform((N, 1, 1, 1), 0.0, 1.0) < 0.5).flatten().tolist()
    draws.uniform((N,), 0.0, 1.0)
    luck = draws.uniform((N, 1, height, width // 2 + 1), 0.0, 1.0)[:, 0].tolist()
    share = draws.uniform((N, 1), 0.2, 0.6).flatten().tolist()
    draws.uniform((N,), 0.0, 1.0)
    sigma = draws.uniform((N, 2, 2), 20.0, 60.0) * height / 224
    rows = draws.uniform((N, 2, 1), 0.0, float(height))[..., 0].tolist()
    columns = draws.uniform((N, 2, 1), 0.0, float(width // 2))[..., 0].tolist()

    def factor_of(image: int, channel: int) -> reference.Factor:
        shift = reference.phase_shift(-theta[image] if negative[image] else theta[image])
        mask = reference.frequency_mask(luck[image], round(share[image] * (n_modes - 1)), *size)
        centres = list(zip(rows[image], columns[image], strict=True))
        mixture = reference.gaussian_mixture(centres, sigma[image].tolist(), height)
        return lambda u, v: amplitude[image][channel][u][v] * shift(u, v) * mask(u, v) * mixture(u, v)

    always = dict.fromkeys(("amplitude", "phase", "mask", "mixture"), 1.0)
    config = FourierConfig(**always, mask_fraction=(0.2, 0.6), mixture_kernels=2, mixture_sigma=(20.0, 60.0))
    assert_close(fourier_chain(config, seeded())(images(*size)), twin(size, factor_of), **EXACT)
