"""Procedural textures of Glyphworld: ten kinds that serve as class cues, and two neutral ones that never do.

Each (kind, variant) is a square tile, drawn once per process from a fixed seed with integer noise and
elementwise arithmetic, so that its bytes do not depend on the machine; scenes use windows cut from it.
"""

from collections.abc import Callable
from functools import cache

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


def noise(rng: Generator, across: int, down: int) -> np.ndarray:
    """Smooth noise in [0, 1], (TILE, TILE): `across` x `down` random values, enlarged bicubically."""
    grid = Image.fromarray((rng.random((down, across)) * 256).astype(np.uint8))
    return np.asarray(grid.resize((TILE, TILE), Image.Resampling.BICUBIC), np.float64) / 255


def fractal(rng: Generator, across: int, down: int, octaves: int = 4, gain: float = 0.55) -> np.ndarray:
    """Sum of octaves of `noise`, rescaled to mean 0.5 and about [0, 1]."""
    weights = [gain**k for k in range(octaves)]
    total = sum(w * (noise(rng, across << k, down << k) - 0.5) for k, w in enumerate(weights))
    return np.clip(0.5 + total / sum(weights) * 1.6, 0, 1)


def blend(low: Rgb, high: Rgb, amount: np.ndarray) -> np.ndarray:
    """Colours between `low` and `high`, (TILE, TILE, 3) float."""
    return np.asarray(low, np.float64) + np.asarray(np.subtract(high, low), np.float64) * amount[..., None]


def over(base: np.ndarray, colour: Rgb, amount: np.ndarray) -> np.ndarray:
    """`colour` laid over `base` with opacity `amount` in [0, 1]."""
    return base + (np.asarray(colour, np.float64) - base) * np.clip(amount, 0, 1)[..., None]


def _dimmed(colour: Rgb, share: float) -> Rgb:
    red, green, blue = colour
    return int(share * red), int(share * green), int(share * blue)


def rows_columns() -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[0:TILE, 0:TILE]
    return rows.astype(np.float64), columns.astype(np.float64)


def wave(phase: np.ndarray) -> np.ndarray:
    """Periodic ripple in [0, 1] with period 1, from parabolas: without sines it is exact on every machine."""
    t = phase - np.floor(phase)
    hump = np.where(t < 0.5, t * (0.5 - t), (t - 0.5) * (t - 1)) * 16  # [-1, 1]
    return 0.5 + 0.5 * hump


def grass(rng: Generator, variant: int) -> np.ndarray:
    low, high, tip = (
        ((34, 88, 28), (106, 166, 58), (176, 210, 96)),
        ((112, 104, 34), (186, 172, 82), (226, 214, 132)),
        ((14, 52, 30), (52, 112, 58), (104, 158, 88)),
        ((62, 74, 26), (128, 134, 62), (172, 176, 96)),
    )[variant]
    blades = 0.6 * noise(rng, 150, 26) + 0.4 * noise(rng, 96, 40)
    base = blend(low, high, 0.55 * fractal(rng, 5, 5) + 0.6 * (blades - 0.2))
    base = over(base, tip, (blades - 0.62) * 3.2)
    return over(base, (246, 240, 200), (noise(rng, 110, 110) > 0.975) * 0.8 * (noise(rng, 5, 5) > 0.55))


def water(rng: Generator, variant: int) -> np.ndarray:
    low, high, foam = (
        ((14, 70, 140), (50, 136, 206), (196, 230, 250)),
        ((10, 116, 124), (66, 190, 188), (214, 250, 244)),
        ((10, 30, 78), (36, 76, 140), (134, 178, 226)),
        ((62, 84, 98), (120, 144, 156), (214, 226, 230)),
    )[variant]
    rows, _ = rows_columns()
    bend = fractal(rng, 5, 9, 3)
    ripples = wave(rows / 20 + 2.6 * bend)
    glints = noise(rng, 22, 110) * 0.6 + noise(rng, 40, 160) * 0.4
    base = blend(low, high, 0.45 * ripples + 0.35 * fractal(rng, 4, 10) + 0.3 * (glints - 0.3))
    return over(base, foam, (glints - 0.6) * 3.5 * (0.25 + ripples))


