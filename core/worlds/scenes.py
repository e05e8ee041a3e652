"""Decide by random draws what a Glyphworld scene contains; nothing is painted here.

Two knobs make failures (docs/method.md 8). Hardness: the main object small, faded, blurred, occluded or in
clutter. Spuriousness: background and companion agree with the class with given probabilities, else they are
the cue of another class. Lengths are fractions of the image's side, except `blur` (in pixels of a 96-pixel
scene).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

import numpy as np

from core.worlds.atlas import Atlas, load_atlas
from core.worlds.backgrounds import FLOORS, KINDS

T = TypeVar("T")

BACKGROUND_CUE = {
    "dog": "grass", "bike": "grass", "boat": "water", "fish": "water", "aircraft": "sky", "bird": "sky",
    "ball": "sand", "hat": "sand", "car": "brick", "house": "brick", "instrument": "wood", "clock": "wood",
    "cat": "night", "truck": "night", "tree": "snow", "shoe": "snow", "cake": "cloth", "fruit": "cloth",
    "flower": "forest", "insect": "forest",
}  # fmt: skip
STYLES = ("plain", "sketch", "pastel", "mono")
UNITY = 128  # the gain 1.0 in the painter's integer arithmetic
LIGHT_NODES = 4

SIZE_EASY, SIZE_LARGEST, SIZE_SMALLEST = 0.5, 0.85, 0.13
FADE_WORST, BLUR_WORST, OCCLUSION_WORST, CLUTTER_WORST = 0.84, 3.2, 0.75, 6
FAULTS = ("small", "faded", "blurred", "occluded", "clutter")
FAULT_SHARES = (0.30, 0.20, 0.16, 0.24, 0.10)
FAULT_WEIGHTS = {"small": 0.9, "faded": 0.9, "blurred": 0.8, "occluded": 0.9, "clutter": 0.4}
COVER_DIRECTIONS = ((0.0, 1.0), (0.0, 1.0), (1.0, 0.0), (-1.0, 0.0), (0.6, 0.8), (-0.6, 0.8))
SHARE_TAG = 0x676C7970  # separates the random stream of label permutations from those of scenes


@dataclass(frozen=True)
class World:
    """The parameters of a world; a scene depends only on (seed, index, world)."""

    size: int = 96
    background_agreement: float = 0.38
    companion_agreement: float = 0.38
    companion_share: float = 0.5
    hard_share: float = 0.25
    background_variants: int = 1  # variants of each kind; fewer variants make scenes more alike
    styles: tuple[tuple[str, float], ...] = (("plain", 1.0),)
    composed: bool = False  # see compose.py


_SPURIOUS = World(background_agreement=0.85, companion_agreement=0.85, companion_share=0.8)
_STYLES = World(styles=tuple((style, 0.25) for style in STYLES))
_COMPOSED = World(background_agreement=1 / len(KINDS), hard_share=0.0, composed=True)
PRESETS = {"default": World(), "spurious": _SPURIOUS, "styles": _STYLES, "compose": _COMPOSED}


@dataclass(frozen=True)
class Item:
    """One glyph in the scene: centre, longer side, rotation in degrees, colour gains in 1/128.

    `hue`: the name of the colour that it is painted in, None for its own.
    """

    glyph: str
    x: float
    y: float
    size: float
    angle: float = 0.0
    flip: bool = False
    gains: tuple[int, int, int] = (UNITY, UNITY, UNITY)
    hue: str | None = field(default=None, repr=False)  # only composed scenes have one


@dataclass(frozen=True)
class Cover:
    """A piece of background in front of the main object, hiding `amount` of its box from one side."""

    direction: tuple[float, float]
    amount: float


@dataclass(frozen=True)
class Ground:
    """Background: the cue kind and, where a horizon splits the scene, the neutral kind on the other side."""

    kind: str
    variant: int
    window: tuple[float, float, float]  # left, top and width of the visible part of the tile, in tiles
    flip: bool
    horizon: tuple[float, ...] | None  # heights at equal steps from the left
    neutral_variant: int
    neutral_window: tuple[float, float, float]

    @property
    def is_floor(self) -> bool:
        return self.kind in FLOORS


@dataclass(frozen=True)
class ScenePlan:
    """Everything decided about one scene before it is drawn."""

    seed: int
    index: int
    label: str
    style: str
    tone: float
    ground: Ground
    background_agrees: bool
    main: Item
    fade: float
    blur: float
    companion: Item | None
    companion_agrees: bool | None
    distractors: tuple[Item, ...]
    occluder: Item | None
    cover: Cover | None
    light: tuple[int, ...]
    brightness: float
    shadow: tuple[float, float, float]  # offset right, offset down, strength
    grain_at: tuple[float, float]
    wording: tuple[float, float]


class Draws:
    """Random choices made from uniform draws only, the part of NumPy's generator that never changes."""

    def __init__(self, *key: int) -> None:
        self.draw = np.random.default_rng(key).random

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.draw()

    def chance(self, probability: float) -> bool:
        return self.draw() < probability

    def below(self, n: int) -> int:
        return int(self.draw() * n)

    def pick(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]

    def weighted(self, options: Sequence[T], weights: Sequence[float]) -> T:
        at = self.draw() * sum(weights)
        for option, weight in zip(options, weights, strict=True):
            at -= weight
            if at < 0:
                return option
        return options[-1]


