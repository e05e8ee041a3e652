"""What the fourth band of a picture is: transparency, or values of its own. No torch."""

import numpy as np
from PIL import Image

LEVELS = 16  # an alpha channel of at most so many levels is one, whatever they are
BETWEEN = {"TIFF": 0.5, "JPEG2000": 0.5, "WEBP": 0.5}  # share of pixels, by what satellites' files are
ELSEWHERE = 0.98  # a .png may well fade over most of it
NO_DATA = ("TIFF", "JPEG2000")  # where pixels without data are 0 in every band


def is_transparency(alpha: Image.Image, file_format: str | None) -> bool:
    """Return True unless most values of a last band are neither 0 nor 255, at more than 16 levels.

    Near infrared, which satellites and drones store there, has values between nearly everywhere; TIFF, WebP
    and JPEG 2000 written by GDAL and tifffile declare it as alpha all the same.
    """
    counts = np.asarray(alpha.histogram()[:256])
    between = counts[1:255]
    of = counts.sum() - (counts[0] if file_format in NO_DATA else 0)
    few = np.count_nonzero(between) <= LEVELS
    return bool(few or between.sum() <= BETWEEN.get(str(file_format), ELSEWHERE) * of)


def is_empty(alpha: Image.Image) -> bool:
    """Return True for a fourth band that is 0 everywhere, as many programs pad a .bmp."""
    return alpha.getextrema() == (0, 0)
