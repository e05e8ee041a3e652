"""Spectra as pictures for convolutional networks (Kalibhat, dissertation, section 5.6.1)."""

import math

import torch
from torch import Tensor

from core.errors import SettingsError, ShapeError
from core.training.augmentations.config import SCALES


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
        scaled = z.sign() * z.abs().log1p() / (2 * math.log1p(z.shape[-2] * width)) + 0.5
        return scaled.clamp(0, 1)
    low, high = z.amin((1, 2, 3), keepdim=True), z.amax((1, 2, 3), keepdim=True)
    return torch.where(high > low, (z - low) / (high - low).clamp(min=1e-30), 0.5)
