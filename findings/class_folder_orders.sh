#!/usr/bin/env bash
# timm==1.0.31 and torchvision==0.29.1. Seen on 2026-11-30.
#
# Guess before it was run: two readers of class folders number the classes alike, by their sorted names; timm's
# networks are trained on ImageNet, where all names have one length, so nobody would notice otherwise.
#
# What happens: torchvision's ImageFolder sorts by code points. timm's reader sorts numbers as numbers, and without
# regard to case. So a classifier that timm's train.py trained on folders 1 to 12, or on names in two cases, has its
# outputs in another order than torchvision would name them; neither writes the names into the weights.
#
# Output seen:
#   timm: 1, 2, 10, 20, a, B
#   torchvision: 1, 10, 2, 20, B, a
#   classes with another number: 4 of 6
#
# Why it matters: a checkpoint without class names is right or wrong by the reader that it was trained with. Who
# evaluates it with the other one sees some classes exchanged, and most of them right.
#
# Usage: class_folder_orders.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check timm==1.0.31 torchvision==0.29.1
fi
cat > "$folder/look.py" <<'PYTHON'
import tempfile
from pathlib import Path

from PIL import Image
from timm.data import create_dataset
from torchvision.datasets import ImageFolder

NAMES = ["1", "2", "10", "20", "B", "a"]
with tempfile.TemporaryDirectory() as folder:
    for name in NAMES:
        place = Path(folder, name)
        place.mkdir()
        Image.new("RGB", (8, 8)).save(place / "x.png")
    of_timm = create_dataset("", root=folder).reader.class_to_idx
    of_torchvision = ImageFolder(folder).class_to_idx
for tool, classes in (("timm", of_timm), ("torchvision", of_torchvision)):
    print(f"{tool}:", ", ".join(sorted(classes, key=classes.get)))
moved = [name for name in NAMES if of_timm[name] != of_torchvision[name]]
print("classes with another number:", len(moved), "of", len(NAMES))
assert len(moved) == 4, "changed: the orders"
PYTHON
"$python" "$folder/look.py"
