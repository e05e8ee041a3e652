#!/usr/bin/env bash
# transformers==4.44.2, 4.57.3 and 5.24.0 with torch 2.14.1 and torchvision 0.29.1. Seen on 2026-11-29.
# PYTHON is an interpreter that has torch and torchvision; the rest is installed.
#
# Guess before it was run: one folder, config.json with preprocessor_config.json and weights, gives the same pixels
# and the same features in every release that reads it, to rounding.
#
# What happens:
# * ViTImageProcessor with do_center_crop: 4.57 leaves the middle uncut (73 x 73), 5.24 cuts it (64 x 64).
# * ViTImageProcessor of 5.24 resizes with torchvision, that of 4.57 with Pillow: pixels differ by single levels,
#   .08 % of the norm of this smooth picture (.8 % where small pictures full of edges are squashed).
# * DINOv2 with places for 98 pixels that is shown 56: 4.44 resamples them with the factor (n + .1) / m, later
#   releases to the size n. The features of one file are .6 % apart (5 % in a network with stronger places).
# * ViTMSNForImageClassification of 5.24 saves `vit.embeddings.…` but `encoder.layer.…` without `vit.`.
#
# Output seen:
#   centre crop: 4.57 73 x 73, 5.24 64 x 64
#   resized pixels: relative difference 0.00081
#   DINOv2, smaller view: relative difference of 4.44 and 5.24 0.006, of 4.57 and 5.24 0
#   ViT-MSN: 5.24 saves ['classifier', 'encoder', 'vit'], 4.57 ['classifier', 'vit']
#
# Why it matters: "transformers' own pixels" and "transformers' own features" of a folder need a release. Who checks
# a port against one of them has to say which.
set -euo pipefail
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
shared=$("$python" -c 'import os, torch, torchvision; print(os.path.dirname(os.path.dirname(torch.__file__)))')
cat > "$folder/look.py" <<'PYTHON'
import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image
from safetensors import safe_open
from transformers import AutoImageProcessor

release, place = sys.argv[1], Path(sys.argv[2])
transformers.logging.set_verbosity_error()
rng = np.random.default_rng(0)
small = Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8))
picture = small.resize((131, 97), Image.Resampling.BICUBIC)


def pixels(**settings):
    home = place / "processor"
    home.mkdir(exist_ok=True)
    said = {"image_processor_type": "ViTImageProcessor", "resample": 2, **settings}
    (home / "preprocessor_config.json").write_text(json.dumps(said))
    return AutoImageProcessor.from_pretrained(home)(images=picture, return_tensors="pt")["pixel_values"]


SIZES = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
cut = pixels(size={"height": 73, "width": 73}, do_center_crop=True, crop_size={"height": 64, "width": 64})
found = {"cut": list(cut.shape[-2:]), "pixels": pixels(size={"height": 64, "width": 64}).flatten().tolist()}
home = place / "dinov2"
if not home.exists():
    torch.manual_seed(0)
    model = transformers.Dinov2Model(transformers.Dinov2Config(**SIZES, image_size=98, patch_size=14))
    for weights in model.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    model.save_pretrained(home)
model = transformers.Dinov2Model.from_pretrained(home).eval()
x = torch.randn(1, 3, 56, 56, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    found["features"] = model(pixel_values=x).last_hidden_state.flatten().tolist()
settings = transformers.ViTMSNConfig(**SIZES, intermediate_size=64, image_size=32, patch_size=16)
transformers.ViTMSNForImageClassification(settings).save_pretrained(place / release)
with safe_open(place / release / "model.safetensors", "pt") as file:
    found["begin"] = sorted({key.split(".")[0] for key in file.keys()})
(place / f"{release}.json").write_text(json.dumps(found))
PYTHON
for release in 4.44.2 4.57.3 5.24.0; do
    case $release in
        4.44.2) more=("tokenizers<0.20" "huggingface_hub<1.0") ;;
        4.57.3) more=("tokenizers<0.23" "huggingface_hub<1.0") ;;
        *) more=("tokenizers<0.24" "huggingface_hub>=1.0") ;;
    esac
    "$python" -m venv "$folder/$release.env"
    own=$("$folder/$release.env/bin/python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
    echo "$shared" > "$own/shared.pth"
    pip="$folder/$release.env/bin/python -m pip install --quiet --disable-pip-version-check"
    $pip --no-deps "transformers==$release"
    $pip "${more[@]}" regex requests packaging filelock pyyaml tqdm
    "$folder/$release.env/bin/python" "$folder/look.py" "$release" "$folder" 2> "$folder/errors" || {
        cat "$folder/errors"
        exit 1
    }
done
cat > "$folder/compare.py" <<'PYTHON'
import json
import sys

import numpy as np

four, middle, five = (json.load(open(f"{sys.argv[1]}/{one}.json")) for one in ("4.44.2", "4.57.3", "5.24.0"))


def apart(one, other, what):
    one, other = (np.array(each[what]) for each in (one, other))
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


sizes = [" x ".join(map(str, one["cut"])) for one in (middle, five)]
print(f"centre crop: 4.57 {sizes[0]}, 5.24 {sizes[1]}")
of_pixels = apart(middle, five, "pixels")
print(f"resized pixels: relative difference {of_pixels:.2g}")
old, new = apart(four, five, "features"), apart(middle, five, "features")
print(f"DINOv2, smaller view: relative difference of 4.44 and 5.24 {old:.1g}, of 4.57 and 5.24 {new:.1g}")
print(f"ViT-MSN: 5.24 saves {five['begin']}, 4.57 {middle['begin']}")
assert sizes == ["73 x 73", "64 x 64"], "changed: the centre crop"
assert 0.0001 < of_pixels < 0.05, "changed: how pixels are resized"
assert old > 0.001 and new < 1e-5, "changed: how places are resampled"
assert "encoder" in five["begin"] and "encoder" not in middle["begin"], "changed: names of ViT-MSN"
PYTHON
"$python" "$folder/compare.py" "$folder"
