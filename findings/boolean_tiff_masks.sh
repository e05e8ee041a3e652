#!/usr/bin/env bash
# tifffile==2026.3.3 and pillow==13.0.0. Seen on 2026-11-30.
#
# Guess before it was run: a boolean mask that tifffile or imageio writes as TIFF is white where it is True.
#
# What happens: tifffile stores 1 for True and declares that 0 is white. Its own imread gives the mask back; every
# reader that follows the declaration, such as Pillow, gives the complement.
#
# Output seen:
#   True in the mask: 100 of 1024
#   tifffile reads: 100
#   Pillow reads: 924
#
# Why it matters: a set of such masks looks whole, and all overlaps are those of the ground.
#
# Usage: boolean_tiff_masks.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0 tifffile==2026.3.3
fi
cat > "$folder/look.py" <<'PYTHON'
import io

import numpy as np
import tifffile
from PIL import Image

mask = np.zeros((32, 32), bool)
mask[8:18, 8:18] = True
file = io.BytesIO()
tifffile.imwrite(file, mask)
print("True in the mask:", mask.sum(), "of", mask.size)
file.seek(0)
by_tifffile = int(tifffile.imread(file).astype(bool).sum())
print("tifffile reads:", by_tifffile)
by_pillow = int(np.asarray(Image.open(file)).sum())
print("Pillow reads:", by_pillow)
assert by_tifffile == mask.sum() and by_pillow == mask.size - mask.sum(), "changed: booleans"
PYTHON
"$python" "$folder/look.py"
