#!/usr/bin/env bash
# cityscapesScripts==2.3.0 with pillow==12.3.0. Seen on 2026-11-30.
#
# Guess before it was run: the images of a panoptic .json are the pictures of the data set, by their own file names, as
# in COCO's, so that any reader of COCO finds them.
#
# What happens: createPanopticImgs makes the file name of a picture out of that of its label picture, and leaves
# "_gtFine" in it: a_gtFine_leftImg8bit.png for a_leftImg8bit.png. No file is called so; only the image id is right.
#
# Output seen:
#   picture: lindau_000000_000019_leftImg8bit.png
#   file_name in the .json: lindau_000000_000019_gtFine_leftImg8bit.png
#   id in the .json: lindau_000000_000019
#
# Why it matters: a reader that goes by file names finds none of the images, or skips all of them in silence.
#
# Usage: cityscapes_panoptic_names.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check cityscapesScripts==2.3.0 pillow==12.3.0
fi
cat > "$folder/look.py" <<'PYTHON'
import contextlib
import io
import json
import sys
from pathlib import Path

import numpy as np
from cityscapesscripts.preparation.createPanopticImgs import convert2panoptic
from PIL import Image

root = Path(sys.argv[1])
name = "lindau_000000_000019"
pictures, labels = root / "leftImg8bit/val/lindau", root / "gtFine/val/lindau"
for place in (pictures, labels, root / "panoptic"):
    place.mkdir(parents=True)
picture = pictures / f"{name}_leftImg8bit.png"
Image.new("RGB", (8, 4)).save(picture)
Image.fromarray(np.full((4, 8), 7, np.uint16)).save(labels / f"{name}_gtFine_instanceIds.png")  # road
with contextlib.redirect_stdout(io.StringIO()):
    convert2panoptic(str(root / "gtFine"), str(root / "panoptic"), setNames=["val"])
(image,) = json.loads((root / "panoptic/cityscapes_panoptic_val.json").read_text())["images"]
print("picture:", picture.name)
print("file_name in the .json:", image["file_name"])
print("id in the .json:", image["id"])
assert image["file_name"] == picture.name.replace("_left", "_gtFine_left"), "changed: the names"
PYTHON
"$python" "$folder/look.py" "$folder"
