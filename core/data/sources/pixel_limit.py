"""Limit the size of images: a few kilobytes can declare a gigabyte of pixels. No torch."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

from core.errors import SettingsError, UnreadableImage

VARIABLE = "PEREGRINE_MAX_PIXELS"
MAX_PIXELS = 100_000_000  # 10,000 x 10,000; decoding one takes about 1 GB at worst
BYTES_A_PIXEL = 8  # bytes in the largest supported encoding, uncompressed 16-bit RGBA


def max_pixels() -> int:
    """Return the maximum number of pixels of an image: PEREGRINE_MAX_PIXELS, or 100 million.

    Raises:
        SettingsError: the variable is not a number above 0.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return MAX_PIXELS
    if not re.fullmatch(r"[0-9_]+", text) or int(text) == 0:
        raise SettingsError(f"{VARIABLE} is '{text}', not a number of pixels. Write {VARIABLE}=200000000")
    return int(text)


def check_pixels(width: int, height: int, limit: int) -> None:
    """Raise UnreadableImage for an image, or a part decoded at once, beyond the limit."""
    if width * height > limit:
        raise too_large(f"{width} x {height} pixels ({_millions(width * height)})", limit)


def check_bytes(n_bytes: int) -> None:
    """Raise UnreadableImage for an encoded image with more bytes than its pixels could need."""
    limit = max_pixels()
    if n_bytes > BYTES_A_PIXEL * limit:
        raise too_large(f"{n_bytes / 1e6:,.0f} MB", limit)


def too_large(what: str, limit: int) -> UnreadableImage:
    """Return the error with the reason and what to do."""
    return UnreadableImage(
        f"too large: {what}; the limit is {_millions(limit)} pixels. Make it smaller, or set {VARIABLE}"
    )


def of_pillow(error: Exception, limit: int) -> UnreadableImage:
    """Return the same error when Pillow refuses first: it reports the number of pixels only."""
    match = re.search(r"\((\d+) pixels\)", str(error))
    return too_large(f"{_millions(int(match[1]))} pixels" if match else "its pixels", limit)


@contextmanager
def limited_pillow() -> Iterator[None]:
    """Make Pillow itself refuse larger images, for images that other code opens.

    Raises:
        UnreadableImage: a larger image was opened.
    """
    limit = max_pixels()
    let_pillow_open(limit)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise of_pillow(error, limit) from None


def let_pillow_open(limit: int) -> None:
    """Set Pillow's own limit; all threads use the same value, so they do not disturb each other."""
    if limit != Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = limit


def _millions(n: int) -> str:
    """
    >>> _millions(484_000_000), _millions(99_999)
    ('484 million', '99,999')
    """
    return f"{n / 1e6:,.4g} million" if n >= 1_000_000 else f"{n:,}"