@lru_cache(maxsize=4096)
def _class_order(seed: int, block: int, n_classes: int) -> tuple[int, ...]:
    draws = np.random.default_rng((seed, block, SHARE_TAG)).random(n_classes)
    return tuple(int(code) for code in np.argsort(draws, kind="stable"))


def label_of(seed: int, index: int) -> str:
    """Class of Glyphworld scene `index`: each run of n_classes indices holds each class once, at random."""
    names = load_atlas().class_names
    block, number = divmod(index, len(names))
    return names[_class_order(seed, block, len(names))[number]]


def plan_scene(seed: int, index: int, world: World) -> ScenePlan:
    """Decide everything about Glyphworld scene `index` of `seed`, without drawing it."""
    atlas, dice, label = load_atlas(), Draws(seed, index), label_of(seed, index)
    faults = _draw_faults(dice, world)
    background_agrees = dice.chance(world.background_agreement)
    ground = _draw_ground(dice, label, background_agrees, world.background_variants)
    main = _draw_main(dice, atlas.by_class[label], ground, faults.get("small", 0.0))
    companion, companion_agrees = _draw_companion(dice, world, atlas, label, main)
    distractors = _draw_distractors(dice, atlas, main, companion, faults.get("clutter", 0.0))
    occluder, cover = _draw_occlusion(dice, atlas, main, faults.get("occluded", 0.0))
    light, brightness = _draw_light(dice)
    # The dice are thrown in this order: another one would give other scenes.
    style = dice.weighted([name for name, _ in world.styles], [share for _, share in world.styles])
    tone = dice.draw()
    fade = FADE_WORST * faults["faded"] if "faded" in faults else dice.between(0.0, 0.12)
    shadow = (dice.between(-0.035, 0.035), dice.between(0.01, 0.04), dice.between(0.25, 0.5))
    grain_at = (dice.draw(), dice.draw())
    wording = (dice.draw(), dice.draw())
    return ScenePlan(
        seed=seed,
        index=index,
        label=label,
        style=style,
        tone=tone,
        ground=ground,
        background_agrees=background_agrees,
        main=main,
        fade=fade,
        blur=BLUR_WORST * faults["blurred"] if "blurred" in faults else 0.0,
        companion=companion,
        companion_agrees=companion_agrees,
        distractors=distractors,
        occluder=occluder,
        cover=cover,
        light=light,
        brightness=brightness,
        shadow=shadow,
        grain_at=grain_at,
        wording=wording,
    )


def _draw_faults(dice: Draws, world: World) -> dict[str, float]:
    """Draw the parts of hardness of this scene with severities in [0.35, 1]; empty for an easy scene."""
    if not dice.chance(world.hard_share):
        return {}
    count = dice.weighted((1, 2, 3), (0.5, 0.35, 0.15))
    struck = [dice.weighted(FAULTS, FAULT_SHARES) for _ in range(count)]
    return {fault: dice.between(0.35, 1.0) for fault in dict.fromkeys(struck)}


def _draw_ground(dice: Draws, label: str, agrees: bool, variants: int) -> Ground:
    cue = BACKGROUND_CUE[label]
    kind = cue if agrees else dice.pick([kind for kind in KINDS if kind != cue])
    horizon = None
    if dice.chance(0.62):
        level = dice.between(0.22, 0.52) if kind in FLOORS else dice.between(0.58, 0.86)
        tilt, rough = dice.between(-0.05, 0.05), dice.pick((0.0, 0.015, 0.035))
        heights = []
        for k in range(5):
            heights.append(level + tilt * (k / 2 - 1) + dice.between(-rough, rough))
        horizon = tuple(heights)
    return Ground(
        kind,
        dice.below(variants),
        _window(dice),
        dice.chance(0.5),
        horizon,
        dice.below(variants),
        _window(dice),
    )


def _window(dice: Draws) -> tuple[float, float, float]:
    width = dice.between(0.24, 0.5)
    return dice.between(0, 1 - width), dice.between(0, 1 - width), width


def _draw_main(dice: Draws, glyphs: Sequence[str], ground: Ground, severity: float) -> Item:
    size = dice.between(SIZE_EASY, SIZE_LARGEST)
    if severity:
        size = SIZE_EASY - severity * (SIZE_EASY - SIZE_SMALLEST)
    room = 1 - size
    x = 0.5 + 0.8 * room * (dice.draw() - 0.5)
    y = 0.5 + 0.8 * room * (dice.draw() - 0.5)
    if ground.is_floor and ground.horizon:
        y = min(max(y, max(ground.horizon) - 0.2 * size), 1 - size / 2)
    return draw_item(dice, dice.pick(glyphs), x, y, size)