def sand(rng: Generator, variant: int) -> np.ndarray:
    low, high = (
        ((190, 150, 92), (238, 208, 150)),
        ((200, 190, 168), (246, 238, 220)),
        ((176, 104, 58), (232, 164, 104)),
        ((122, 92, 64), (180, 146, 108)),
    )[variant]
    rows, columns = rows_columns()
    dunes = wave((rows + 0.35 * columns) / 26 + 2.2 * fractal(rng, 4, 4, 3))
    base = blend(low, high, 0.45 * dunes + 0.35 * fractal(rng, 5, 5) + 0.3 * noise(rng, 200, 200))
    return over(base, (96, 78, 60), (noise(rng, 120, 120) > 0.965) * 0.45)


def wood(rng: Generator, variant: int) -> np.ndarray:
    low, high = (
        ((104, 62, 30), (182, 124, 70)),
        ((186, 152, 108), (232, 206, 164)),
        ((104, 38, 26), (176, 84, 54)),
        ((44, 30, 24), (100, 72, 54)),
    )[variant]
    rows, columns = rows_columns()
    width = 46
    plank = (columns // width).astype(int)
    shade, shift = rng.random(TILE // width + 1)[plank], (rng.random(TILE // width + 1) * 40)[plank]
    rings = wave(columns / 11 + 3.5 * fractal(rng, 6, 2, 3) + shift)
    fibres = 0.6 * noise(rng, 150, 10) + 0.4 * noise(rng, 220, 24)
    base = blend(low, high, 0.3 * rings + 0.45 * fibres + 0.4 * shade - 0.05)
    seam = (columns % width < 2) | ((rows + 5 * shift) % 150 < 2)
    return over(base, (28, 18, 12), seam * 0.75)


def snow(rng: Generator, variant: int) -> np.ndarray:
    low, high = (
        ((188, 204, 224), (252, 253, 255)),
        ((140, 176, 220), (222, 238, 254)),
        ((214, 178, 196), (254, 240, 244)),
        ((150, 158, 170), (226, 230, 236)),
    )[variant]
    rows, _ = rows_columns()
    drifts = wave(rows / 90 + 1.6 * fractal(rng, 3, 3, 3))
    base = blend(low, high, 0.5 * drifts + 0.5 * fractal(rng, 6, 6) + 0.12 * noise(rng, 150, 150))
    return over(base, (255, 255, 255), (noise(rng, 140, 140) > 0.96) * 0.9)


def cloth(rng: Generator, variant: int) -> np.ndarray:
    low, high, band = (
        ((206, 80, 132), (246, 158, 190), (255, 226, 236)),
        ((52, 84, 152), (120, 154, 212), (226, 234, 248)),
        ((206, 156, 44), (246, 212, 112), (255, 246, 214)),
        ((44, 118, 92), (122, 186, 152), (228, 246, 232)),
    )[variant]
    rows, columns = rows_columns()
    weave = 0.5 * wave(rows / 4) + 0.5 * wave(columns / 4 + 0.5)
    folds = wave((columns + 0.6 * rows) / 130 + 1.4 * fractal(rng, 3, 3, 2))
    base = blend(low, high, 0.3 * weave + 0.6 * folds + 0.1 * noise(rng, 160, 160))
    across, along = (rows % 34 < 13), (columns % 34 < 13)
    dots = ((rows % 30 - 15) ** 2 + ((columns + 15 * (rows // 30 % 2)) % 30 - 15) ** 2) < 36
    pattern = (
        across * 0.4 + along * 0.4,
        ((columns + rows) % 24 < 8) * 0.55,
        dots * 0.8,
        (across ^ along) * 0.5,
    )[variant]
    return over(base, band, pattern)


def sky(rng: Generator, variant: int) -> np.ndarray:
    low, high, cloud = (
        ((70, 138, 216), (160, 206, 242), (252, 253, 255)),
        ((158, 194, 224), (220, 232, 242), (255, 255, 255)),
        ((206, 110, 92), (252, 202, 130), (255, 236, 206)),
        ((112, 126, 144), (172, 182, 194), (222, 226, 232)),
    )[variant]
    rows, _ = rows_columns()
    clouds = fractal(rng, 4, 7, 5, 0.6)
    base = blend(low, high, rows / TILE * 0.8 + 0.2 * noise(rng, 3, 3))
    shaded = over(base, _dimmed(cloud, 0.86), (clouds - 0.47) * 4.5)
    return over(shaded, cloud, (np.roll(clouds, 4, 0) - 0.5) * 5)


def night(rng: Generator, variant: int) -> np.ndarray:
    low, high, glow = (
        ((6, 10, 36), (24, 34, 84), (66, 86, 160)),
        ((22, 8, 42), (56, 26, 88), (130, 72, 160)),
        ((4, 5, 10), (22, 24, 34), (64, 66, 84)),
        ((4, 26, 40), (14, 62, 78), (54, 130, 130)),
    )[variant]
    rows, columns = rows_columns()
    base = blend(low, high, 0.6 * rows / TILE + 0.4 * fractal(rng, 4, 4))
    base = over(base, glow, (fractal(rng, 3, 6, 5) - 0.52) * 2.2)
    stars = np.zeros((TILE, TILE))
    for x, y, bright in rng.random((150, 3)):
        distance = abs(columns - x * TILE) + abs(rows - y * TILE)
        stars = np.maximum(
            stars, (0.45 + 0.55 * bright) * np.clip(1.5 + 1.3 * bright**4 - 0.8 * distance, 0, 1)
        )
    return over(base, (250, 246, 226), stars)


def brick(rng: Generator, variant: int) -> np.ndarray:
    low, high, mortar = (
        ((142, 56, 42), (198, 98, 74), (206, 194, 182)),
        ((176, 138, 84), (226, 192, 134), (238, 228, 208)),
        ((104, 106, 112), (164, 166, 170), (206, 208, 210)),
        ((84, 50, 38), (134, 88, 66), (148, 132, 120)),
    )[variant]
    rows, columns = rows_columns()
    course = (rows // 20).astype(int)
    shifted = (columns + 20 * (course % 2)) % TILE
    shades = rng.random((TILE // 20, TILE // 40 + 1))[course, (shifted // 40).astype(int)]
    base = blend(low, high, 0.65 * shades + 0.35 * fractal(rng, 12, 12, 4))
    edge = np.minimum(np.minimum(rows % 20, 19 - rows % 20), np.minimum(shifted % 40, 39 - shifted % 40))
    base = base * (0.86 + 0.14 * np.clip(edge / 4, 0, 1))[..., None]
    return over(base, mortar, (edge < 1.5) * (0.7 + 0.3 * noise(rng, 90, 90)))


def forest(rng: Generator, variant: int) -> np.ndarray:
    low, high, trunk = (
        ((16, 50, 26), (92, 150, 62), (66, 48, 34)),
        ((8, 28, 20), (42, 90, 54), (34, 26, 22)),
        ((96, 46, 18), (226, 146, 48), (70, 46, 34)),
        ((110, 134, 128), (196, 210, 200), (92, 104, 100)),
    )[variant]
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
    low, high = (
        ((104, 104, 108), (158, 158, 160)),
        ((130, 116, 102), (186, 172, 154)),
        ((66, 68, 76), (112, 114, 122)),
        ((166, 160, 152), (216, 210, 202)),
    )[variant]
    rows, columns = rows_columns()
    base = blend(low, high, 0.6 * fractal(rng, 8, 8, 5) + 0.3 * noise(rng, 170, 170))
    slab = (rows % 80 < 2) | ((columns + 40 * (rows // 80 % 2)) % 80 < 2)
    return over(base, _dimmed(low, 0.6), slab * 0.6)


def plaster(rng: Generator, variant: int) -> np.ndarray:
    low, high = (
        ((206, 194, 160), (246, 236, 204)),
        ((148, 184, 204), (206, 228, 240)),
        ((216, 166, 146), (250, 216, 196)),
        ((146, 182, 152), (206, 230, 206)),
    )[variant]
    return blend(
        low, high, 0.65 * fractal(rng, 3, 3, 4) + 0.3 * noise(rng, 60, 60) + 0.1 * noise(rng, 200, 200)
    )


PAINTERS: dict[str, Callable[[Generator, int], np.ndarray]] = {
    painter.__name__: painter
    for painter in (grass, water, sand, wood, snow, cloth, sky, night, brick, forest, stone, plaster)
}


@cache
def texture(kind: str, variant: int) -> Image.Image:
    """Return the tile of one kind and variant, RGB, TILE x TILE; drawn on first use, then cached."""
    rng = np.random.default_rng([sorted(PAINTERS).index(kind), variant])
    pixels = np.rint(np.clip(PAINTERS[kind](rng, variant), 0, 255)).astype(np.uint8)
    return Image.fromarray(pixels)


@cache
def grain() -> np.ndarray:
    """Camera noise, (TILE, TILE, 1) int16 in [-GRAIN_LEVELS, GRAIN_LEVELS], the sum of two uniform draws."""
    rng = np.random.default_rng(len(PAINTERS))
    draws = rng.random((2, TILE, TILE)) * (GRAIN_LEVELS + 1)
    return (draws[0].astype(np.int16) - draws[1].astype(np.int16))[..., None]
