"""Procedural textures of Glyphworld: ten kinds that serve as class cues, and two neutral ones that never do.

Each (kind, variant) is a square tile, drawn once per process from a fixed seed with integer noise and
elementwise arithmetic, so that its bytes do not depend on the machine; scenes use windows cut from it.
"""

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

TILE = 320  # pixels; a scene shows a window of 72 to 176 pixels
VARIANTS = 4
GRAIN_LEVELS = 9
FLOORS = ("grass", "water", "sand", "wood", "snow", "cloth")
WALLS = ("sky", "night", "brick", "forest")
KINDS = FLOORS + WALLS
NEUTRAL_FLOOR, NEUTRAL_WALL = "stone", "plaster"

Rgb = tuple[int, int, int]

COLOUR_WORDS = {
    "grass": ("green", "yellow", "dark green", "olive"),
    "water": ("blue", "turquoise", "dark blue", "gray"),
    "sand": ("yellow", "white", "orange", "brown"),
    "wood": ("brown", "pale", "red", "dark"),
    "snow": ("white", "blue", "pink", "gray"),
    "cloth": ("pink", "blue", "yellow", "green"),
    "sky": ("blue", "pale", "orange", "gray"),
    "night": ("dark blue", "purple", "black", "teal"),
    "brick": ("red", "yellow", "gray", "brown"),
    "forest": ("green", "dark green", "autumn", "misty"),
}


_PALETTES = tomllib.loads(Path(__file__).with_name("palettes.toml").read_text(encoding="utf-8"))


def _palette(kind: str, variant: int) -> list[Rgb]:
    """Return the colours of a Glyphworld background by `palettes.toml`: first the two that are blended."""
    colours = [variants[variant] for variants in _PALETTES[kind].values()]
    return [(red, green, blue) for red, green, blue in colours]


def _noise(rng: Generator, across: int, down: int) -> np.ndarray:
    """Smooth noise in [0, 1], (TILE, TILE), for Glyphworld's backgrounds: enlarged random values."""
    grid = Image.fromarray((rng.random((down, across)) * 256).astype(np.uint8))
    return np.asarray(grid.resize((TILE, TILE), Image.Resampling.BICUBIC), np.float64) / 255


def _fractal(rng: Generator, across: int, down: int, octaves: int = 4, gain: float = 0.55) -> np.ndarray:
    """Sum of octaves of `_noise` for Glyphworld's backgrounds, rescaled to mean 0.5 and about [0, 1]."""
    weights = [gain**k for k in range(octaves)]
    octaves_of_noise = (_noise(rng, across << k, down << k) - 0.5 for k in range(octaves))
    total = sum(weight * values for weight, values in zip(weights, octaves_of_noise, strict=True))
    return np.clip(0.5 + total / sum(weights) * 1.6, 0, 1)


def _blend(low: Rgb, high: Rgb, amount: np.ndarray) -> np.ndarray:
    """Colours of a Glyphworld background between `low` and `high`, (TILE, TILE, 3) float."""
    start = np.asarray(low, np.float64)
    change = np.asarray(np.subtract(high, low), np.float64)
    return start + change * amount[..., None]


def _over(base: np.ndarray, colour: Rgb, amount: np.ndarray) -> np.ndarray:
    """A Glyphworld background with `colour` laid over it with opacity `amount` in [0, 1]."""
    return base + (np.asarray(colour, np.float64) - base) * np.clip(amount, 0, 1)[..., None]


def _dimmed(colour: Rgb, share: float) -> Rgb:
    red, green, blue = colour
    return int(share * red), int(share * green), int(share * blue)


def _rows_columns() -> tuple[np.ndarray, np.ndarray]:
    """(TILE, TILE) float64 row and column of each pixel of a Glyphworld background's tile."""
    rows, columns = np.mgrid[0:TILE, 0:TILE]
    return rows.astype(np.float64), columns.astype(np.float64)


def _wave(phase: np.ndarray) -> np.ndarray:
    """Periodic ripple in [0, 1] of Glyphworld's backgrounds, from parabolas: exact on every machine."""
    t = phase - np.floor(phase)
    hump = np.where(t < 0.5, t * (0.5 - t), (t - 0.5) * (t - 1)) * 16  # [-1, 1]
    return 0.5 + 0.5 * hump


