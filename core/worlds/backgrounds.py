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


def palette(kind: str, variant: int) -> list[Rgb]:
    """Return the colours of a Glyphworld background by `palettes.toml`: first the two that are blended."""
    colours = [variants[variant] for variants in _PALETTES[kind].values()]
    return [(red, green, blue) for red, green, blue in colours]


def noise(rng: Generator, across: int, down: int) -> np.ndarray:
    """Smooth noise in [0, 1], (TILE, TILE), for Glyphworld's backgrounds: enlarged random values."""
    grid = Image.fromarray((rng.random((down, across)) * 256).astype(np.uint8))
    return np.asarray(grid.resize((TILE, TILE), Image.Resampling.BICUBIC), np.float64) / 255


def fractal(rng: Generator, across: int, down: int, octaves: int = 4, gain: float = 0.55) -> np.ndarray:
    """Sum of octaves of `noise` for Glyphworld's backgrounds, rescaled to mean 0.5 and about [0, 1]."""
    weights = [gain**k for k in range(octaves)]
    octaves_of_noise = (noise(rng, across << k, down << k) - 0.5 for k in range(octaves))
    total = sum(weight * values for weight, values in zip(weights, octaves_of_noise, strict=True))
    return np.clip(0.5 + total / sum(weights) * 1.6, 0, 1)


def blend(low: Rgb, high: Rgb, amount: np.ndarray) -> np.ndarray:
    """Colours of a Glyphworld background between `low` and `high`, (TILE, TILE, 3) float."""
    start = np.asarray(low, np.float64)
    change = np.asarray(np.subtract(high, low), np.float64)
    return start + change * amount[..., None]


def over(base: np.ndarray, colour: Rgb, amount: np.ndarray) -> np.ndarray:
    """A Glyphworld background with `colour` laid over it with opacity `amount` in [0, 1]."""
    return base + (np.asarray(colour, np.float64) - base) * np.clip(amount, 0, 1)[..., None]


def _dimmed(colour: Rgb, share: float) -> Rgb:
    red, green, blue = colour
    return int(share * red), int(share * green), int(share * blue)


def rows_columns() -> tuple[np.ndarray, np.ndarray]:
    """(TILE, TILE) float64 row and column of each pixel of a Glyphworld background's tile."""
    rows, columns = np.mgrid[0:TILE, 0:TILE]
    return rows.astype(np.float64), columns.astype(np.float64)


def wave(phase: np.ndarray) -> np.ndarray:
    """Periodic ripple in [0, 1] of Glyphworld's backgrounds, from parabolas: exact on every machine."""
    t = phase - np.floor(phase)
    hump = np.where(t < 0.5, t * (0.5 - t), (t - 0.5) * (t - 1)) * 16  # [-1, 1]
    return 0.5 + 0.5 * hump


