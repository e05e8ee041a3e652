"""TIFF files that tifffile writes, as it reads them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tests.crossed.pixels_kit import (
    colours,
    deep,
    deep_colours,
    eight_bits,
    first_three,
    folder_of,
    grey,
    masks_of,
    near_infrared,
    on_white,
    with_alpha,
)


def saved(path: Path, values: np.ndarray, **how: Any) -> None:
    tifffile.imwrite(path, values, **how)


def pictures(values: Any, **written: Any) -> Any:
    how = written.pop("how", {})
    return partial(folder_of, values=values, save=partial(saved, **how), load=tifffile.imread, **written)


def masks(values: Any, **written: Any) -> Any:
    how = written.pop("how", {})
    return partial(masks_of, values=values, save=partial(saved, **how), load=tifffile.imread, **written)


def channels_first(number: int) -> np.ndarray:
    return np.moveaxis(colours(number), 2, 0)


def channels_last(values: np.ndarray) -> np.ndarray:
    return eight_bits(np.moveaxis(values, 0, 2))


def bands(number: int, n: int) -> np.ndarray:
    """(n, H, W) uint8, a page a channel."""
    return np.stack([grey(number + 30 * band) for band in range(n)])


def first(values: np.ndarray) -> np.ndarray:
    return eight_bits(values[0])


CASES = {
    ("imwrite", "RGB"): pictures(colours, how={"photometric": "rgb"}),
    ("imwrite", "RGB, zlib, predictor"): pictures(
        colours, how={"photometric": "rgb", "compression": "zlib", "predictor": True}
    ),
    ("imwrite", "RGB, lzw, tiles"): pictures(
        colours, how={"photometric": "rgb", "compression": "lzw", "tile": (16, 16)}
    ),
    ("imwrite", "RGB, zstd"): pictures(colours, how={"photometric": "rgb", "compression": "zstd"}),
    ("imwrite", "RGB, jpegxl"): pictures(colours, how={"photometric": "rgb", "compression": "jpegxl"}),
    ("imwrite", "RGB, lerc"): pictures(colours, how={"photometric": "rgb", "compression": "lerc"}),
    ("imwrite", "RGB, planar"): pictures(
        channels_first, how={"photometric": "rgb", "planarconfig": "separate"}, shown=channels_last
    ),
    ("imwrite", "RGB, bigtiff"): pictures(colours, how={"photometric": "rgb", "bigtiff": True}),
    ("imwrite", "grey"): pictures(grey),
    ("imwrite", "grey, miniswhite"): pictures(
        grey, how={"photometric": "miniswhite"}, shown=lambda held: 255 - held
    ),
    ("imwrite", "16 bits"): pictures(deep),
    ("imwrite", "16 bits, miniswhite"): pictures(
        deep, how={"photometric": "miniswhite"}, shown=lambda held: eight_bits(65535 - held)
    ),
    ("imwrite", "12 bits in 16"): pictures(
        partial(deep, bits=12), shown=lambda held: (held >> 4).astype(np.uint8), excused="range"
    ),
    ("imwrite", "RGB, 16 bits"): pictures(deep_colours, how={"photometric": "rgb"}),
    ("imwrite", "float32 in 0..1"): pictures(lambda number: grey(number).astype(np.float32) / 255),
    ("imwrite", "float32 in -1..1"): pictures(lambda number: grey(number).astype(np.float32) / 127.5 - 1),
    ("imwrite", "float64 in 0..1"): pictures(lambda number: grey(number) / 255),
    ("imwrite", "RGB, float32"): pictures(
        lambda number: colours(number).astype(np.float32) / 255, how={"photometric": "rgb"}
    ),
    ("imwrite", "int8"): pictures(
        lambda number: (grey(number).astype(int) - 128).astype(np.int8),
        shown=lambda held: (held.astype(int) + 128).astype(np.uint8),
    ),
    ("imwrite", "int16"): pictures(lambda number: grey(number).astype(np.int16) - 128),
    ("imwrite", "uint32"): pictures(lambda number: deep(number).astype(np.uint32) * 1000),
    ("imwrite", "RGBA, unassociated alpha"): pictures(
        with_alpha, how={"photometric": "rgb", "extrasamples": ["unassalpha"]}, shown=on_white
    ),
    ("imwrite", "RGB and a fourth band, unspecified"): pictures(
        near_infrared, how={"photometric": "rgb", "extrasamples": ["unspecified"]}, shown=first_three
    ),
    ("imwrite", "four bands, no word of alpha"): pictures(
        near_infrared, how={"photometric": "rgb"}, shown=first_three
    ),
    ("imwrite", "five channels as pages, ImageJ"): pictures(
        partial(bands, n=5), how={"imagej": True, "metadata": {"axes": "CYX"}}, shown=first, excused="page"
    ),
    ("imwrite", "three channels as pages, OME"): pictures(
        partial(bands, n=3),
        how={"ome": True, "metadata": {"axes": "CYX"}},
        ending=".ome.tif",
        shown=first,
        excused="page",
    ),
    ("imwrite", "mask, bool"): masks(lambda held: held.astype(bool)),
    ("imwrite", "mask, 0 and 1"): masks(lambda held: held),
    ("imwrite", "mask, 0 and 255"): masks(lambda held: held * 255),
    ("imwrite", "mask, uint16 0 and 1"): masks(lambda held: held.astype(np.uint16)),
    ("imwrite", "mask, uint16 0 and 65535"): masks(lambda held: held.astype(np.uint16) * 65535),
    ("imwrite", "mask, float32 0 and 1"): masks(lambda held: held.astype(np.float32)),
    ("imwrite", "mask, int32 0 and 1"): masks(lambda held: held.astype(np.int32)),
    ("imwrite", "mask, 0, 1 and 2"): masks(
        lambda held: held + 2 * (np.arange(48) > 40).astype(np.uint8),
        full=lambda held: held == 1,
        then="?value=1",
    ),
}
