from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close
from torchvision import tv_tensors
from torchvision.transforms import v2

from core.errors import SettingsError, ShapeError
from core.research.fourier_views import (
    AmplitudeRescale,
    FourierTransform,
    GaussianMixtureMask,
    PhaseShift,
    RandomFrequencyMask,
    fourier_chain,
)
from core.training.augmentation_config import FourierConfig

KINDS = [AmplitudeRescale, PhaseShift, RandomFrequencyMask, GaussianMixtureMask]
NOTHING: dict[type, dict[str, Any]] = {
    AmplitudeRescale: {"scale": (1.0, 1.0)},
    PhaseShift: {"angle": (0.0, 0.0)},
    RandomFrequencyMask: {"fraction": (0.0, 0.0)},
    GaussianMixtureMask: {"sigma": (1e6, 1e6)},
}
SIZES = [(16, 16), (15, 16), (16, 15), (15, 17)]  # which modes are their own negatives depends on the parity


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make(kind: type[FourierTransform], seed: int = 0, **options: Any) -> FourierTransform:
    return kind(generator=seeded(seed), **{"p": 1.0, **options})  # type: ignore[arg-type]


def faint(*shape: int) -> torch.Tensor:
    """Noise around gray, too weak for anything to be clipped."""
    return 0.5 + 0.01 * (torch.rand(shape, generator=seeded(9), dtype=torch.float64) - 0.5)


def ratios(transform: FourierTransform, images: torch.Tensor) -> torch.Tensor:
    """What each mode was multiplied by."""
    return torch.fft.rfft2(transform(images)) / torch.fft.rfft2(images)


def wave(row: int, column: int, height: int, width: int, phase: float = 0.0) -> torch.Tensor:
    y, x = torch.arange(height)[:, None].double(), torch.arange(width).double()
    plane = 0.5 + 0.1 * torch.cos(2 * math.pi * (row * y / height + column * x / width) + phase)
    return plane.expand(1, 3, height, width)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_all__nothing_at_zero_strength_or_probability(kind, size):
    images = faint(5, 3, *size)
    assert_close(make(kind, **NOTHING[kind])(images), images, atol=1e-8, rtol=0)
    assert torch.equal(make(kind, p=0.0)(images), images)
    assert (make(kind)(images) - images).abs().amax((1, 2, 3)).min() > 1e-4


def test_all__make_no_spectrum_of_an_empty_batch(monkeypatch: pytest.MonkeyPatch):
    """Some FFT libraries refuse one, so a training would die whenever a draw chooses no image."""
    images, chain = faint(5, 3, 16, 16), fourier_chain(FourierConfig())
    for each in chain.transforms:
        each.p = 0.0
    monkeypatch.setattr(torch.fft, "rfft2", lambda *_, **__: pytest.fail("a spectrum was made"))
    assert torch.equal(chain(images), images)
    assert chain(images[:0]).shape == (0, 3, 16, 16)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_all__response_acts_as_drawn(kind, size: tuple[int, int]):
    images = faint(4, 3, *size)
    drawn = make(kind).response(4, 3, *size, torch.device("cpu"))
    filtered = torch.fft.irfft2(torch.fft.rfft2(images) * drawn, s=size)
    assert_close(torch.fft.rfft2(filtered), torch.fft.rfft2(images) * drawn, atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("kind", "options"), [(kind, {"mean": False} if kind is AmplitudeRescale else {}) for kind in KINDS]
)
def test_all__keep_the_mean_where_they_should(kind, options, size: tuple[int, int]):
    images = faint(4, 3, *size)
    drawn = make(kind, **options).response(4, 3, *size, torch.device("cpu"))
    assert_close(drawn[..., 0, 0].abs(), torch.ones_like(drawn[..., 0, 0].abs()))
    assert_close(make(kind, **options)(images).mean((2, 3)), images.mean((2, 3)), atol=1e-9, rtol=0)


