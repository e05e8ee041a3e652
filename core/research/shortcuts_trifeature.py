"""Images of three independent factors: shape, colour, texture (after Hermann and Lampinen, 2020).

A silhouette of a Glyphworld glyph, filled with a texture in one hue, on gray, at a random place, size and
angle. Every thousand images in a row hold each of the 10 x 10 x 10 combinations once, so that no factor
says anything of another. Each texture is dark on half of a shape and bright on the other half, so that
brightness tells nothing of it.
"""

from __future__ import annotations

import colorsys
import hashlib
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
from PIL import Image

from core.common.threads import cached_property
from core.data.source import ImageSource, image_table
from core.errors import ImageSourceError, UnreadableImage, unknown_name
from core.worlds.atlas import FOLDER, INDEX, SHEET, load_atlas

FACTORS = ("shape", "colour", "texture")
LEVELS = 10
SHAPES = (
    "airplane", "parrot", "sailboat", "tulip", "guitar",
    "high-heeled shoe", "top hat", "house", "evergreen tree", "butterfly",
)  # fmt: skip
TEXTURES = (
    "plain", "rows", "columns", "slanted", "checks", "dots", "rings", "zigzag", "blotches", "bricks",
)  # fmt: skip
COLOURS = (  # of the hues 0, 36, 72, … degrees
    "red", "orange", "lime", "green", "mint", "cyan", "azure", "violet", "purple", "rose",
)  # fmt: skip
NAMES = {"shape": SHAPES, "colour": COLOURS, "texture": TEXTURES}
PIXELS_VERSION = 1  # increased whenever an image or its factors change
RANGES = {"train": (1, 10_000_000), "val": (0, 10_000_000), "size": (16, 512), "seed": (0, 2**31 - 1)}
DARK, BRIGHT = 0.45, 1.0
BACKGROUND = 0.5


class Trifeature(ImageSource):
    """n_train and n_val images, drawn when they are read; image ids are `seed/index`.

    `label` is the factor that is the class; all three are columns of `extras`.
    """

    kind = "trifeature"

    def __init__(
        self, n_train: int = 4000, n_val: int = 2000, size: int = 48, seed: int = 0, label: str = "shape"
    ):
        self.n_train, self.n_val, self.size, self.seed, self.label = n_train, n_val, size, seed, label
        self.notes = []

    @classmethod
    def from_spec(cls, spec: str, opener: Any = None, seed: int | None = None) -> Trifeature:
        """Open `trifeature?train=4000&val=2000&size=48&seed=0&label=shape`; all options are optional.
        `opener` and `seed` concern no spec of this kind.

        Raises:
            ImageSourceError: an unknown option or factor, or a value out of range.
        """
        options = _parse_trifeature(spec)
        counts = {f"n_{name}": options.pop(name) for name in ("train", "val") if name in options}
        return cls(**counts, **options)

    @property
    def spec(self) -> str:
        """Return the canonical spec string, which opens the same source."""
        options = {"train": self.n_train, "val": self.n_val, "size": self.size, "seed": self.seed}
        return "trifeature?" + "&".join(f"{k}={v}" for k, v in {**options, "label": self.label}.items())

    def __len__(self) -> int:
        return self.n_train + self.n_val

    @cached_property
    def table(self) -> pd.DataFrame:  # pyright: ignore[reportIncompatibleVariableOverride]
        image_ids = [f"{self.seed}/{row}" for row in range(len(self))]
        splits = ["train"] * self.n_train + ["val"] * self.n_val
        return image_table(image_ids, image_ids, splits, self.factor_names[self.label].tolist())

    @cached_property
    def extras(self) -> pd.DataFrame | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.factor_names.astype("str")

    @property
    def factor_names(self) -> pd.DataFrame:
        """Names of shape, colour and texture, one row an image, in the order of `table`."""
        levels = self.factors()
        return pd.DataFrame({name: np.array(names)[levels[name]] for name, names in NAMES.items()})

    def factors(self) -> pd.DataFrame:
        """Levels 0 to 9 of shape, colour and texture, one row an image, in the order of `table`."""
        return pd.DataFrame([levels_of(self.seed, row) for row in range(len(self))], columns=list(FACTORS))

    def read(self, row: int) -> Image.Image:
        if not 0 <= row < len(self):
            raise UnreadableImage(f"row {row} is not among the {len(self)} images")
        return render_trifeature(self.seed, row, self.size)

    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{PIXELS_VERSION} {self.spec}".encode())
        for name in (INDEX, SHEET):
            digest.update((FOLDER / name).read_bytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "spec": self.spec, "pixels_version": PIXELS_VERSION}

    @classmethod
    def reopen(cls, description: dict[str, Any], reopener: Any = None) -> Trifeature:
        """Reopen the source, unless this version draws other images. Raises ImageSourceError."""
        drawn = description.get("pixels_version")
        if drawn != PIXELS_VERSION:
            raise ImageSourceError(
                f"trifeature has changed since (version {drawn}, now {PIXELS_VERSION}): create a new study"
            )
        return cls.from_spec(description["spec"])


def _parse_trifeature(spec: str) -> dict[str, Any]:
    """Parse and check the options of a `trifeature?…` string. Raises ImageSourceError."""
    name, _, query = spec.partition("?")
    example = "trifeature?train=4000&val=2000"
    try:
        pairs = parse_qsl(query, strict_parsing=bool(query), keep_blank_values=True)
    except ValueError:
        raise ImageSourceError(f"cannot read '{spec}'. Write options as {example}") from None
    if name != "trifeature":
        raise ImageSourceError(f"'{spec}' is not a trifeature specification. Write {example}")
    return {option: _option(option, text) for option, text in pairs}


def _option(option: str, text: str) -> Any:
    names = (*RANGES, "label")
    if option not in names:
        raise ImageSourceError(unknown_name(f"trifeature has no option '{option}'", option, names, "Options"))
    if option == "label":
        if text not in FACTORS:
            raise ImageSourceError(f"trifeature: label must be one of {', '.join(FACTORS)}, not '{text}'")
        return text
    low, high = RANGES[option]
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise ImageSourceError(
            f"trifeature: {option} must be a whole number from {low} to {high}, not '{text}'"
        )
    return int(text)


def levels_of(seed: int, index: int) -> tuple[int, int, int]:
    """Return shape, colour and texture of an image of Trifeature, whose shortcuts research studies."""
    block, position = divmod(index, LEVELS**3)
    combination = int(_order(seed, block)[position])
    return combination // 100, combination // 10 % 10, combination % 10


def render_trifeature(seed: int, index: int, size: int) -> Image.Image:
    """Draw one image of Trifeature, whose shortcuts research studies, (size, size) RGB."""
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
    """(size, size) bool texture of a Trifeature image (research), true on about half of the pixels."""
    period = size / 8
    grid = np.meshgrid(np.arange(size), np.arange(size))
    x, y = (axis + rng.uniform(0, period) for axis in grid)
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
    left, top = rng.integers(0, size - width + 1), rng.integers(0, size - height + 1)
    corner = (int(left), int(top))
    canvas.paste(turned.resize((width, height), Image.Resampling.BILINEAR), corner)
    return canvas


@cache
def _silhouette(name: str) -> Image.Image:
    return load_atlas().sprites[name].getchannel("a")


@cache
def _order(seed: int, block: int) -> np.ndarray:
    return np.random.default_rng([seed, 0, block]).permutation(LEVELS**3)
