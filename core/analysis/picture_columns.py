"""Numbers of a picture itself, whatever encoder looks at it (docs/method.md 1.8): light, colour, sharpness,
size, a checksum of its pixels and a perceptual hash.
"""

import hashlib
import math
from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image

from core.common.picture_names import NUMBERS
from core.data.sources.pixel_facts import TRANSPARENT, TURNED, file_facts

VALUES = (*(name for name in NUMBERS if name != "aspect"), "turned")
PRINTS = ("first_half", "second_half", "perceptual")  # of the checksum, and the perceptual hash
WHITE = 255
LOW, HIGH = 5, 99  # percentiles of the luma
BLACK = 0.05  # the brightest channel of pixels whose saturation is not told
SHARP_SIDE = 256  # shorter side on which sharpness is measure_picture
LEAST_VARIANCE = 1e-6
HASH_SIDE, HASH_WAVES = 32, 8
HASH_DIGITS = 4  # of cosine coefficients: below them is the rounding of a plain picture
STRIP = 1 << 20  # pixels that are converted at a time


def measure_picture(picture: Image.Image | None) -> tuple[np.ndarray, np.ndarray]:
    """Measure an upright RGB picture at its stored size, and take its prints.

    With the luma Y = .299 R + .587 G + .114 B in [0, 1]: brightness is its mean, dark its 99th and light its
    5th percentile, contrast its standard deviation, sharpness as `sharpness` says; saturation is the mean of
    (max - min) / max over pixels whose largest channel is above .05.

    Returns:
        (10,) float32 in the order of VALUES: width and height in pixels, transparent a share, turned 0 or 1;
        NaN without a picture, saturation also where all pixels are black. (3,) uint64 in the order of PRINTS,
        0 without a picture.
    """
    if picture is None:
        return np.full(len(VALUES), np.nan, np.float32), np.zeros(len(PRINTS), np.uint64)
    pixels = np.ascontiguousarray(picture)
    luma, saturation = _light_and_colour(pixels)
    mean, deviation = (float(one[0, 0]) / WHITE for one in cv2.meanStdDev(luma))
    light, dark = (value / WHITE for value in percentiles(luma, (LOW, HIGH)))
    facts = file_facts(picture)
    transparent = facts.get(TRANSPARENT) or (0.0,)
    light_of = [mean, dark, light, deviation, _sharpness(luma), saturation]
    values = np.array([*light_of, *picture.size, transparent[0], TURNED in facts], np.float32)
    prints = np.array([*_checksum(pixels), _hash(luma)], np.uint64)
    return values, prints


def _light_and_colour(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """(H, W, 3) uint8 -> luma, (H, W) float32 from 0 to 255, and the mean of (max - min) / max over the
    channels of pixels that are not black; NaN where all are. Strip by strip: as floats a large picture takes
    gigabytes."""
    height, width = pixels.shape[:2]
    luma, total, n_lit = np.empty((height, width), np.float32), 0.0, 0
    rows = max(1, STRIP // width)
    for top in range(0, height, rows):
        strip = pixels[top : top + rows]
        cv2.cvtColor(strip.astype(np.float32), cv2.COLOR_RGB2GRAY, dst=luma[top : top + rows])
        red, green, blue = cv2.split(strip)
        highest = cv2.max(cv2.max(red, green), blue)
        spread = cv2.subtract(highest, cv2.min(cv2.min(red, green), blue))
        is_lit = (highest > WHITE * BLACK).astype(
            np.uint8
        )  # cv2.compare takes 4 pixels and a number for a pair
        lit = cv2.countNonZero(is_lit)
        total += cv2.mean(cv2.divide(spread, highest, dtype=cv2.CV_32F), mask=is_lit)[0] * lit
        n_lit += lit
    return luma, total / n_lit if n_lit else np.nan


def percentiles(luma: np.ndarray, shares: Sequence[float]) -> list[float]:
    """Percentiles of a luma, (H, W) float32 from 0 to 255, as numpy interpolates between two values.

    Only the values that are rounded to the same whole number as the sought one are sorted.
    """
    rounded = cv2.convertScaleAbs(luma)
    ends = np.cumsum(cv2.calcHist([rounded], [0], None, [256], [0, 256]).ravel().astype(np.int64))
    within: dict[int, np.ndarray] = {}

    def smallest(k: int) -> float:
        level = int(np.searchsorted(ends, k, "right"))
        if level not in within:
            within[level] = np.sort(luma[rounded == level])
        return float(within[level][k - ends[level]])  # counted from the end of its level

    places = [share / 100 * (luma.size - 1) for share in shares]
    lows = [(int(place), place - int(place)) for place in places]
    values = []
    for k, part in lows:
        value = smallest(k)
        if part:
            value = value * (1 - part) + smallest(min(k + 1, luma.size - 1)) * part
        values.append(value)
    return values


def _sharpness(luma: np.ndarray) -> float:
    """log10(1e-6 + variance of the 4-neighbour Laplacian) of the luma, (H, W) float32 from 0 to 255.

    It is scaled by area to a shorter side of 256 if that is larger; at the border the picture is mirrored.
    """
    shorter = min(luma.shape)
    if shorter > SHARP_SIDE:
        height, width = (round(side * SHARP_SIDE / shorter) for side in luma.shape)
        luma = cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA)
    deviation = float(cv2.meanStdDev(cv2.Laplacian(luma, cv2.CV_32F))[1][0, 0]) / WHITE
    return math.log10(LEAST_VARIANCE + deviation**2)


def _hash(luma: np.ndarray) -> int:
    """Return 63 bits that similar pictures share: signs of the 8 x 8 lowest cosine coefficients without the
    first, against their median, of the luma scaled by area to 32 x 32. A plain picture has 0."""
    small = cv2.resize(luma, (HASH_SIDE, HASH_SIDE), interpolation=cv2.INTER_AREA)
    waves = cv2.dct(small / WHITE)[:HASH_WAVES, :HASH_WAVES].ravel()[1:]
    rounded = np.round(waves.astype(np.float64), HASH_DIGITS)
    bits = rounded > np.median(rounded)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _checksum(pixels: np.ndarray) -> tuple[int, int]:
    """128 bits of the SHA-256 of the size and the pixels."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(pixels)
    whole = digest.digest()
    return int.from_bytes(whole[:8], "big"), int.from_bytes(whole[8:16], "big")
