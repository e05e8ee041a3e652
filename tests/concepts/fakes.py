"""A CLIP that sees only colours, and a bank of captions about them: what it should say can be computed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from core.concepts.clip_and_captions import Tools
from core.concepts.naming import IMAGE_CAPTIONS
from core.config import ConceptsConfig

COLOURS = {
    "red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 40, 200), "yellow": (220, 210, 40),
    "purple": (150, 40, 170), "brown": (120, 80, 40), "white": (245, 245, 245), "black": (12, 12, 12),
}  # fmt: skip
GREY = (128, 128, 128)  # words without a colour
NOUNS = ("square", "wall", "ground")


def unit(rows) -> np.ndarray:
    rows = np.asarray(rows, np.float32).reshape(-1, 3) / 255 + 0.05
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class ColourClip:
    name, width = "colours", 3

    def __init__(self, fingerprint: str = "colours"):
        self.fingerprint, self.seen, self.image_precision = fingerprint, 0, "float32"

    @property
    def picture_fingerprint(self):
        return self.fingerprint + self.image_precision.removeprefix("float32")

    def embed_images(self, images, *, pad=False):
        self.seen += len(images)
        return unit([np.asarray(image.convert("RGB")).mean((0, 1)) for image in images])

    def embed_texts(self, texts):
        return unit([COLOURS.get(text.split()[0], GREY) for text in texts])


class ColourBank:
    name = "colour captions"
    fingerprint = "colour captions"
    of_concepts = False
    general: Mapping[str, str] = {}

    def __init__(self):
        self.captions = [f"{colour} {noun}" for noun in NOUNS for colour in COLOURS]

    def __len__(self):
        return len(self.captions)

    def texts(self, indices):
        return [self.captions[int(index)] for index in indices]


def look_up(crops, *, rows, k, temperature):
    cosine = np.asarray(crops, np.float64) @ rows.T
    best = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    total = np.log(np.exp(temperature * (cosine - 1)).sum(1)) + temperature
    return best, np.take_along_axis(cosine, best, 1).astype(np.float32), total


def colour_tools(config: ConceptsConfig, clip: ColourClip | None = None) -> Tools:
    """What `open_tools` would give."""
    clip, bank = clip or ColourClip(), ColourBank()
    rows = clip.embed_texts(bank.captions).astype(np.float64)
    find = partial(look_up, rows=rows, temperature=config.temperature)
    crops, images = partial(find, k=config.n_captions), partial(find, k=IMAGE_CAPTIONS)
    return Tools(clip, bank, crops, None, config, images)
