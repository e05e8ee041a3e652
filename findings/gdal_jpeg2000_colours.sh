#!/usr/bin/env bash
# rasterio==1.4.4 and pillow==13.0.0. Seen on 2026-11-30.
#
# Guess before it was run: three bands of 8 bits that rasterio writes as JPEG 2000 are an RGB picture for Pillow, as
# they are where the same call writes a TIFF or a PNG.
#
# What happens: unless the bands are stated to be red, green and blue, GDAL writes the colour space "greyscale" (17)
# beside three components. Pillow opens the file with mode RGB and then fails: "broken data stream when reading image
# file". With `colorinterp` set the colour space is sRGB (16) and the pixels are those that were written.
#
# Output seen:
#   nothing stated: colour space 17, OSError: broken data stream when reading image file
#   red, green, blue stated: colour space 16, largest difference 0
#
# Why it matters: a whole archive of such tiles seems corrupt to a loader that uses Pillow, and every picture of it is
# skipped, though nothing is wrong with the pixels; GDAL itself and OpenJPEG's own tools read them.
#
# Usage: gdal_jpeg2000_colours.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check rasterio==1.4.4 pillow==13.0.0 numpy
fi
cat > "$folder/look.py" <<'PYTHON'
import tempfile
import warnings
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp

warnings.simplefilter("ignore")
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 40, 48), dtype=np.uint8)
RGB = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
SIZE = {"driver": "JP2OpenJPEG", "count": 3, "height": 40, "width": 48, "dtype": "uint8"}


def seen(path: Path) -> str:
    """The colour space that the file states, and what Pillow makes of it."""
    held = path.read_bytes()
    at = held.index(b"colr") + 4  # method, precedence, approximation, then four bytes of the colour space
    said = f"colour space {int.from_bytes(held[at + 3 : at + 7], 'big')}"
    try:
        ours = np.asarray(Image.open(path)).astype(int)
    except OSError as error:
        return f"{said}, OSError: {error}"
    return f"{said}, largest difference {np.abs(ours - np.moveaxis(PIXELS, 0, 2)).max()}"


with tempfile.TemporaryDirectory() as folder:
    lines = {}
    for name, colours in (("nothing stated", None), ("red, green, blue stated", RGB)):
        path = Path(folder, f"{name}.jp2")
        with rasterio.open(path, "w", quality=100, reversible=True, **SIZE) as raster:
            if colours:
                raster.colorinterp = colours
            raster.write(PIXELS)
        lines[name] = seen(path)
        print(f"{name}: {lines[name]}")
assert lines["nothing stated"].startswith("colour space 17, OSError"), "changed: without colours"
assert lines["red, green, blue stated"] == "colour space 16, largest difference 0", "changed: with colours"
PYTHON
"$python" "$folder/look.py"