def test_chain__each_transform_changes_the_images_that_it_chose():
    images = faint(40, 3, 15, 16)  # so faint that nothing is clipped on the way
    config = FourierConfig(amplitude=0.4, amplitude_scale=(0.9, 1.1), phase=0.4, mask=0.4, mixture=0.4)
    chain, one_by_one = fourier_chain(config, seeded()), fourier_chain(config, seeded())
    changed, expected = chain(images), images
    for transform in one_by_one.transforms:
        expected = transform(expected)
    assert_close(changed, expected, atol=1e-7, rtol=0)
    untouched = (changed == images).flatten(1).all(1)
    assert 0 < untouched.sum() < 20  # 0.6 ** 4 of the images keep their bits


def test_chain__clips_after_each_where_asked_as_earlier_versions_did():
    images = torch.rand(20, 3, 16, 16, generator=seeded(2))
    always = dict.fromkeys(("amplitude", "phase", "mask", "mixture"), 1.0)
    chain = fourier_chain(FourierConfig(**always, clip_each=True), seeded())
    expected = images
    for transform in fourier_chain(FourierConfig(**always), seeded()).transforms:
        expected = transform(expected)
    assert torch.equal(chain(images), expected)
    once = fourier_chain(FourierConfig(**always), seeded())(images)
    assert (once - expected).abs().amax((1, 2, 3)).min() > 0.01


def test_amplitude_rescale__changes_the_colour_of_an_image():
    images = faint(200, 3, 8, 8)  # 0.5 times 1.75 is not clipped
    factor = make(AmplitudeRescale)(images).mean((2, 3)) / images.mean((2, 3))  # (200, 3)
    assert factor.min() >= 0.8 - 1e-9 and factor.max() < 1.75
    assert factor.min() < 0.81 and factor.max() > 1.74
    assert (factor.amax(1) - factor.amin(1)).mean() > 0.4  # each channel has its own: of three U, 0.475


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 8, 10), (1, 3, 9, 7), (2, 3, 3, 8, 8)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_all__keep_shape_type_and_range(kind, shape, dtype):
    images = (
        torch.rand(shape, generator=seeded()).round().to(dtype)
    )  # black and white: the clip has work to do
    changed = make(kind)(images)
    assert changed.shape == images.shape and changed.dtype == dtype
    assert changed.min() >= 0 and changed.max() <= 1 and torch.isfinite(changed).all()
    assert not torch.equal(changed, images)


@pytest.mark.parametrize("kind", KINDS)
def test_all__each_image_tosses_its_own_coin(kind):
    images = faint(1, 3, 16, 16).expand(400, 3, 16, 16)
    changed = make(kind, p=0.3)(images)
    moved = (changed != images).any((1, 2, 3))
    assert 0.2 < moved.double().mean() < 0.4  # sd 0.023
    different = changed[moved].flatten(1)
    assert torch.unique(different, dim=0).shape[0] > 0.9 * len(different)  # a mask may drop a single mode


@pytest.mark.parametrize("kind", KINDS)
def test_all__are_seeded_and_compose(kind):
    image = tv_tensors.Image((faint(3, 8, 8) * 255).to(torch.uint8))
    mask = tv_tensors.Mask(torch.ones(8, 8))
    chain = v2.Compose([v2.ToDtype(torch.float32, scale=True), make(kind, 3)])
    first, same_mask = chain(image, mask)
    again, _ = v2.Compose([v2.ToDtype(torch.float32, scale=True), make(kind, 3)])(image, mask)
    assert isinstance(first, tv_tensors.Image) and torch.equal(first, again)
    assert same_mask is mask
    plain = kind(p=1.0)
    torch.manual_seed(5)
    once = plain(faint(3, 8, 8))
    torch.manual_seed(5)
    assert torch.equal(plain(faint(3, 8, 8)), once)


