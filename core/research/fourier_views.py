"""Augmentations in the Fourier domain (Kalibhat, dissertation, chapter 5), and the views made with them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import PIL.Image
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from core.errors import SettingsError, ShapeError
from core.training.augment import ViewParameters, apply_views, centre_view
from core.training.augmentation_config import SCALES, AugmentConfig, FourierConfig

# Augmentations in the Fourier domain (FDA; Kalibhat, dissertation, chapter 5), as torchvision v2
# transforms.
#
# Each transform multiplies rfft2 of an image by a response and transforms back. In a real image every
# frequency is paired with its negative; in the first column of the rfft grid, and for an even width in the
# last, both of a pair are stored. There the second gets the response drawn for the first, so that the drawn
# response is the one that acts. A frequency that is its own negative (above all the mean) has no phase to
# shift.
#
# Each image gets its own random response; the result is clipped to [0, 1]. A chain of them goes to the
# frequencies and back once, and so clips once. All but the amplitude rescale keep the mean (DC).


Range = tuple[float, float]
Drawn = tuple[Tensor, Tensor]  # (B,) which images are changed, and the responses of those


class FourierTransform(v2.Transform):
    """Apply `response` to each image with probability p.

    Callable on (…, C, H, W) floats in [0, 1]; returns the same shape and dtype. Masks and boxes passed along
    with an image are not changed.

    Args:
        p: probability that an image is changed.
        generator: source of randomness; None for torch's default generator on the device of the images.
    """

    _transformed_types = (lambda x: type(x) is Tensor, PIL.Image.Image, tv_tensors.Image, tv_tensors.Video)

    def __init__(self, p: float, generator: torch.Generator | None = None):
        super().__init__()
        if not 0 <= p <= 1:
            raise SettingsError(f"p = {p:g} must lie between 0 and 1.")
        self.p, self.generator = p, generator

    def response(self, n: int, channels: int, height: int, width: int, device: torch.device) -> Tensor:
        """(n, channels or 1, H, W // 2 + 1) real or complex factors for the modes of n images."""
        raise NotImplementedError

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        if not isinstance(inpt, Tensor) or inpt.ndim < 3 or not inpt.is_floating_point():
            received = (
                f"{inpt.dtype} {tuple(inpt.shape)}" if isinstance(inpt, Tensor) else type(inpt).__name__
            )
            raise ShapeError(
                f"{type(self).__name__}: got {received}, expected floats (…, 3, H, W) in [0, 1]. "
                "v2.ToImage() and v2.ToDtype(torch.float32, scale=True) make them."
            )
        images = inpt.as_subclass(Tensor).reshape(-1, *inpt.shape[-3:])  # (B, C, H, W)
        n, channels, height, width = images.shape
        changed = _filtered(images, self.drawn(n, channels, height, width, images.device))
        return tv_tensors.wrap(changed.reshape(inpt.shape), like=inpt)  # pyright: ignore[reportCallIssue]

    def drawn(self, n: int, channels: int, height: int, width: int, device: torch.device) -> list[Drawn]:
        """Draw which of n images are changed, and their responses."""
        changed = self._uniform((n,), (0.0, 1.0), device) < self.p
        return [(changed, self.response(int(changed.sum()), channels, height, width, device))]

    def _uniform(self, shape: tuple[int, ...], between: Range, device: torch.device) -> Tensor:
        low, high = between
        source = device if self.generator is None else self.generator.device
        drawn = torch.rand(shape, generator=self.generator, device=source).to(device)
        return low + (high - low) * drawn


class AmplitudeRescale(FourierTransform):
    """Multiply the amplitude of each frequency and channel by its own factor from U[scale).

    The mean is a frequency like any other, so each channel's brightness, and with it the colour, changes. The
    clip to [0, 1] cuts off what becomes too bright.

    Args:
        mean: False leaves the mean, and so the average colour, as it is.
    """

    def __init__(
        self,
        scale: Range = (0.8, 1.75),
        p: float = 0.2,
        generator: torch.Generator | None = None,
        *,
        mean: bool = True,
    ):
        super().__init__(p, generator)
        self.scale, self.mean = _rising("scale", scale, 0.0), mean

    def response(self, n: int, channels: int, height: int, width: int, device: torch.device) -> Tensor:
        factor = self._uniform((n, channels, height, width // 2 + 1), self.scale, device)
        factor = _mirrored(factor, width)
        return factor if self.mean else _keep_mean(factor)


class PhaseShift(FourierTransform):
    """Shift the phase of every frequency by one angle per image, from U[angle) radians with random sign."""

    def __init__(self, angle: Range = (0.4, 0.7), p: float = 0.2, generator: torch.Generator | None = None):
        super().__init__(p, generator)
        self.angle = _rising("angle", angle, 0.0)

    def response(self, n: int, channels: int, height: int, width: int, device: torch.device) -> Tensor:
        theta = self._uniform((n, 1, 1, 1), self.angle, device)
        theta = torch.where(self._uniform((n, 1, 1, 1), (0.0, 1.0), device) < 0.5, -theta, theta)
        sign = torch.ones(height, width // 2 + 1, device=device)
        for column in _own_mirrors(width):
            sign[(height + 1) // 2 :, column] = -1
            sign[0, column] = 0
            if height % 2 == 0:
                sign[height // 2, column] = 0
        return torch.polar(torch.ones_like(sign), theta * sign)


class RandomFrequencyMask(FourierTransform):
    """Drop a fraction of the frequencies, from U[fraction), the same ones in all channels.

    The fraction refers to the modes of the rfft grid and is accurate to one or two of them.
    """

    def __init__(
        self, fraction: Range = (0.01, 0.1), p: float = 0.5, generator: torch.Generator | None = None
    ):
        super().__init__(p, generator)
        self.fraction = _rising("fraction", fraction, 0.0, 1.0)

    def response(self, n: int, channels: int, height: int, width: int, device: torch.device) -> Tensor:
        grid = (n, 1, height, width // 2 + 1)
        luck = _keep_mean(_mirrored(self._uniform(grid, (0.0, 1.0), device), width)).flatten(1)  # mean: 1
        n_dropped = (self._uniform((n, 1), self.fraction, device) * (luck.shape[1] - 1)).round().long()
        least_kept = luck.sort(1).values.gather(1, n_dropped)
        return (luck >= least_kept).view(grid).float()


class GaussianMixtureMask(FourierTransform):
    """Keep frequencies near a few random ones: the maximum of Gaussians on the rfft grid.

    Centres are uniform on the grid. Each kernel has two sigmas, one along each axis, from U[sigma) modes for
    images of 224 pixels; they scale with the height. Vertical frequencies form a circle, so distances are
    measured the shorter way round.

    Args:
        isotropic: True draws one sigma for both axes of a kernel.
    """

    def __init__(
        self,
        n_kernels: int = 20,
        sigma: Range = (10.0, 15.0),
        p: float = 0.2,
        generator: torch.Generator | None = None,
        *,
        isotropic: bool = False,
    ):
        super().__init__(p, generator)
        if n_kernels < 1:
            raise SettingsError(f"n_kernels = {n_kernels} must be at least 1.")
        self.n_kernels, self.sigma = n_kernels, _rising("sigma", sigma, 1e-6)
        self.isotropic = isotropic

    def response(self, n: int, channels: int, height: int, width: int, device: torch.device) -> Tensor:
        kernels = (n, self.n_kernels, 1)
        sigma = self._uniform((*kernels[:2], 1 if self.isotropic else 2), self.sigma, device) * height / 224
        down, right = sigma[..., :1], sigma[..., -1:]  # (n, n_kernels, 1) along rows and along columns
        rows = torch.arange(height, device=device)
        distance = (rows - self._uniform(kernels, (0.0, height), device)).abs()
        distance = torch.minimum(distance, height - distance)
        columns = torch.arange(width // 2 + 1, device=device)
        across = columns - self._uniform(kernels, (0.0, width // 2), device)
        mask = torch.zeros(n, height, width // 2 + 1, device=device)
        for kernel in range(self.n_kernels):  # one at a time: all together would need 20 grids per image
            vertical = _bell(distance[:, kernel], down[:, kernel])
            horizontal = _bell(across[:, kernel], right[:, kernel])
            mask = torch.maximum(mask, vertical[:, :, None] * horizontal[:, None, :])
        return _keep_mean(_mirrored(mask, width))[:, None]


def _bell(distance: Tensor, sigma: Tensor) -> Tensor:
    """Return an unnormalised Gaussian of standard deviation `sigma`."""
    return torch.exp(-0.5 * (distance / sigma).square())


class FourierChain(FourierTransform):
    """Apply several transforms to the frequencies of an image, then transform back and clip once.

    Args:
        clip_each: True goes back and clips after each of them; spectra are never clipped.
    """

    def __init__(self, transforms: Sequence[FourierTransform], *, clip_each: bool = False):
        super().__init__(1.0)
        self.transforms, self.clip_each = transforms, clip_each

    def transform(self, inpt: Any, params: dict[str, Any]) -> Tensor:
        if not self.clip_each:
            return super().transform(inpt, params)
        for transform in self.transforms:
            inpt = transform.transform(inpt, params)
        return inpt

    def drawn(self, n: int, channels: int, height: int, width: int, device: torch.device) -> list[Drawn]:
        return [
            one
            for transform in self.transforms
            for one in transform.drawn(n, channels, height, width, device)
        ]


def _filtered(images: Tensor, drawn: Sequence[Drawn]) -> Tensor:
    """(B, C, H, W) images with their modes multiplied by what was drawn; those not chosen keep their bits."""
    rows = torch.stack([which for which, _ in drawn]).any(0)
    if not rows.any():  # some FFT libraries refuse an empty batch
        return images.clone()
    exact = images[rows].to(torch.promote_types(images.dtype, torch.float32))  # no FFT in half precision
    spectra = _multiplied(torch.fft.rfft2(exact), [(which[rows], response) for which, response in drawn])
    result = images.clone()
    result[rows] = torch.fft.irfft2(spectra, s=images.shape[-2:]).clamp(0, 1).to(images.dtype)
    return result


def _multiplied(spectra: Tensor, drawn: Sequence[Drawn]) -> Tensor:
    """(B, C, H, W // 2 + 1) spectra multiplied by the responses of the images that were chosen."""
    product = spectra.clone()
    for which, response in drawn:
        product[which] = product[which] * response
    return product


def fourier_chain(config: FourierConfig, generator: torch.Generator | None = None) -> FourierChain:
    """Chain the four Fourier augmentations of research with the settings' probabilities and ranges."""
    amplitude = AmplitudeRescale(
        config.amplitude_scale, config.amplitude, generator, mean=config.amplitude_mean
    )
    phase = PhaseShift(config.phase_angle, config.phase, generator)
    mask = RandomFrequencyMask(config.mask_fraction, config.mask, generator)
    mixture = GaussianMixtureMask(
        config.mixture_kernels,
        config.mixture_sigma,
        config.mixture,
        generator,
        isotropic=config.mixture_isotropic,
    )
    return FourierChain([amplitude, phase, mask, mixture], clip_each=config.clip_each)


def _fourier_spectra(chain: FourierChain, spectra: Tensor, width: int) -> Tensor:
    """Apply a chain of Fourier augmentations (research) to (B, C, H, W // 2 + 1) spectra of images.

    A_freq(f) of Kalibhat's dissertation, 5.6.
    """
    n, channels, height = spectra.shape[:3]
    return _multiplied(spectra, chain.drawn(n, channels, height, width, spectra.device))


def _own_mirrors(width: int) -> tuple[int, ...]:
    """Return the columns of the rfft grid that hold both members of each pair of opposite frequencies."""
    return (0, width // 2) if width % 2 == 0 else (0,)


def _mirrored(field: Tensor, width: int) -> Tensor:
    """(…, H, W // 2 + 1) with the upper half of those columns copied to the lower half."""
    height = field.shape[-2]
    first = (height - 1) // 2  # rows 1 … first have a partner below
    for column in _own_mirrors(width):
        field[..., height - first :, column] = field[..., 1 : first + 1, column].flip(-1)
    return field


def _keep_mean(field: Tensor) -> Tensor:
    field[..., 0, 0] = 1
    return field


def _rising(name: str, between: Range, least: float, most: float = float("inf")) -> Range:
    low, high = between
    if not least <= low <= high <= most:
        raise SettingsError(
            f"{name} = ({low:g}, {high:g}) must be two ascending numbers in [{least:g}, {most:g}]."
        )
    return low, high


# The kinds of views of an image, by their recipe (Kalibhat, dissertation, sections 5.5 and 5.6).
#
# | recipe | view |
# |---|---|
# | x | the whole image, without augmentation |
# | image | A_im(x): random crop, flip, blur, colour |
# | fda | F^-1(A_freq(f)): Fourier augmentations of x |
# | both | the two together, in the order that `fourier.when` names |
# | f | F(x) as a frequency image |
# | fda_f | A_freq(f) as a frequency image |
# | f_of_image | F(A_im(x)) as a frequency image |


def to_frequency_image(images: Tensor, *, scale: str = "log") -> Tensor:
    """Turn images into their frequency images, for a second encoder of Fourier research.

    f = rfft2(x) per channel, without its last column; real and imaginary parts alternate along the width,
    column 2v holding Re f(., v) and column 2v + 1 Im f(., v). Then each value z, with H W the largest |z|, is
    scaled:

    * log: sign(z) log(1 + |z|) / (2 log(1 + H W)) + 1/2
    * linear: (z - min) / (max - min) over the picture; 1/2 where all are equal

    Args:
        images: (B, C, H, W) floats in [0, 1], W even.
    Returns:
        (B, C, H, W) float32 in [0, 1].
    Raises:
        ShapeError: the width is odd. SettingsError: an unknown scale.
    """
    return spectra_as_images(torch.fft.rfft2(images.float()), images.shape[-1], scale=scale)


def spectra_as_images(spectra: Tensor, width: int, *, scale: str = "log") -> Tensor:
    """Turn (B, C, H, W // 2 + 1) spectra into frequency images, values cut off (Fourier research)."""
    if width % 2:
        raise ShapeError(f"a frequency image needs an even width, got {width} pixels")
    if scale not in SCALES:
        raise SettingsError(f"scale = '{scale}' must be {' or '.join(SCALES)}.")
    z = torch.view_as_real(spectra[..., : width // 2]).flatten(-2)  # (B, C, H, W)
    if scale == "log":
        logarithm = z.sign() * z.abs().log1p()
        scaled = logarithm / (2 * math.log1p(z.shape[-2] * width)) + 0.5
        return scaled.clamp(0, 1)
    low, high = z.amin((1, 2, 3), keepdim=True), z.amax((1, 2, 3), keepdim=True)
    return torch.where(high > low, (z - low) / (high - low).clamp(min=1e-30), 0.5)


def render_view(
    images: Tensor,
    parameters: ViewParameters,
    size: int,
    how: AugmentConfig,
    generator: Callable[[], torch.Generator],
) -> Tensor:
    """Render one view per image of a training by the Fourier recipe (research) of its settings.

    Args:
        images: (B, H, W, 3) uint8. parameters: of B views, on the same device.
        size: height and width of a view. how: settings of this view.
        generator: makes the source of randomness of Fourier augmentations; called only if there are any.
    Returns:
        (B, 3, size, size) float32 in [0, 1].
    """
    recipe = how.recipe
    chain = None if how.chain is None else fourier_chain(how.chain, generator())
    if recipe in ("image", "f_of_image"):
        view = apply_views(images, parameters, size)
        return view if recipe == "image" else to_frequency_image(view, scale=how.frequency_scale)
    if recipe == "both":
        assert chain is not None and how.chain is not None
        if how.chain.when == "after":
            return chain(apply_views(images, parameters, size))
        return apply_views(images, parameters, size, chain)
    view = centre_view(images, size)
    if recipe == "x":
        return view
    if recipe == "fda":
        assert chain is not None
        return chain(view)
    spectra = torch.fft.rfft2(view)
    if chain is not None:
        spectra = _fourier_spectra(chain, spectra, size)
    return spectra_as_images(spectra, size, scale=how.frequency_scale)