def grass(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background grass of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, tip = palette("grass", variant)
    blades = 0.6 * noise(rng, 150, 26) + 0.4 * noise(rng, 96, 40)
    base = blend(low, high, 0.55 * fractal(rng, 5, 5) + 0.6 * (blades - 0.2))
    base = over(base, tip, (blades - 0.62) * 3.2)
    return over(base, (246, 240, 200), (noise(rng, 110, 110) > 0.975) * 0.8 * (noise(rng, 5, 5) > 0.55))


def water(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background water of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, foam = palette("water", variant)
    rows, _ = rows_columns()
    bend = fractal(rng, 5, 9, 3)
    ripples = wave(rows / 20 + 2.6 * bend)
    glints = noise(rng, 22, 110) * 0.6 + noise(rng, 40, 160) * 0.4
    base = blend(low, high, 0.45 * ripples + 0.35 * fractal(rng, 4, 10) + 0.3 * (glints - 0.3))
    return over(base, foam, (glints - 0.6) * 3.5 * (0.25 + ripples))


def sand(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background sand of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high = palette("sand", variant)
    rows, columns = rows_columns()
    dunes = wave((rows + 0.35 * columns) / 26 + 2.2 * fractal(rng, 4, 4, 3))
    base = blend(low, high, 0.45 * dunes + 0.35 * fractal(rng, 5, 5) + 0.3 * noise(rng, 200, 200))
    return over(base, (96, 78, 60), (noise(rng, 120, 120) > 0.965) * 0.45)


def wood(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of wooden planks of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high = palette("wood", variant)
    rows, columns = rows_columns()
    width = 46
    plank = (columns // width).astype(int)
    n_planks = TILE // width + 1
    shade = rng.random(n_planks)[plank]
    shift = (rng.random(n_planks) * 40)[plank]
    rings = wave(columns / 11 + 3.5 * fractal(rng, 6, 2, 3) + shift)
    fibres = 0.6 * noise(rng, 150, 10) + 0.4 * noise(rng, 220, 24)
    base = blend(low, high, 0.3 * rings + 0.45 * fibres + 0.4 * shade - 0.05)
    seam = (columns % width < 2) | ((rows + 5 * shift) % 150 < 2)
    return over(base, (28, 18, 12), seam * 0.75)


def snow(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background snow of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high = palette("snow", variant)
    rows, _ = rows_columns()
    drifts = wave(rows / 90 + 1.6 * fractal(rng, 3, 3, 3))
    base = blend(low, high, 0.5 * drifts + 0.5 * fractal(rng, 6, 6) + 0.12 * noise(rng, 150, 150))
    return over(base, (255, 255, 255), (noise(rng, 140, 140) > 0.96) * 0.9)


def cloth(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background cloth of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, band = palette("cloth", variant)
    rows, columns = rows_columns()
    weave = 0.5 * wave(rows / 4) + 0.5 * wave(columns / 4 + 0.5)
    folds = wave((columns + 0.6 * rows) / 130 + 1.4 * fractal(rng, 3, 3, 2))
    base = blend(low, high, 0.3 * weave + 0.6 * folds + 0.1 * noise(rng, 160, 160))
    across, along = (rows % 34 < 13), (columns % 34 < 13)
    every_other = 15 * (rows // 30 % 2)
    dot_y, dot_x = rows % 30 - 15, (columns + every_other) % 30 - 15
    dots = (dot_y**2 + dot_x**2) < 36
    checks, stripes = across * 0.4 + along * 0.4, ((columns + rows) % 24 < 8) * 0.55
    pattern = (checks, stripes, dots * 0.8, (across ^ along) * 0.5)[variant]
    return over(base, band, pattern)


def sky(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of a sky with clouds of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, cloud = palette("sky", variant)
    rows, _ = rows_columns()
    clouds = fractal(rng, 4, 7, 5, 0.6)
    base = blend(low, high, rows / TILE * 0.8 + 0.2 * noise(rng, 3, 3))
    shaded = over(base, _dimmed(cloud, 0.86), (clouds - 0.47) * 4.5)
    return over(shaded, cloud, (np.roll(clouds, 4, 0) - 0.5) * 5)


def night(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of a night sky with stars of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, glow = palette("night", variant)
    rows, columns = rows_columns()
    base = blend(low, high, 0.6 * rows / TILE + 0.4 * fractal(rng, 4, 4))
    base = over(base, glow, (fractal(rng, 3, 6, 5) - 0.52) * 2.2)
    stars = np.zeros((TILE, TILE))
    for x, y, bright in rng.random((150, 3)):
        distance = abs(columns - x * TILE) + abs(rows - y * TILE)
        disc = np.clip(1.5 + 1.3 * bright**4 - 0.8 * distance, 0, 1)
        stars = np.maximum(stars, (0.45 + 0.55 * bright) * disc)
    return over(base, (250, 246, 226), stars)


def brick(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of a brick wall of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, mortar = palette("brick", variant)
    rows, columns = rows_columns()
    course = (rows // 20).astype(int)
    shifted = (columns + 20 * (course % 2)) % TILE
    shades = rng.random((TILE // 20, TILE // 40 + 1))[course, (shifted // 40).astype(int)]
    base = blend(low, high, 0.65 * shades + 0.35 * fractal(rng, 12, 12, 4))
    to_bed_joint = np.minimum(rows % 20, 19 - rows % 20)
    to_head_joint = np.minimum(shifted % 40, 39 - shifted % 40)
    edge = np.minimum(to_bed_joint, to_head_joint)
    base = base * (0.86 + 0.14 * np.clip(edge / 4, 0, 1))[..., None]
    return over(base, mortar, (edge < 1.5) * (0.7 + 0.3 * noise(rng, 90, 90)))


def forest(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background forest of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high, trunk = palette("forest", variant)
    _, columns = rows_columns()
    leaves = 0.5 * noise(rng, 34, 34) + 0.3 * noise(rng, 70, 70) + 0.2 * noise(rng, 7, 7)
    base = blend(low, high, fractal(rng, 5, 6, 3) * 0.6)
    bend = (noise(rng, 3, 5) - 0.5) * 24
    for position, width in rng.random((11, 2)):
        inside = abs(columns + bend - position * TILE) / (2.5 + 6 * width)
        base = over(base, trunk, (1.2 - inside) * 4 * (0.55 + 0.45 * width))
    canopy = (leaves - 0.5) * 6
    shaded = over(base, low, (np.roll(canopy, 3, 0)) * 0.7)
    return over(shaded, high, (canopy - 0.25) * 0.9)


def stone(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of stone slabs of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high = palette("stone", variant)
    rows, columns = rows_columns()
    base = blend(low, high, 0.6 * fractal(rng, 8, 8, 5) + 0.3 * noise(rng, 170, 170))
    slab = (rows % 80 < 2) | ((columns + 40 * (rows // 80 % 2)) % 80 < 2)
    return over(base, _dimmed(low, 0.6), slab * 0.6)


def plaster(rng: Generator, variant: int) -> np.ndarray:
    """Draw the background of a plastered wall of Glyphworld's scenes, (TILE, TILE, 3) float."""
    low, high = palette("plaster", variant)
    relief, roughness = 0.65 * fractal(rng, 3, 3, 4), 0.3 * noise(rng, 60, 60)
    return blend(low, high, relief + roughness + 0.1 * noise(rng, 200, 200))


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
