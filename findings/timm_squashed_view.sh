#!/usr/bin/env bash
# timm==1.0.31 with torchvision==0.29.1. Seen on 2026-11-30.
#
# Guess before it was run: crop_mode "squash" shows a network the whole picture, squashed to its input, and crop_pct
# means nothing then, since nothing is cropped.
#
# What happens: the picture is squashed to input size / crop_pct, and the centre is cut out of that. Of a picture
# whose outermost 2 % are white, nothing white is seen at crop_pct .95.
#
# Output seen:
#   crop_pct 1.0: white pixels at the border of the view: True
#   crop_pct 0.95: white pixels at the border of the view: False
#   published settings with squash and crop_pct below 1: 11
#
# Why it matters: who ports such a network by its config.json and drops crop_pct shows it other pixels, a twentieth
# larger; heatmaps that are laid over the whole picture are off by as much.
#
# Usage: timm_squashed_view.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check timm==1.0.31 torchvision==0.29.1
fi
cat > "$folder/look.py" <<'PYTHON'
import numpy as np
import timm
from PIL import Image
from timm.data import create_transform

picture = np.zeros((500, 1000, 3), np.uint8)
picture[:10] = picture[-10:] = 255
picture[:, :20] = picture[:, -20:] = 255
seen = {}
for share in (1.0, 0.95):
    view = create_transform((3, 224, 224), crop_mode="squash", crop_pct=share, mean=(0,) * 3, std=(1,) * 3)
    border = view(Image.fromarray(picture))[0]
    seen[share] = bool(border[0].max() > 0.9)
    print(f"crop_pct {share}: white pixels at the border of the view:", seen[share])
configs = [timm.get_pretrained_cfg(name) for name in timm.list_pretrained()]
n = sum(one is not None and one.crop_mode == "squash" and (one.crop_pct or 1) < 1 for one in configs)
print("published settings with squash and crop_pct below 1:", n)
assert seen == {1.0: True, 0.95: False}, "changed: what a squashed view shows"
PYTHON
"$python" "$folder/look.py"
