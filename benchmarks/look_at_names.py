"""Contact sheets to judge names by: `python -m benchmarks.look_at_names STUDY FOLDER [words|classes]`.

Of the features that are called by words, or by a class, thirty are drawn with a seed; each row is one, with
the eight evaluation images on which it is strongest. Printed: how many have a name, and how many have
a class when the labels of all images are shuffled.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.common.assets import asset
from core.measures.feature_names import feature_names, majority_class
from core.measures.slice_features import STRONGEST
from core.measures.slice_words import feature_words
from core.store import Study, open_study

DRAWN, SEED, ROWS = 30, 70, 15
TILE, NAME = 76, 300  # pixels


def strongest(study: Study, feature: int) -> list[int]:
    """The evaluation images on which a feature is strongest, among the stored ones; any, where they lack."""
    rows = [int(row) for row in study.vector("top_images")[feature] if row >= 0]
    held_out = [row for row in rows if study.is_val[row]]
    return (held_out if len(held_out) >= STRONGEST else rows)[:STRONGEST]


def sheet(study: Study, names: dict[int, str], features: list[int]) -> Image.Image:
    """A row of pictures a feature."""
    page = Image.new("RGB", (NAME + STRONGEST * TILE, len(features) * TILE), "white")
    draw = ImageDraw.Draw(page)
    font = ImageFont.truetype(str(asset("fonts/Arimo-Regular.ttf")), 15)
    for at, feature in enumerate(features):
        draw.text((4, at * TILE + 28), f"{feature}  {names[feature]}"[:42], fill="black", font=font)
        for place, row in enumerate(strongest(study, feature)):
            picture = Image.open(BytesIO(study.thumbnail(row))).convert("RGB")
            page.paste(picture.resize((TILE - 4, TILE - 4)), (NAME + place * TILE, at * TILE + 2))
    return page


def named_by_shuffled_labels(study: Study) -> int:
    """How many features have a class of most of their strongest images when labels are dealt at random."""
    dealt = np.random.default_rng(SEED).permutation(study.n_images)
    read, top = study.vector, dealt[study.vector("top_images")]
    top[read("top_images") < 0] = -1
    study.vector = lambda name: top if name == "top_images" else read(name)  # type: ignore[method-assign]
    try:
        return len(majority_class(study))
    finally:
        del study.vector


def main(path: str, folder: str, of: str = "words") -> None:
    study = open_study(path)
    names, words = feature_names(study, named=False), feature_words(study, named=False)
    pool = sorted(words if of == "words" else names.keys() - words.keys())
    drawn = sorted(np.random.default_rng(SEED).choice(pool, min(DRAWN, len(pool)), replace=False).tolist())
    for part in range(0, len(drawn), ROWS):
        sheet(study, names, drawn[part : part + ROWS]).save(Path(folder) / f"{of}_{part // ROWS}.png")
    tells = set(np.flatnonzero(study.table("features", ["discriminative"])["discriminative"]).tolist())
    for which, some in (("features", range(len(study.vector("top_images")))), ("discriminative", tells)):
        n_words, n_named = len(words.keys() & {*some}), len(names.keys() & {*some})
        print(f"{which}: {len(some):,}, with a word {n_words:,}, with a name {n_named:,}")
    print(f"with a class when labels are shuffled: {named_by_shuffled_labels(study):,}")


if __name__ == "__main__":
    main(*sys.argv[1:])
