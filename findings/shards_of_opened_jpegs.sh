#!/usr/bin/env bash
# mosaicml-streaming==0.13.0 and litdata==0.2.76 with pillow==13.0.0. Seen on 2026-11-30.
#
# Guess before it was run: a picture that is given to the writer of a shard is stored with the pixels that it has then.
#
# What happens: of a JPEG that Pillow opened (a JpegImageFile with a file name) both writers store the bytes of its
# file, whatever was done to the picture since. Pillow's methods that change a picture in place keep its class and file
# name: thumbnail, paste, ImageDraw, exif_transpose(in_place=True). Those that return another one (resize, crop, copy,
# convert) lose both, and their pixels are stored. Neither writer says anything.
#
# Output seen (what was given, and what came back):
#   streaming, as opened: 96 x 64, mean 128 -> 96 x 64, mean 128
#   streaming, thumbnail: 32 x 21, mean 128 -> 96 x 64, mean 128
#   streaming, painted black: 96 x 64, mean 0 -> 96 x 64, mean 128
#   streaming, painted black, copy: 96 x 64, mean 0 -> 96 x 64, mean 0
#   litdata, as opened: 96 x 64, mean 128 -> 96 x 64, mean 128
#   litdata, thumbnail: 32 x 21, mean 128 -> 96 x 64, mean 128
#   litdata, painted black: 96 x 64, mean 0 -> 96 x 64, mean 128
#   litdata, painted black, copy: 96 x 64, mean 0 -> 96 x 64, mean 0
#
# Why it matters: a set that was made smaller, turned upright or freed of faces and plates before it was packed still
# holds the pictures as they were, and an encoder trained on the shards sees other pixels than one that is evaluated
# on what the same code returns.
#
# Usage: shards_of_opened_jpegs.sh [PYTHON]; PYTHON has the packages already, else they are installed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=${1:-$folder/venv/bin/python}
if [ $# -eq 0 ]; then
    python3 -m venv "$folder/venv"
    "$python" -m pip install --quiet --disable-pip-version-check mosaicml-streaming==0.13.0 litdata==0.2.76 \
        pillow==13.0.0
fi
cat > "$folder/look.py" <<'PYTHON'
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import litdata
import numpy as np
from PIL import Image, ImageDraw
from streaming import MDSWriter, StreamingDataset

ROOT = Path(sys.argv[1])
PHOTOGRAPH = str(ROOT / "photograph.jpg")


def thumbnail(picture: Image.Image) -> Image.Image:
    picture.thumbnail((32, 32))
    return picture


def black(picture: Image.Image) -> Image.Image:
    ImageDraw.Draw(picture).rectangle((0, 0, *picture.size), fill=(0, 0, 0))
    return picture


WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as opened": lambda picture: picture,
    "thumbnail": thumbnail,
    "painted black": black,
    "painted black, copy": lambda picture: black(picture).copy(),
}


def sample(way: str, _: int) -> dict[str, Image.Image]:
    return {"image": WAYS[way](Image.open(PHOTOGRAPH))}


def by_streaming(way: str, place: str) -> np.ndarray:
    with MDSWriter(out=place, columns={"image": "jpeg"}) as writer:
        writer.write(sample(way, 0))
    return np.asarray(StreamingDataset(local=place, batch_size=1, shuffle=False)[0]["image"])


def by_litdata(way: str, place: str) -> np.ndarray:
    options = {"chunk_size": 1, "num_workers": 1, "start_method": "fork", "verbose": False}
    litdata.optimize(fn=partial(sample, way), inputs=[0], output_dir=place, **options)
    back = np.asarray(litdata.StreamingDataset(place)[0]["image"])
    return back.transpose(1, 2, 0) if len(back) == 3 else back  # a tensor has its channels first


def about(pixels: np.ndarray) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}, mean {pixels.mean():.0f}"


pixels = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
Image.fromarray(pixels).save(PHOTOGRAPH, quality=95)
whole = about(np.asarray(Image.open(PHOTOGRAPH)))
for tool, write in (("streaming", by_streaming), ("litdata", by_litdata)):
    for number, way in enumerate(WAYS):
        given = about(np.asarray(sample(way, 0)["image"]))
        stored = about(write(way, str(ROOT / f"{tool}{number}")))
        print(f"{tool}, {way}: {given} -> {stored}")
        assert stored == (given if "copy" in way else whole), "changed: what is stored"
PYTHON
"$python" "$folder/look.py" "$folder" 2> "$folder/said" || { tail -5 "$folder/said"; exit 1; }
