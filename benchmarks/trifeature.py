"""Images of three independent factors: shape, colour, texture (after Hermann and Lampinen, 2020).

A silhouette of a Glyphworld glyph, filled with a texture in one hue, on gray, at a random place, size and
angle. Every thousand images in a row hold each of the 10 x 10 x 10 combinations once, so that no factor
says anything of another. Each texture is dark on half of a shape and bright on the other half, so that
brightness tells nothing of it.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from core.data.glyphworld.atlas import load_atlas

FACTORS = ("shape", "colour", "texture")
LEVELS = 10
SHAPES = (
    "airplane", "parrot", "sailboat", "tulip", "guitar",
    "high-heeled shoe", "top hat", "house", "evergreen tree", "butterfly",
)  # fmt: skip
TEXTURES = (
    "plain", "rows", "columns", "slanted", "checks", "dots", "rings", "zigzag", "blotches", "bricks",
)  # fmt: skip
DARK, BRIGHT = 0.45, 1.0
BACKGROUND = 0.5


@dataclass(frozen=True)
class Trifeature:
    """The part of an ImageSource that training uses: n_train and n_val images, rendered when read."""

    n_train: int = 4000
    n_val: int = 2000
    size: int = 48
    seed: int = 0

    @property
    def table(self) -> pd.DataFrame:
        n = self.n_train + self.n_val
        return pd.DataFrame(
            {
                "image_id": [f"{self.seed}/{row}" for row in range(n)],
                "path": "",
                "split": ["train"] * self.n_train + ["val"] * self.n_val,
                "label": None,
            }
        )

    def factors(self) -> pd.DataFrame:
        """Levels 0 to 9 of shape, colour and texture, one row an image, in the order of `table`."""
        return pd.DataFrame(
            [levels_of(self.seed, row) for row in range(self.n_train + self.n_val)], columns=list(FACTORS)
        )

    def read(self, row: int) -> Image.Image:
        return render(self.seed, row, self.size)

    def fingerprint(self) -> str:
        return f"trifeature-{self.seed}-{self.n_train}-{self.n_val}-{self.size}"

    def describe(self) -> dict[str, Any]:
        return {"kind": "trifeature", "seed": self.seed, "n_train": self.n_train, "n_val": self.n_val}


def levels_of(seed: int, index: int) -> tuple[int, int, int]:
    """Shape, colour and texture of an image."""
    block, place = divmod(index, LEVELS**3)
    combination = int(_order(seed, block)[place])
    return combination // 100, combination // 10 % 10, combination % 10


def render(seed: int, index: int, size: int) -> Image.Image:
    """One image, (size, size) RGB."""
    shape, colour, texture = levels_of(seed, index)
    rng = np.random.default_rng([seed, 1, index])
    mask = np.asarray(_placed(SHAPES[shape], size, rng), np.float32)[..., None] / 255  # (S, S, 1)
    light = np.where(pattern(TEXTURES[texture], size, rng), BRIGHT, DARK)[..., None]
    if TEXTURES[texture] == "plain":
        light = np.full_like(light, (BRIGHT + DARK) / 2)
    hue = np.array(colorsys.hsv_to_rgb(colour / LEVELS, 0.75, 1.0))
    pixels = mask * light * hue + (1 - mask) * BACKGROUND
    return Image.fromarray((pixels * 255).round().astype(np.uint8))


def pattern(name: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size) bool, true on about half of the pixels; the period is an eighth of the image."""
    period = size / 8
    x, y = (axis + rng.uniform(0, period) for axis in np.meshgrid(np.arange(size), np.arange(size)))
    u, v = x / period, y / period  # in periods

    def half(values: np.ndarray) -> np.ndarray:
        return values % 1 < 0.5

    if name == "rows":
        return half(v)
    if name == "columns":
        return half(u)
    if name == "slanted":
        return half((u + v) / np.sqrt(2))
    if name == "checks":
        return half(u) ^ half(v)
    if name == "dots":
        return np.hypot(u % 1 - 0.5, v % 1 - 0.5) < np.sqrt(0.5 / np.pi)
    if name == "rings":
        return half(np.hypot(u - 4, v - 4))
    if name == "zigzag":
        return half(v + np.abs(u / 2 % 1 - 0.5) * 2)
    if name == "blotches":
        noise = Image.fromarray(rng.random((10, 10)).astype(np.float32)).resize(
            (size, size), Image.Resampling.BICUBIC
        )
        return np.asarray(noise) > np.median(np.asarray(noise))
    if name == "bricks":
        joints = (v % 1 < 0.25) | ((u / 2 + np.floor(v) / 2) % 1 < 1 / 3)
        return ~joints
    return np.ones((size, size), bool)


def _placed(name: str, size: int, rng: np.random.Generator) -> Image.Image:
    """The silhouette of a glyph, (size, size), 0 to 255."""
    sprite = _silhouette(name)
    angle = rng.uniform(-20, 20)
    turned = sprite.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    scale = rng.uniform(0.65, 0.85) * size / max(turned.size)
    width, height = (max(round(side * scale), 1) for side in turned.size)
    canvas = Image.new("L", (size, size))
    place = (int(rng.integers(0, size - width + 1)), int(rng.integers(0, size - height + 1)))
    canvas.paste(turned.resize((width, height), Image.Resampling.BILINEAR), place)
    return canvas


@cache
def _silhouette(name: str) -> Image.Image:
    return load_atlas().sprites[name].getchannel("a")


@cache
def _order(seed: int, block: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, block]).permutation(LEVELS**3)