def grass(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background grass of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, tip = _palette("grass", variant)
    blades = 0.6 * _noise(rng, 150, 26) + 0.4 * _noise(rng, 96, 40)
    base = _blend(low, high, 0.55 * _fractal(rng, 5, 5) + 0.6 * (blades - 0.2))
    base = _over(base, tip, (blades - 0.62) * 3.2)
    return _over(base, (246, 240, 200), (_noise(rng, 110, 110) > 0.975) * 0.8 * (_noise(rng, 5, 5) > 0.55))


def water(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background water of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, foam = _palette("water", variant)
    rows, _ = _rows_columns()
    bend = _fractal(rng, 5, 9, 3)
    ripples = _wave(rows / 20 + 2.6 * bend)
    glints = _noise(rng, 22, 110) * 0.6 + _noise(rng, 40, 160) * 0.4
    base = _blend(low, high, 0.45 * ripples + 0.35 * _fractal(rng, 4, 10) + 0.3 * (glints - 0.3))
    return _over(base, foam, (glints - 0.6) * 3.5 * (0.25 + ripples))


def sand(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background sand of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high = _palette("sand", variant)
    rows, columns = _rows_columns()
    dunes = _wave((rows + 0.35 * columns) / 26 + 2.2 * _fractal(rng, 4, 4, 3))
    base = _blend(low, high, 0.45 * dunes + 0.35 * _fractal(rng, 5, 5) + 0.3 * _noise(rng, 200, 200))
    return _over(base, (96, 78, 60), (_noise(rng, 120, 120) > 0.965) * 0.45)


def wood(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of wooden planks of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high = _palette("wood", variant)
    rows, columns = _rows_columns()
    width = 46
    plank = (columns // width).astype(int)
    n_planks = TILE // width + 1
    shade = rng.random(n_planks)[plank]
    shift = (rng.random(n_planks) * 40)[plank]
    rings = _wave(columns / 11 + 3.5 * _fractal(rng, 6, 2, 3) + shift)
    fibres = 0.6 * _noise(rng, 150, 10) + 0.4 * _noise(rng, 220, 24)
    base = _blend(low, high, 0.3 * rings + 0.45 * fibres + 0.4 * shade - 0.05)
    seam = (columns % width < 2) | ((rows + 5 * shift) % 150 < 2)
    return _over(base, (28, 18, 12), seam * 0.75)


def snow(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background snow of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high = _palette("snow", variant)
    rows, _ = _rows_columns()
    drifts = _wave(rows / 90 + 1.6 * _fractal(rng, 3, 3, 3))
    base = _blend(low, high, 0.5 * drifts + 0.5 * _fractal(rng, 6, 6) + 0.12 * _noise(rng, 150, 150))
    return _over(base, (255, 255, 255), (_noise(rng, 140, 140) > 0.96) * 0.9)


def cloth(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background cloth of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, band = _palette("cloth", variant)
    rows, columns = _rows_columns()
    weave = 0.5 * _wave(rows / 4) + 0.5 * _wave(columns / 4 + 0.5)
    folds = _wave((columns + 0.6 * rows) / 130 + 1.4 * _fractal(rng, 3, 3, 2))
    base = _blend(low, high, 0.3 * weave + 0.6 * folds + 0.1 * _noise(rng, 160, 160))
    across, along = (rows % 34 < 13), (columns % 34 < 13)
    every_other = 15 * (rows // 30 % 2)
    dot_y, dot_x = rows % 30 - 15, (columns + every_other) % 30 - 15
    dots = (dot_y**2 + dot_x**2) < 36
    checks, stripes = across * 0.4 + along * 0.4, ((columns + rows) % 24 < 8) * 0.55
    pattern = (checks, stripes, dots * 0.8, (across ^ along) * 0.5)[variant]
    return _over(base, band, pattern)


def sky(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of a sky with clouds of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, cloud = _palette("sky", variant)
    rows, _ = _rows_columns()
    clouds = _fractal(rng, 4, 7, 5, 0.6)
    base = _blend(low, high, rows / TILE * 0.8 + 0.2 * _noise(rng, 3, 3))
    shaded = _over(base, _dimmed(cloud, 0.86), (clouds - 0.47) * 4.5)
    return _over(shaded, cloud, (np.roll(clouds, 4, 0) - 0.5) * 5)


def night(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of a night sky with stars of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, glow = _palette("night", variant)
    rows, columns = _rows_columns()
    base = _blend(low, high, 0.6 * rows / TILE + 0.4 * _fractal(rng, 4, 4))
    base = _over(base, glow, (_fractal(rng, 3, 6, 5) - 0.52) * 2.2)
    stars = np.zeros((TILE, TILE))
    for x, y, bright in rng.random((150, 3)):
        distance = abs(columns - x * TILE) + abs(rows - y * TILE)
        disc = np.clip(1.5 + 1.3 * bright**4 - 0.8 * distance, 0, 1)
        stars = np.maximum(stars, (0.45 + 0.55 * bright) * disc)
    return _over(base, (250, 246, 226), stars)


def brick(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of a brick wall of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, mortar = _palette("brick", variant)
    rows, columns = _rows_columns()
    course = (rows // 20).astype(int)
    shifted = (columns + 20 * (course % 2)) % TILE
    shades = rng.random((TILE // 20, TILE // 40 + 1))[course, (shifted // 40).astype(int)]
    base = _blend(low, high, 0.65 * shades + 0.35 * _fractal(rng, 12, 12, 4))
    to_bed_joint = np.minimum(rows % 20, 19 - rows % 20)
    to_head_joint = np.minimum(shifted % 40, 39 - shifted % 40)
    edge = np.minimum(to_bed_joint, to_head_joint)
    base = base * (0.86 + 0.14 * np.clip(edge / 4, 0, 1))[..., None]
    return _over(base, mortar, (edge < 1.5) * (0.7 + 0.3 * _noise(rng, 90, 90)))


def forest(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background forest of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, trunk = _palette("forest", variant)
    _, columns = _rows_columns()
    leaves = 0.5 * _noise(rng, 34, 34) + 0.3 * _noise(rng, 70, 70) + 0.2 * _noise(rng, 7, 7)
    base = _blend(low, high, _fractal(rng, 5, 6, 3) * 0.6)
    bend = (_noise(rng, 3, 5) - 0.5) * 24
    for position, width in rng.random((11, 2)):
        inside = abs(columns + bend - position * TILE) / (2.5 + 6 * width)
        base = _over(base, trunk, (1.2 - inside) * 4 * (0.55 + 0.45 * width))
    canopy = (leaves - 0.5) * 6
    shaded = _over(base, low, (np.roll(canopy, 3, 0)) * 0.7)
    return _over(shaded, high, (canopy - 0.25) * 0.9)


def stone(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of stone slabs of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high = _palette("stone", variant)
    rows, columns = _rows_columns()
    base = _blend(low, high, 0.6 * _fractal(rng, 8, 8, 5) + 0.3 * _noise(rng, 170, 170))
    slab = (rows % 80 < 2) | ((columns + 40 * (rows // 80 % 2)) % 80 < 2)
    return _over(base, _dimmed(low, 0.6), slab * 0.6)


def plaster(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of a plastered wall of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high = _palette("plaster", variant)
    relief, roughness = 0.65 * _fractal(rng, 3, 3, 4), 0.3 * _noise(rng, 60, 60)
    return _blend(low, high, relief + roughness + 0.1 * _noise(rng, 200, 200))


_FLOOR_PAINTERS = (grass, water, sand, wood, snow, cloth)
_WALL_PAINTERS = (sky, night, brick, forest)
_ALL_PAINTERS = (*_FLOOR_PAINTERS, *_WALL_PAINTERS, stone, plaster)
PAINTERS: dict[str, Callable[[Generator, int], np.ndarray]] = {
    painter.__name__: painter for painter in _ALL_PAINTERS
}


@cache
def texture(kind: str, variant: int) -> Image.Image:
    """Return the tile of a Glyphworld background, RGB, TILE x TILE; drawn on first use, then cached."""
    rng = np.random.default_rng([sorted(PAINTERS).index(kind), variant])
    pixels = np.rint(np.clip(PAINTERS[kind](rng, variant), 0, 255)).astype(np.uint8)
    return Image.fromarray(pixels)


@cache
def grain() -> np.ndarray:
    """Camera noise of Glyphworld's scenes, (TILE, TILE, 1) int16 in [-GRAIN_LEVELS, GRAIN_LEVELS]."""
    rng = np.random.default_rng(len(PAINTERS))
    draws = rng.random((2, TILE, TILE)) * (GRAIN_LEVELS + 1)
    return (draws[0].astype(np.int16) - draws[1].astype(np.int16))[..., None]