def test_amplitude_rescale__factors_are_real_in_range_and_free():
    factor = ratios(make(AmplitudeRescale), faint(6, 3, 16, 16))
    assert factor.imag.abs().max() < 1e-9
    factor = factor.real
    assert factor.min() >= 0.8 - 1e-9 and factor.max() < 1.75
    assert factor.min() < 0.82 and factor.max() > 1.73
    assert (factor[:, 0] - factor[:, 1]).abs().max() > 0.5  # its own for every channel


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_phase_shift__one_angle_an_image_and_no_energy_lost(size):
    factor = ratios(make(PhaseShift), faint(40, 3, *size))
    assert_close(factor.abs(), torch.ones_like(factor.abs()), atol=1e-7, rtol=0)
    height, width = size
    inner = factor[:, :, :, 1 : (width + 1) // 2].angle().flatten(1)  # no column there holds a pair
    theta = inner.mean(1)
    assert_close(inner, theta[:, None].expand_as(inner), atol=1e-7, rtol=0)
    assert theta.abs().min() >= 0.4 and theta.abs().max() < 0.7
    assert (theta > 0).any() and (theta < 0).any()
    edge = factor[:, 0, :, 0].angle()
    first = (height - 1) // 2
    assert_close(edge[:, 1 : first + 1], theta[:, None].expand(-1, first), atol=1e-7, rtol=0)
    assert_close(edge[:, height - first :], -theta[:, None].expand(-1, first), atol=1e-7, rtol=0)


@pytest.mark.parametrize("mode", [(0, 3), (2, 0), (3, 5), (-2, 4)], ids=str)
def test_phase_shift__moves_a_wave_by_the_angle(mode: tuple[int, int]):
    shifted = make(PhaseShift, angle=(0.5, 0.5))(wave(*mode, 16, 16))
    either = [wave(*mode, 16, 16, phase=sign * 0.5) for sign in (1, -1)]
    assert min((shifted - other).abs().max() for other in either) < 1e-7


def test_random_frequency_mask__drops_the_asked_share_in_all_channels():
    factor = ratios(make(RandomFrequencyMask), faint(50, 3, 16, 16)).abs()
    is_kept = factor > 0.5
    assert_close(factor, is_kept.double(), atol=1e-7, rtol=0)
    assert torch.equal(is_kept[:, 0], is_kept[:, 1]) and torch.equal(is_kept[:, 0], is_kept[:, 2])
    dropped = 1 - is_kept[:, 0].double().flatten(1).mean(1)
    a_mode = 1 / (16 * 9)
    assert dropped.min() >= 0.01 - a_mode and dropped.max() <= 0.1
    assert dropped.min() < 0.02 and dropped.max() > 0.09
    assert not torch.equal(is_kept[0], is_kept[1])


def test_random_frequency_mask__can_drop_everything_but_the_mean():
    images = faint(2, 3, 12, 12)
    flat = images.mean((2, 3), keepdim=True).expand_as(images)
    assert_close(make(RandomFrequencyMask, fraction=(1.0, 1.0))(images), flat, atol=1e-8, rtol=0)


@pytest.mark.parametrize("height", [32, 56])
def test_gaussian_mixture_mask__width_scales_with_the_image(height):
    one = make(GaussianMixtureMask, n_kernels=1).response(20, 3, height, height, torch.device("cpu"))
    logs = one.double().log()[:, 0, :, 1:-1]  # the inner columns, which are no one's mirror
    widths = []
    for axis, near in ((2, one[:, 0, :, 2:-2]), (1, one[:, 0, 1:-1, 1:-1])):  # along a row, along a column
        n = logs.shape[axis]
        low, middle, high = (logs.narrow(axis, start, n - 2) for start in range(3))
        second = (low - 2 * middle + high).flatten(1)  # -1 / sigma^2 but where the circle closes
        sure = (near > 1e-3).flatten(1)
        curves = [curve[where].median() for curve, where in zip(second, sure, strict=True)]
        widths.append((-torch.stack(curves)).rsqrt() * 224 / height)
    assert torch.stack(widths).min() > 9.9 and torch.stack(widths).max() < 15.1
    assert (widths[0] - widths[1]).abs().mean() > 0.5  # each axis has its own: 5 / 3 on average


@pytest.mark.parametrize("isotropic", [True, False])
def test_gaussian_mixture_mask__two_widths_from_its_moments(isotropic):
    """One kernel whose grid is wide enough: its second moments along both axes are its squared sigmas."""
    size, n = 256, 24
    mask = GaussianMixtureMask(1, (6.0, 12.0), generator=seeded(), isotropic=isotropic)
    grids = mask.response(n, 3, size, size, torch.device("cpu"))[
        :, 0, :, 1:-1
    ].double()  # without mean and mirrored columns
    columns = torch.arange(1, size // 2, dtype=torch.float64)
    widths = []
    for grid in grids:
        rows, across = grid.sum(1), grid.sum(0)
        centre = float((across * columns).sum() / across.sum())
        if not 50 < centre < size / 2 - 50:
            continue  # cut off by the edge
        peak = int(rows.argmax())
        rows = rows.roll(size // 2 - peak)
        places = torch.arange(size, dtype=torch.float64)
        middle = (rows * places).sum() / rows.sum()
        down = ((rows * (places - middle) ** 2).sum() / rows.sum()).sqrt()
        right = ((across * (columns - centre) ** 2).sum() / across.sum()).sqrt()
        widths.append((float(down) * 224 / size, float(right) * 224 / size))
    assert len(widths) > 2 and all(5.9 < width < 12.1 for pair in widths for width in pair)
    apart = [abs(down - right) for down, right in widths]
    assert max(apart) < 0.1 if isotropic else max(apart) > 1.0


def test_gaussian_mixture_mask__is_shared_by_channels_and_passes_its_centres():
    factor = ratios(make(GaussianMixtureMask), faint(8, 3, 32, 32))
    assert_close(factor[:, 0], factor[:, 1], atol=1e-7, rtol=0)
    assert factor.real.min() > -1e-7 and factor.real.max() < 1 + 1e-7
    peaks = (factor[:, 0].real > 0.8).flatten(1).sum(1)  # 20 kernels of sigma 1.4 to 2.1 modes, overlapping
    assert peaks.min() >= 20
    assert factor[:, 0].real.flatten(1).mean(1).max() < 0.9  # and something is lost


@pytest.mark.parametrize(
    "bad", [torch.zeros(3, 8, 8, dtype=torch.uint8), torch.zeros(8, 8)], ids=["uint8", "2-D"]
)
def test_all__refuse_what_is_no_float_image(bad):
    with pytest.raises(ShapeError, match="PhaseShift.*3"):
        PhaseShift()(bad)
    with pytest.raises(ShapeError, match="PhaseShift"):
        PhaseShift()(Image.fromarray(np.zeros((8, 8, 3), np.uint8)))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PhaseShift(p=1.5), "p = 1.5 must lie between 0 and 1"),
        (lambda: PhaseShift((0.7, 0.4)), r"angle = \(0.7, 0.4\) must be two ascending numbers"),
        (lambda: RandomFrequencyMask((0.0, 1.2)), r"fraction = \(0, 1.2\) .* in \[0, 1\]"),
        (lambda: AmplitudeRescale((-1.0, 1.0)), r"scale = \(-1, 1\)"),
        (lambda: GaussianMixtureMask(0), "n_kernels = 0 must be at least 1"),
    ],
)
def test_all__one_clear_error(build, message):
    with pytest.raises(SettingsError, match=message):
        build()


def test_defaults__are_those_of_the_method():
    assert (AmplitudeRescale().scale, AmplitudeRescale().p) == ((0.8, 1.75), 0.2)
    assert (PhaseShift().angle, PhaseShift().p) == ((0.4, 0.7), 0.2)
    assert (RandomFrequencyMask().fraction, RandomFrequencyMask().p) == ((0.01, 0.1), 0.5)
    mixture = GaussianMixtureMask()
    assert (mixture.n_kernels, mixture.sigma, mixture.p) == (20, (10.0, 15.0), 0.2)