def draw_item(dice: Draws, glyph: str, x: float, y: float, size: float) -> Item:
    """Draw the gains, rotation and flip of a glyph at its place in a Glyphworld scene."""
    gain = dice.between(0.88, 1.1)
    red, green, blue = (round(UNITY * gain * dice.between(0.94, 1.06)) for _ in range(3))
    return Item(glyph, x, y, size, dice.between(-22, 22), dice.chance(0.5), (red, green, blue))


def best_place(dice: Draws, size: float, taken: Sequence[Item]) -> tuple[float, float]:
    """Return the best of six random positions for a glyph: the least overlap with other objects' boxes."""
    low, high = size / 2, 1 - size / 2
    spots = [(dice.between(low, high), dice.between(low, high)) for _ in range(6)]
    return min(spots, key=lambda spot: sum(_overlap(spot, size, item) for item in taken))


def _overlap(spot: tuple[float, float], size: float, item: Item) -> float:
    reach = (size + item.size) / 2
    across = max(0.0, reach - abs(spot[0] - item.x))
    down = max(0.0, reach - abs(spot[1] - item.y))
    return across * down


def _draw_companion(
    dice: Draws, world: World, atlas: Atlas, label: str, main: Item
) -> tuple[Item | None, bool | None]:
    present, agrees = dice.chance(world.companion_share), dice.chance(world.companion_agreement)
    if not present:
        return None, None
    cue = label if agrees else dice.pick([name for name in atlas.class_names if name != label])
    size = dice.between(0.2, 0.32)
    return draw_item(dice, atlas.companion_of[cue], *best_place(dice, size, [main]), size), agrees


def _draw_distractors(
    dice: Draws, atlas: Atlas, main: Item, companion: Item | None, severity: float
) -> tuple[Item, ...]:
    count = round(CLUTTER_WORST * severity) if severity else int(dice.chance(0.3))
    placed = [main, companion] if companion else [main]
    items = []
    for _ in range(count):
        size = dice.between(0.14, 0.27)
        items.append(
            draw_item(dice, dice.pick(atlas.distractors), *best_place(dice, size, placed + items), size)
        )
    return tuple(items)


def _draw_occlusion(
    dice: Draws, atlas: Atlas, main: Item, severity: float
) -> tuple[Item | None, Cover | None]:
    """Draw an object or background piece in front; the actual occlusion is measured on the alpha channel."""
    if not severity:
        return None, None
    target = OCCLUSION_WORST * severity
    if dice.chance(0.5):
        return None, Cover(dice.pick(COVER_DIRECTIONS), target)
    size = main.size * dice.between(0.7, 1.0)
    reach = main.size * (0.74 - 0.6 * target)
    side_x, side_y = dice.pick((-1, 1)) * dice.between(0.5, 1.0), dice.between(-0.6, 0.6)
    x, y = main.x + reach * side_x, main.y + reach * side_y
    return draw_item(dice, dice.pick(atlas.distractors), x, y, size), None


def _draw_light(dice: Draws) -> tuple[tuple[int, ...], float]:
    """Draw a coarse grid of RGB gains in 1/128, row by row, and its mean brightness."""
    brightness, warmth = dice.between(0.82, 1.14), dice.between(-0.11, 0.11)
    slope_x, slope_y, vignette = dice.between(-0.28, 0.28), dice.between(-0.28, 0.28), dice.between(0.0, 0.24)
    last = LIGHT_NODES - 1
    gains = []
    for row in range(LIGHT_NODES):
        for column in range(LIGHT_NODES):
            across, down = 2 * column / last - 1, 2 * row / last - 1
            from_centre = across**2 + down**2
            gain = 1 + slope_x * across + slope_y * down - vignette * from_centre / 2
            gain *= brightness * dice.between(0.9, 1.1)
            for tint in (1 + warmth, 1.0, 1 - warmth):
                gains.append(min(max(round(UNITY * gain * tint), 24), 216))
    return tuple(gains), brightness


def severities(plan: ScenePlan, occlusion: float) -> dict[str, float]:
    """Severity of each part of a scene's hardness, in [0, 1]; `occlusion`: the hidden share, in [0, 1]."""
    too_small = (SIZE_EASY - plan.main.size) / (SIZE_EASY - SIZE_SMALLEST)
    small = min(max(too_small, 0.0), 1.0)
    faded, blurred = plan.fade / FADE_WORST, plan.blur / BLUR_WORST
    occluded = min(occlusion / OCCLUSION_WORST, 1.0)
    clutter = min(len(plan.distractors) / CLUTTER_WORST, 1.0)
    return dict(zip(FAULTS, (small, faded, blurred, occluded, clutter), strict=True))


def hardness_of(parts: dict[str, float]) -> float:
    """Hardness of a Glyphworld scene, 1 - prod_p (1 - w_p s_p) over the severities s_p, in [0, 1)."""
    left = 1.0
    for name, weight in FAULT_WEIGHTS.items():
        left *= 1 - weight * parts[name]
    return 1 - left
