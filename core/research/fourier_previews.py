"""Each Fourier augmentation on one image, at a strength that is chosen instead of drawn. No torch.

The same formulas as in `training/fourier.py` and `training/views.py`; the tests compare them.
"""

import math

import numpy as np

from core.training.augmentation_config import FourierConfig
from core.training.preview import SIDE, Preview, Slider, SliderValues

FOURIER = FourierConfig()  # a slider begins at the strongest change of a training


def filtered(image: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Filter an image by Fourier research: multiply rfft2 of each channel by (H, W // 2 + 1[, 3]).

    Multiply the modes of rfft2 of each channel by (H, W // 2 + 1) or (H, W // 2 + 1, 3) factors.
    """
    response = response if response.ndim == 3 else response[..., None]
    spectrum = np.fft.rfft2(image, axes=(0, 1)) * response
    return np.fft.irfft2(spectrum, s=image.shape[:2], axes=(0, 1))


def _amplitude(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    low, high = sorted((values["low"], values["high"]))
    return filtered(image, _mirrored(rng.uniform(low, high, (height, width // 2 + 1, 3)), width))


def _phase(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    return filtered(image, phase_response(height, width, values["angle"]))


def phase_response(height: int, width: int, angle: float) -> np.ndarray:
    """exp(i angle) for one of two opposite frequencies (Fourier research) and its conjugate for the other."""
    sign = np.ones((height, width // 2 + 1))
    for column in _own_mirrors(width):
        sign[(height + 1) // 2 :, column] = -1
        sign[0, column] = 0
        if height % 2 == 0:
            sign[height // 2, column] = 0
    return np.exp(1j * angle * sign)


def _mask(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    luck = _mirrored(rng.random((height, width // 2 + 1)), width)
    luck[0, 0] = 1  # the mean stays
    n_dropped = round(values["fraction"] * (luck.size - 1))
    least_kept = np.sort(luck, axis=None)[n_dropped]
    return filtered(image, (luck >= least_kept).astype(float))


def _mixture(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    low, high = sorted((values["sigma_low"], values["sigma_high"]))
    kernels = int(values["kernels"])
    centres = rng.random((kernels, 2)) * (height, width // 2)
    sigmas = rng.uniform(low, high, (kernels, 2)) * height / SIDE
    return filtered(image, mixture_response(height, width, centres, sigmas))


def mixture_response(height: int, width: int, centres: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """Maximum of Gaussians along rows and columns of the rfft grid (Fourier research)."""
    mask = np.zeros((height, width // 2 + 1))
    rows, columns = np.arange(height), np.arange(width // 2 + 1)
    for (row, column), (down, right) in zip(centres, sigmas, strict=True):
        vertical = np.abs(rows - row)
        vertical = np.minimum(vertical, height - vertical)  # vertical frequencies form a circle
        kernel = np.exp(-0.5 * (vertical / down) ** 2)[:, None]
        mask = np.maximum(mask, kernel * np.exp(-0.5 * ((columns - column) / right) ** 2))
    mask = _mirrored(mask, width)
    mask[0, 0] = 1
    return mask


def _own_mirrors(width: int) -> tuple[int, ...]:
    """Return the columns of the rfft grid (Fourier research) with both of each pair of frequencies."""
    return (0, width // 2) if width % 2 == 0 else (0,)


def _mirrored(field: np.ndarray, width: int) -> np.ndarray:
    """Copy the upper half of those columns of a spectrum (Fourier research) to the lower half.

    Copy the upper half of those columns of (H, W // 2 + 1, ...) to the lower half.
    """
    height = len(field)
    first = (height - 1) // 2
    for column in _own_mirrors(width):
        field[height - first :, column] = field[1 : first + 1, column][::-1]
    return field


def _frequency(image: np.ndarray, values: SliderValues, rng: np.random.Generator) -> np.ndarray:
    """sign(z) log(1 + |z|) / (2 log(1 + H W)) + 1/2 of real and imaginary parts, side by side."""
    height, width = image.shape[:2]
    spectrum = np.fft.rfft2(image, axes=(0, 1))[:, : width // 2]
    z = np.stack([spectrum.real, spectrum.imag], 2).reshape(height, width, 3)
    logarithm = np.sign(z) * np.log1p(np.abs(z))
    return logarithm / (2 * math.log1p(height * width)) + 0.5


PREVIEWS: dict[str, Preview] = {
    "amplitude": Preview(
        "Amplitude rescale",
        "Each frequency of each channel becomes weaker or stronger, and so do the colours.",
        (
            Slider("low", "Smallest factor", 0.0, 3.0, FOURIER.amplitude_scale[0], 0.05),
            Slider("high", "Largest factor", 0.0, 3.0, FOURIER.amplitude_scale[1], 0.05),
        ),
        _amplitude,
        random=True,
        fourier=True,
    ),
    "phase": Preview(
        "Phase shift",
        "The phases of all frequencies move by one angle.",
        (Slider("angle", "Angle, in radians", -1.6, 1.6, FOURIER.phase_angle[1], 0.05),),
        _phase,
        fourier=True,
    ),
    "mask": Preview(
        "Random frequency mask",
        "Some frequencies are dropped, the same in all channels.",
        (Slider("fraction", "Share of the frequencies", 0.0, 1.0, FOURIER.mask_fraction[1], 0.01),),
        _mask,
        random=True,
        fourier=True,
    ),
    "mixture": Preview(
        "Gaussian mixture mask",
        "Only frequencies near a few random ones remain.",
        (
            Slider("kernels", "Number of Gaussians", 1, 60, FOURIER.mixture_kernels, 1),
            Slider("sigma_low", "Smallest width, in modes", 1.0, 60.0, FOURIER.mixture_sigma[0], 1.0),
            Slider("sigma_high", "Largest width, in modes", 1.0, 60.0, FOURIER.mixture_sigma[1], 1.0),
        ),
        _mixture,
        random=True,
        fourier=True,
    ),
    "frequency": Preview(
        "Frequency image",
        "The spectrum as a picture, which a second encoder can read.",
        (),
        _frequency,
        fourier=True,
    ),
}
