"""Rasters that rasterio (GDAL) writes, as it reads them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

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

PLACE = {"crs": "EPSG:32633", "transform": from_origin(500000, 5400000, 10, 10)}


def saved(path: Path, values: np.ndarray, colour: Any = None, palette: Any = None, **how: Any) -> None:
    bands = values[None] if values.ndim == 2 else np.moveaxis(values, 2, 0)
    size = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
    place = {} if how.get("driver") in ("PNG", "JPEG", "WEBP", "BMP", "GIF") else PLACE
    with rasterio.open(path, "w", **({"driver": "GTiff"} | size | place | how)) as raster:
        if colour:
            raster.colorinterp = colour
        if palette:
            raster.write_colormap(1, palette)
        raster.write(bands)


def loaded(path: Path) -> np.ndarray:
    """(H, W) or (H, W, n)."""
    with rasterio.open(path) as raster:
        bands = raster.read()
    return bands[0] if len(bands) == 1 else np.moveaxis(bands, 0, 2)


def of_nodata(path: Path) -> np.ndarray:
    """Bands with NaN where nothing was measured."""
    with rasterio.open(path) as raster:
        bands = raster.read(masked=True).astype(np.float64).filled(np.nan)
    return bands[0] if len(bands) == 1 else np.moveaxis(bands, 0, 2)


def pictures(values: Any, ending: str = ".tif", load: Any = loaded, **written: Any) -> Any:
    how = written.pop("how", {})
    return partial(folder_of, values=values, save=partial(saved, **how), load=load, ending=ending, **written)


def masks(values: Any, ending: str = ".tif", **written: Any) -> Any:
    how = written.pop("how", {})
    return partial(masks_of, values=values, save=partial(saved, **how), load=loaded, ending=ending, **written)


def sentinel(number: int, n: int = 13) -> np.ndarray:
    """(H, W, n) uint16 reflectances of 0 to 10,000."""
    return np.stack([grey(number + 30 * band).astype(np.uint16) * 39 for band in range(n)], axis=2)


def heights(number: int) -> np.ndarray:
    """(H, W) float32 with -9999 where nothing was measured."""
    values = grey(number).astype(np.float32)
    values[:4] = -9999
    return values


def measured(values: np.ndarray) -> np.ndarray:
    """Grey by the known range; the darkest where nothing was measured."""
    return eight_bits(values)


def infra(number: int) -> np.ndarray:
    """(H, W, 4) uint16."""
    return np.dstack([deep_colours(number), deep(number + 50)])


RGBN = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.undefined]
CASES = {
    ("open(w)", "three bands"): pictures(colours),
    ("open(w)", "photometric=RGB"): pictures(colours, how={"photometric": "RGB"}),
    ("open(w)", "interleave=band"): pictures(colours, how={"interleave": "band"}),
    ("open(w)", "deflate, predictor=2, tiled"): pictures(
        colours,
        how={"compress": "deflate", "predictor": 2, "tiled": True, "blockxsize": 16, "blockysize": 16},
    ),
    ("open(w)", "lzw"): pictures(colours, how={"compress": "lzw"}),
    ("open(w)", "zstd"): pictures(colours, how={"compress": "zstd"}),
    ("open(w)", "packbits"): pictures(colours, how={"compress": "packbits"}),
    ("open(w)", "COG"): pictures(colours, how={"driver": "COG"}),
    ("open(w)", "one band"): pictures(grey),
    ("open(w)", "uint16"): pictures(deep),
    ("open(w)", "three bands, uint16"): pictures(deep_colours),
    ("open(w)", "Sentinel-2, 3 of 13 bands, 0 to 10,000"): pictures(
        partial(sentinel, n=3), shown=lambda held: np.round(held / 39).astype(np.uint8), excused="range"
    ),
    ("open(w)", "Sentinel-2, 13 bands"): pictures(sentinel, shown=first_three),
    ("open(w)", "four bands, RGB and near infrared"): pictures(
        near_infrared, how={"colour": RGBN}, shown=first_three
    ),
    ("open(w)", "four bands, nothing stated"): pictures(near_infrared, shown=first_three),
    ("open(w)", "four bands, photometric=RGB"): pictures(
        near_infrared, how={"photometric": "RGB"}, shown=first_three
    ),
    ("open(w)", "four bands, uint16"): pictures(infra, shown=first_three),
    ("open(w)", "four bands, alpha=yes"): pictures(
        with_alpha, how={"photometric": "RGB", "alpha": "yes"}, shown=on_white
    ),
    ("open(w)", "two bands"): pictures(
        lambda number: near_infrared(number)[..., :2], shown=lambda held: held[..., 0]
    ),
    ("open(w)", "float32, nodata=-9999"): pictures(
        heights, load=of_nodata, how={"nodata": -9999}, shown=measured
    ),
    ("open(w)", "uint8, nodata=0"): pictures(colours, how={"nodata": 0}),
    ("open(w)", "uint16, nodata=0"): pictures(deep, how={"nodata": 0}),
    ("open(w)", "float32 in 0..1"): pictures(lambda number: grey(number).astype(np.float32) / 255),
    ("open(w)", "int16"): pictures(lambda number: grey(number).astype(np.int16) - 128),
    ("open(w)", "a colour table"): pictures(
        lambda number: grey(number) // 64,
        how={
            "palette": {0: (10, 20, 30, 255), 1: (200, 0, 0, 255), 2: (0, 200, 0, 255), 3: (250, 250, 0, 255)}
        },
        shown=lambda held: np.array([(10, 20, 30), (200, 0, 0), (0, 200, 0), (250, 250, 0)], np.uint8)[held],
    ),
    ("open(w)", "PNG"): pictures(colours, ".png", how={"driver": "PNG"}),
    ("open(w)", "PNG, four bands"): pictures(with_alpha, ".png", how={"driver": "PNG"}, shown=on_white),
    ("open(w)", "WebP, lossless"): pictures(colours, ".webp", how={"driver": "WEBP", "LOSSLESS": True}),
    ("open(w)", "WebP, lossless, near infrared"): pictures(
        near_infrared, ".webp", how={"driver": "WEBP", "LOSSLESS": True, "EXACT": 1}, shown=first_three
    ),
    ("open(w)", "JPEG 2000, lossless, nothing stated"): pictures(
        colours, ".jp2", how={"driver": "JP2OpenJPEG", "quality": 100, "reversible": True}
    ),
    ("open(w)", "JPEG 2000, lossless, red, green and blue stated"): pictures(
        colours, ".jp2", how={"colour": RGBN[:3], "driver": "JP2OpenJPEG", "quality": 100, "reversible": True}
    ),
    ("open(w)", "JPEG 2000, uint16, red, green and blue stated"): pictures(
        deep_colours,
        ".jp2",
        how={"colour": RGBN[:3], "driver": "JP2OpenJPEG", "quality": 100, "reversible": True},
    ),
    ("open(w)", "JPEG 2000, uint16, three bands"): pictures(
        deep_colours, ".jp2", how={"driver": "JP2OpenJPEG", "quality": 100, "reversible": True}
    ),
    ("open(w)", "mask, 0 and 1"): masks(lambda held: held),
    ("open(w)", "mask, nbits=1"): masks(lambda held: held, how={"nbits": 1}),
    ("open(w)", "mask, 0 and 255"): masks(lambda held: held * 255),
    ("open(w)", "mask, float32"): masks(lambda held: held.astype(np.float32)),
    ("open(w)", "mask, 0 and 1, nodata=0"): masks(lambda held: held, how={"nodata": 0}),
    ("open(w)", "mask, classes 0 to 3"): masks(
        lambda held: held + 2 * (np.arange(48) > 40).astype(np.uint8),
        full=lambda held: held == 1,
        then="?value=1",
    ),
}
