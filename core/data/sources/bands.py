"""What the fourth band of a picture is: transparency, or values of its own. No torch."""

import numpy as np
from PIL import Image

from core.data.sources.pixel_facts import TRANSPARENT, FileFacts

SEEN_THROUGH = 128  # opacity below which a pixel counts as transparent

# Levels and share of pixels between 0 and 255, above both of which a last band is no transparency.
BETWEEN = {"TIFF": (2, 0.5), "JPEG2000": (2, 0.5), "WEBP": (2, 0.5)}  # as satellites' files are
ELSEWHERE = (16, 0.98)  # a .png may well fade over most of it
NO_DATA = ("TIFF", "JPEG2000")  # where pixels without data are 0 in every band


def is_transparency(alpha: Image.Image, file_format: str | None) -> bool:
    """Return True unless most values of a last band are neither 0 nor 255, at more than a few levels.

    Near infrared, which satellites and drones store there, has values between nearly everywhere; TIFF, WebP
    and JPEG 2000 written by GDAL and tifffile declare it as alpha all the same.
    """
    counts = np.asarray(alpha.histogram()[:256])
    between = counts[1:255]
    of = counts.sum() - (counts[0] if file_format in NO_DATA else 0)
    few, share = BETWEEN.get(str(file_format), ELSEWHERE)
    return bool(np.count_nonzero(between) <= few or between.sum() <= share * of)


def is_empty(alpha: Image.Image) -> bool:
    """Return True for a fourth band that is 0 everywhere, as many programs pad a .bmp."""
    return alpha.getextrema() == (0, 0)


def note_transparency(alpha: Image.Image, facts: FileFacts) -> bool:
    """Note a picture that is not opaque everywhere, with the share of its pixels that are transparent."""
    counts = np.asarray(alpha.histogram()[:256])
    if counts[255] == counts.sum():
        return False
    facts[TRANSPARENT] = (float(counts[:SEEN_THROUGH].sum() / counts.sum()),)
    return True
