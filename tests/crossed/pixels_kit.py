"""Folders of pictures and masks, which tifffile, imageio and rasterio write with their own functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.crossed.data_kit import Picture, WrittenData, drawn, outlined, rgb

Array = np.ndarray
NAMES = ("cat", "dog")
N = 6


def eight_bits(values: Array) -> Array:
    """Values as docs/method.md 1.5 shows them: the high byte, -128 as 0, floats by their range."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.int8:
        return (values.astype(int) + 128).astype(np.uint8)
    if values.dtype == np.uint16:
        return (values >> 8).astype(np.uint8)
    finite = values[np.isfinite(values)].astype(np.float64)
    top = next((one for one in (1, 255, 65535) if finite.min() >= 0 and finite.max() <= one), None)
    low, high = (0.0, float(top)) if top else (float(finite.min()), float(finite.max()))
    held = np.where(np.isfinite(values), values, low).astype(np.float64)
    return np.round(255 * (held - low) / (high - low)).astype(np.uint8)


def folder_of(
    folder: Path,
    *,
    values: Callable[[int], Array],
    save: Callable[[Path, Array], None],
    load: Callable[[Path], Array],
    shown: Callable[[Array], Array] = eight_bits,
    ending: str = ".tif",
    **written: Any,
) -> WrittenData:
    """CLASS/NAME of six pictures.

    Args:
        values: what is saved of a number. load: the tool's own reading. shown: that as 8-bit RGB or grey.
    """
    pictures = []
    for number in range(N):
        label = NAMES[number % 2]
        place = folder / "data" / label / f"{number:03d}{ending}"
        place.parent.mkdir(parents=True, exist_ok=True)
        save(place, values(number))
        pictures.append(Picture(rgb(shown(load(place))), label, file=place.name))
    return WrittenData(spec="{folder}/data", pictures=pictures, **written)


def masks_of(
    folder: Path,
    *,
    values: Callable[[Array], Array],
    save: Callable[[Path, Array], None],
    load: Callable[[Path], Array],
    full: Callable[[Array], Array] = lambda held: held > 0,
    ending: str = ".tif",
    more: str = "",
    then: str = "",
) -> WrittenData:
    """Pictures as PNG, and a mask of each below masks/core.

    Args:
        values: what is saved of (H, W) zeros and ones. full: the mask in what the tool reads.
    """
    pictures = []
    for number in range(N):
        label = NAMES[number % 2]
        picture, mask = folder / "data" / label / f"{number:03d}.png", folder / "masks" / "core" / label
        picture.parent.mkdir(parents=True, exist_ok=True)
        mask.mkdir(parents=True, exist_ok=True)
        drawn(number).save(picture)
        save(mask / f"{number:03d}{ending}", values(outlined(number)))
        truth = full(load(mask / f"{number:03d}{ending}"))
        pictures.append(Picture(rgb(picture), label, mask=truth))
    spec, masks_then = "{folder}/masks" + more, "{folder}/masks" + then if then else ""
    return WrittenData(spec="{folder}/data", pictures=pictures, masks=spec, masks_then=masks_then)


def colours(number: int) -> Array:
    """(H, W, 3) uint8."""
    return np.asarray(drawn(number))


def grey(number: int) -> Array:
    """(H, W) uint8."""
    return np.asarray(drawn(number).convert("L"))


def deep(number: int, bits: int = 16) -> Array:
    """(H, W) uint16 that fills its bits."""
    return ((grey(number).astype(np.uint16) << 8) + 77) >> (16 - bits)


def deep_colours(number: int) -> Array:
    """(H, W, 3) uint16."""
    return (colours(number).astype(np.uint16) << 8) + 77


def with_alpha(number: int) -> Array:
    """(H, W, 4) uint8, transparent outside a rectangle."""
    return np.dstack([colours(number), 255 * outlined(number)])


def near_infrared(number: int) -> Array:
    """(H, W, 4) uint8: red, green, blue and a fourth band with values of all kinds."""
    return np.dstack([colours(number), grey(number + 50)])


def on_white(values: Array) -> Array:
    """(H, W, 3) of (H, W, 4) whose alpha is 0 or 255."""
    return np.where(values[..., 3:] > 0, values[..., :3], 255).astype(np.uint8)


def first_three(values: Array) -> Array:
    return eight_bits(values[..., :3])
