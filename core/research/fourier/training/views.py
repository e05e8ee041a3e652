"""The kinds of views of an image, by their recipe (Kalibhat, dissertation, sections 5.5 and 5.6).

| recipe | view |
|---|---|
| x | the whole image, without augmentation |
| image | A_im(x): random crop, flip, blur, colour |
| fda | F^-1(A_freq(f)): Fourier augmentations of x |
| both | the two together, in the order that `fourier.when` names |
| f | F(x) as a frequency image |
| fda_f | A_freq(f) as a frequency image |
| f_of_image | F(A_im(x)) as a frequency image |
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from core.errors import SettingsError, ShapeError
from core.research.fourier.training.fourier import fourier_chain, fourier_spectra
from core.training.augmentations.augment import ViewParameters, apply_views, centre_view
from core.training.augmentations.config import SCALES, AugmentConfig


def to_frequency_image(images: Tensor, *, scale: str = "log") -> Tensor:
    """Turn images into their frequency images.

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
    """Turn (B, C, H, W // 2 + 1) spectra into frequency images; values no image has are cut off."""
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
    """Render one view per image by the recipe of its settings.

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
        spectra = fourier_spectra(chain, spectra, size)
    return spectra_as_images(spectra, size, scale=how.frequency_scale)
