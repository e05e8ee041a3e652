"""Scenes and copies of some, degraded; what cleanvision says of them is `cleanvision.json`.

`python -m tests.analysis.degraded_scenes FOLDER` writes the pictures; MAKE prints cleanvision's scores of
them, in an environment that has it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from core.data.images import open_images

MAKE = """
import json, sys
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
lab.find_issues(n_jobs=1, verbose=False)
table = lab.issues.filter(regex="dark_score|light_score|odd_aspect_ratio_score|blurry_score")
table.index = [str(path).rpartition("/")[2] for path in table.index]
sets = {
    kind: [sorted(str(path).rpartition("/")[2] for path in one) for one in lab.info[kind]["sets"]]
    for kind in ("exact_duplicates", "near_duplicates")
}
scores = table[["dark_score", "light_score", "odd_aspect_ratio_score", "blurry_score"]].round(6)
print(json.dumps({"scores": dict(zip(table.index, scores.values.tolist())), **sets}))
"""


def scenes() -> Iterator[tuple[str, Image.Image]]:
    """Names and pictures."""
    source = open_images("glyphworld?train=24&val=0&seed=5")
    for row in range(24):
        picture = source.read(row).resize((300, 300 + 10 * (row % 7)), Image.Resampling.BICUBIC)
        yield f"{row:02}.png", picture
        if row < 5:
            yield f"{row:02}_copy.png", picture.copy()
        elif row < 10:
            yield f"{row:02}_dark.png", picture.point(lambda value: int(value * 0.2))
        elif row < 15:
            yield f"{row:02}_blur.png", picture.filter(ImageFilter.GaussianBlur(6))
        elif row < 20:
            noise = np.random.default_rng(row).integers(-3, 4, np.asarray(picture).shape)
            noisy = np.clip(np.asarray(picture, int) + noise, 0, 255)
            yield f"{row:02}_noise.png", Image.fromarray(noisy.astype(np.uint8))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir()
    for name, picture in scenes():
        picture.save(folder / name)
