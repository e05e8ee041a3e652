"""Frequency images against the sum of Kalibhat's dissertation, eq. 5.1, and the way back."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from core.errors import SettingsError, ShapeError
from core.research.fourier_views import to_frequency_image
from tests.research.reference_fourier import dft


def pictures(n: int = 2, size: int = 4, seed: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, size, size, generator=generator, dtype=torch.float64)


def from_frequency_image(frequency_images: torch.Tensor) -> torch.Tensor:
    """The images of scale "log"; the dropped column counts as zero."""
    height, width = frequency_images.shape[-2:]
    centred = (frequency_images.double() - 0.5) * (2 * math.log1p(height * width))
    z = centred.sign() * centred.abs().expm1()
    spectra = torch.view_as_complex(z.unflatten(-1, (width // 2, 2)).contiguous())
    return torch.fft.irfft2(torch.nn.functional.pad(spectra, (0, 1)), s=(height, width))


def interleaved(plane: list[list[float]]) -> list[list[float]]:
    """Rows of Re f(u, 0), Im f(u, 0), Re f(u, 1), Im f(u, 1) …, without the last column of the rfft grid."""
    height, width = len(plane), len(plane[0])
    rows = []
    for u in range(height):
        row: list[float] = []
        for v in range(width // 2):
            mode = dft(plane, u, v)
            row += [mode.real, mode.imag]
        rows.append(row)
    return rows


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_to_frequency_image__matches_loop(scale):
    images = pictures()
    spectra = to_frequency_image(images, scale=scale)
    for image, result in zip(images, spectra, strict=True):
        planes = [interleaved(plane.tolist()) for plane in image]
        every = [z for plane in planes for row in plane for z in row]
        low, high = min(every), max(every)
        for plane, picture in zip(planes, result, strict=True):
            for row, values in zip(plane, picture.tolist(), strict=True):
                for z, value in zip(row, values, strict=True):
                    if scale == "log":
                        sign = (z > 0) - (z < 0)
                        expected = sign * math.log(1 + abs(z)) / (2 * math.log(1 + 16)) + 0.5
                    else:
                        expected = (z - low) / (high - low)
                    assert value == pytest.approx(expected, abs=2e-5)  # the FFT is float32


def test_to_frequency_image__a_constant_image_has_one_mode():
    spectra = to_frequency_image(torch.full((1, 3, 6, 6), 0.5))
    expected = torch.full((1, 3, 6, 6), 0.5)
    expected[..., 0, 0] += math.log(1 + 18) / (2 * math.log(1 + 36))  # f(0, 0) = 36 / 2
    assert_close(spectra, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [4, 8, 16])
def test_round_trip__images_without_energy_in_the_dropped_column(size):
    spectra = torch.fft.rfft2(pictures(size=size))
    spectra[..., -1] = 0
    images = torch.fft.irfft2(spectra, s=(size, size))
    images = (images - images.min()) / (images.max() - images.min())
    assert_close(from_frequency_image(to_frequency_image(images)), images, atol=1e-5, rtol=0)


def test_round_trip__loses_what_lies_in_the_dropped_column():
    stripes = torch.tensor([0.0, 1.0]).repeat(4).expand(1, 3, 8, 8)
    back = from_frequency_image(to_frequency_image(stripes))
    assert_close(back, torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64), atol=1e-5, rtol=0)


def test_to_frequency_image__values_lie_between_0_and_1():
    for extreme in (torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 8, 8), pictures(4, 8).round()):
        for scale in ("log", "linear"):
            spectra = to_frequency_image(extreme, scale=scale)
            assert spectra.isfinite().all() and spectra.min() >= 0 and spectra.max() <= 1
    assert to_frequency_image(torch.zeros(1, 3, 8, 8), scale="linear").unique().tolist() == [0.5]


def test_to_frequency_image__linear_leaves_most_values_alike_and_log_does_not():
    """Why the scale is ours: next to the mean, all other modes are tiny."""
    images = pictures(4, 16)
    spread = {}
    for scale in ("log", "linear"):
        low, high = to_frequency_image(images, scale=scale).quantile(torch.tensor([0.25, 0.75]))
        spread[scale] = float(high - low)
    assert spread["linear"] < 0.07 and spread["log"] > 3 * spread["linear"]


def test_frequency_images__one_clear_error():
    with pytest.raises(ShapeError, match="5.*pixels"):
        to_frequency_image(torch.zeros(1, 3, 4, 5))
    with pytest.raises(SettingsError, match="'square'"):
        to_frequency_image(torch.zeros(1, 3, 4, 4), scale="square")
