#!/usr/bin/env bash
# pillow==13.0.0, tifffile==2026.3.3 and imagecodecs==2026.3.6. Seen on 2026-11-30.
#
# Guess before it was run: Pillow either reads a TIFF or JPEG 2000 of 16 bits a colour as its high bytes, or refuses it.
#
# What happens: it does so for TIFF with colours side by side (contiguous). Where the planes come one after the other,
# it opens the file without a word and takes bytes for values, so that the picture is another one. Of JPEG 2000
# in colours it reads white as black.
#
# Output seen:
#   TIFF, contiguous: differs by at most 0
#   TIFF, planes: differs by at most 233
#   JPEG 2000: white is read as 0
#
# Why it matters: satellites' and microscopes' files are of this kind, and the picture that comes out looks like one.
#
# Usage: planar_16_bit_tiff.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3 imagecodecs==2026.3.6
fi
cat > "$folder/look.py" <<'PYTHON'
import io

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

values = np.stack([np.add.outer(np.arange(32), np.arange(32)) * 900 + 3000 * band for band in range(3)], axis=2)
values = values.astype(np.uint16)
found = {}
for name, plane in (("contiguous", "contig"), ("planes", "separate")):
    file = io.BytesIO()
    stored = values if plane == "contig" else np.moveaxis(values, 2, 0)
    tifffile.imwrite(file, stored, photometric="rgb", planarconfig=plane)
    with Image.open(file) as picture:
        found[name] = int(np.abs(np.asarray(picture).astype(int) - (values >> 8)).max())
    print(f"TIFF, {name}: differs by at most {found[name]}")
white = np.full((32, 32, 3), 65535, np.uint16)
data = imagecodecs.jpeg2k_encode(white, level=0, reversible=True, codecformat="jp2")
with Image.open(io.BytesIO(data)) as picture:
    found["white"] = int(np.asarray(picture).max())
print("JPEG 2000: white is read as", found["white"])
assert found["contiguous"] == 0 and found["planes"] > 50, "changed: TIFF"
assert found["white"] == 0, "changed: JPEG 2000"
PYTHON
"$python" "$folder/look.py"
