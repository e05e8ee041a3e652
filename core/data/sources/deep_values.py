"""Values of more than 8 bits, or of other types, as 8-bit pixels (docs/method.md 1.5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from core.data.sources.pixel_facts import DEEP, OWN_RANGE, FileFacts
from core.data.sources.pixel_reading import AS_STATED, PixelReading

STRIP = 4_000_000  # values scaled at a time: all at once in double precision, they would take gigabytes
SIXTEEN = 65535.0
BOUNDS = (1.0, 255.0, SIXTEEN)  # of floats, whose range no file declares


@dataclass(frozen=True)
class Values:
    """The values of a picture as a file holds them.

    Attributes:
        values: (H, W) or (H, W, 3), whole numbers or floats.
        nodata: the value that stands for none; such pixels are black.
        zero_is_white: low values are bright (MINISWHITE).
        colour_key: the value that is transparent, of (H, W).
    """

    values: np.ndarray
    nodata: float | None = None
    zero_is_white: bool = False
    colour_key: int | None = None


def as_picture(given: Values, reading: PixelReading, facts: FileFacts) -> Image.Image:
    """Scale values to 8 bits.

    v -> round(255 (v - black) / (white - black)). 16-bit values lose their low byte instead: exact for files
    made by v * 256 and by v * 257 alike; those of 8 bits with a sign are moved by 128. Floats have no
    declared range: the first of [0, 1], [0, 255], [0, 65535] that contains all values is used, else the range
    of the values; the range of the values also for whole numbers beyond 16 bits. NaN, infinity and `nodata`
    have no part in a range and count as the darkest value. A range that `reading` names comes before all.

    Args:
        facts: gets the range of the values, and whether it was taken for the scale.
    Returns:
        a grey picture for (H, W), one in RGB for (H, W, 3).
    """
    values = given.values
    rows = max(STRIP // max(values[:1].size, 1), 1)
    strips = [values[start : start + rows] for start in range(0, len(values), rows)]
    low, high = _range(strips, given.nodata)
    black, white = _ends(values.dtype, low, high, reading, facts)
    pixels = np.empty(values.shape, np.uint8)
    for number, strip in enumerate(strips):
        scaled = _scaled(_filled(strip, low, given.nodata), black, white)
        if given.zero_is_white:
            scaled = 255 - scaled
        if given.nodata is not None:
            scaled[strip == given.nodata] = 0
        if given.colour_key is not None and reading == AS_STATED:
            scaled[strip == given.colour_key] = 255
        pixels[number * rows :][: len(strip)] = scaled
    return Image.fromarray(pixels)


def _range(strips: Sequence[np.ndarray], nodata: float | None) -> tuple[Any, Any]:
    """Return the minimum and maximum finite value; zeros if there is none."""
    ends = []
    for strip in strips:
        values = strip[np.isfinite(strip)]
        if nodata is not None:
            values = values[values != nodata]
        if values.size:
            ends.append((values.min(), values.max()))
    return (min(low for low, _ in ends), max(high for _, high in ends)) if ends else (0, 0)


def _ends(
    kind: np.dtype, low: Any, high: Any, reading: PixelReading, facts: FileFacts
) -> tuple[float, float]:
    """Return the values that become black and white."""
    file_range = float(low), float(high)
    if reading.own_range:
        return file_range
    if reading.value_range is not None:
        return reading.value_range
    if kind.itemsize == 1:
        return (-128.0, 127.0) if kind.kind == "i" else (0.0, 255.0)
    bounds = (SIXTEEN,) if kind.kind in "iu" else BOUNDS
    fits = [bound for bound in bounds if low >= 0 and high <= bound]
    if not fits:
        facts[OWN_RANGE] = file_range
        return file_range
    facts[DEEP] = (*file_range, 0.0, fits[0])
    return 0.0, fits[0]


def _filled(values: np.ndarray, low: Any, nodata: float | None) -> np.ndarray:
    is_valid = np.isfinite(values)
    if nodata is not None:
        is_valid &= values != nodata
    return values if is_valid.all() else np.where(is_valid, values, low)


def _scaled(values: np.ndarray, black: float, white: float) -> np.ndarray:
    if values.dtype.kind in "iu" and (black, white) == (0.0, SIXTEEN):
        return (values.astype(np.int64) >> 8).astype(np.uint8)
    share = (values.astype(np.float64) - black) / ((white - black) or 1.0)
    return np.round(255 * np.clip(share, 0, 1)).astype(np.uint8)
