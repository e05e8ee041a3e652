"""Glyphworld, the embedded world (docs/method.md 8): scene i of a seed, drawn on demand, with its truth."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any, Self
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
from PIL import Image

from core.errors import ImageSourceError, UnreadableImage, did_you_mean, unknown_name
from core.worlds.atlas import FOLDER, INDEX, SHEET, load_atlas
from core.worlds.backgrounds import VARIANTS
from core.worlds.painting import HUES, measure_occlusion, paint, paint_masks
from core.worlds.scenes import (
    PRESETS,
    STYLES,
    Draws,
    Item,
    ScenePlan,
    World,
    best_place,
    draw_item,
    hardness_of,
    label_of,
    plan_scene,
    severities,
)
from core.worlds.vocabulary import attributes_of, caption_of, cause_of, glyph_of, relations_of

# Composed scenes: two or three objects of like size, each in one of six hues whatever its kind.
#
# Most nouns of the atlas have one colour, so that "a white dog" can be refused without looking. Here noun,
# colour and place are drawn independently of each other: which caption is true can only be seen.


COMPOSE_TAG = 0x636F6D70  # keeps these draws apart from those of other scenes
SMALLEST_BASE, LARGEST_BASE, LIKE = 0.27, 0.38, 0.08  # of the sizes in a scene: their base, and their spread
THIRD = 0.5  # share of the scenes with three objects


def plan_world_scene(seed: int, index: int, world: World) -> ScenePlan:
    """Decide everything about a scene of any Glyphworld, composed or not, without drawing it."""
    plan = plan_scene(seed, index, world)
    return composed(plan) if world.composed else plan


def composed(plan: ScenePlan) -> ScenePlan:
    """Replace the objects of a Glyphworld scene by two or three of like size and any hue.

    The first is of the plan's class, the others are of other classes. No object is faded, blurred, hidden
    on purpose, or a cue, and all are placed by the same rule, so that nothing gives the first one away.
    """
    dice = Draws(plan.seed, plan.index, COMPOSE_TAG)
    by_class, labels = _single_words(), [plan.label]
    for _ in range(2 if dice.chance(THIRD) else 1):
        labels.append(dice.pick([label for label in by_class if label not in labels]))
    base, items = dice.between(SMALLEST_BASE, LARGEST_BASE), []
    for label in labels:
        size = base * dice.between(1 - LIKE, 1 + LIKE)
        glyph, position = dice.pick(by_class[label]), best_place(dice, size, items)
        items.append(replace(draw_item(dice, glyph, *position, size), hue=dice.pick(tuple(HUES))))
    return replace(
        plan,
        main=items[0],
        companion=items[1],
        distractors=tuple(items[2:]),
        companion_agrees=None,
        fade=0.0,
        blur=0.0,
        occluder=None,
        cover=None,
    )


@cache
def _single_words() -> dict[str, tuple[str, ...]]:
    """List each Glyphworld class's glyphs without those that captions cannot write: "slice of cake"."""
    atlas = load_atlas()
    words = {}
    for label, names in atlas.by_class.items():
        words[label] = tuple(name for name in names if " of " not in atlas.glyphs[name].noun)
    return words


def with_places_exchanged(plan: ScenePlan) -> ScenePlan:
    """Return a Glyphworld scene in which the first two objects have exchanged their places."""
    main, other = _pair(plan)
    return replace(
        plan, main=replace(main, x=other.x, y=other.y), companion=replace(other, x=main.x, y=main.y)
    )


def with_hues_exchanged(plan: ScenePlan) -> ScenePlan:
    """Return a Glyphworld scene in which the first two objects have exchanged their hues."""
    main, other = _pair(plan)
    return replace(plan, main=replace(main, hue=other.hue), companion=replace(other, hue=main.hue))


def _pair(plan: ScenePlan) -> tuple[Item, Item]:
    if plan.companion is None:
        raise ValueError("a scene with one object has nothing to exchange")
    return plan.main, plan.companion


# Glyphworld, the embedded world (docs/method.md 8): scene i of a seed, drawn on demand, with its truth.


DEFAULT_WORLD = PRESETS["default"]
PIXELS_VERSION = 2  # increased whenever a scene's pixels or truth change
TRAIN, VAL, SEED = 4000, 1000, 0
VAL_START = 10_000_000  # val scenes do not depend on the size of train and never share its indices
KNOBS = ("background_agreement", "companion_agreement", "companion_share", "hard_share")
RANGES: dict[str, tuple[int, int]] = {
    "train": (1, VAL_START), "val": (0, VAL_START), "seed": (0, 2**31 - 1), "size": (32, 512),
    "background_variants": (1, VARIANTS),
}  # fmt: skip
TEXT_COLUMNS = ("cause", "background", "companion", "glyph", "style", "caption")


@dataclass(frozen=True)
class Scene:
    """One scene with its complete ground truth.

    `core_mask`, `spurious_mask`: (size, size) uint8, see `painting.paint_masks`. `hardness` in [0, 1).
    `causes`: severity of each part of hardness in [0, 1], and 1.0 or 0.0 for a contradicting background and
    companion; `cause`: the name of the dominant one. `agrees`: no cue contradicts the class.
    """

    image: Image.Image
    label: str
    core_mask: np.ndarray
    spurious_mask: np.ndarray
    caption: str
    attributes: list[str]
    relations: list[tuple[str, str, str]]
    style: str
    hardness: float
    causes: dict[str, float]
    cause: str
    background: str
    companions: list[str]
    background_agrees: bool
    companion_agrees: bool | None
    agrees: bool
    split: str
    plan: ScenePlan


def render_scene(seed: int, index: int, world: World = DEFAULT_WORLD, *, split: str = "train") -> Scene:
    """Render Glyphworld scene `index` of `seed`; it depends only on these and `world`, not on `split`."""
    plan = plan_world_scene(seed, index, world)
    parts = severities(plan, measure_occlusion(plan))
    core, spurious = paint_masks(plan, world.size)
    contradicts = {"background": not plan.background_agrees, "companion": plan.companion_agrees is False}
    causes = parts | {name: float(value) for name, value in contradicts.items()}
    return Scene(
        image=paint(plan, world.size),
        label=plan.label,
        core_mask=core,
        spurious_mask=spurious,
        caption=caption_of(plan, parts),
        attributes=attributes_of(plan, parts),
        relations=relations_of(plan),
        style=plan.style,
        hardness=hardness_of(parts),
        causes=causes,
        cause=cause_of(plan, parts),
        background=plan.ground.kind,
        companions=[glyph_of(plan.companion).noun] if plan.companion else [],
        background_agrees=plan.background_agrees,
        companion_agrees=plan.companion_agrees,
        agrees=not any(contradicts.values()),
        split=split,
        plan=plan,
    )


def scene_row(plan: ScenePlan) -> dict[str, object]:
    """Collect a Glyphworld scene's table entries without drawing it.

    `companion_agrees` is None without a companion and where it is no cue.
    """
    occlusion = measure_occlusion(plan)
    parts = severities(plan, occlusion)
    row = {
        "hardness": hardness_of(parts),
        "cause": cause_of(plan, parts),
        "size": plan.main.size,
        "fade": plan.fade,
        "blur": plan.blur,
        "occlusion": occlusion,
    }
    companion = glyph_of(plan.companion).noun if plan.companion else None
    row |= {
        "clutter": len(plan.distractors),
        "background": plan.ground.kind,
        "companion": companion,
        "background_agrees": plan.background_agrees,
        "companion_agrees": plan.companion_agrees,
    }
    row |= {"glyph": plan.main.glyph, "style": plan.style, "caption": caption_of(plan, parts)}
    return row


class Glyphworld:
    """Scenes 0 … of a seed as train, scenes VAL_START … as val, drawn on demand.

    Attributes:
        extras: what each scene shows, and what makes it hard; the rows of `scene_row`.
    """

    def __init__(
        self,
        *,
        train: int = TRAIN,
        val: int = VAL,
        seed: int = SEED,
        preset: str = "default",
        world: World | None = None,
    ) -> None:
        self.n_train, self.n_val, self.seed, self.preset = train, val, seed, preset
        self.world = world or PRESETS[preset]

    @classmethod
    def from_spec(cls, spec: str) -> Self:
        """Open `glyphworld?train=8000&val=2000&seed=0&preset=spurious&size=96`; all options are optional.

        `styles=plain,sketch,mono` draws these styles with equal shares; the scenes stay the same otherwise.

        Raises:
            ImageSourceError: an unknown option or preset, or a value out of range.
        """
        options = _parse_world(spec)
        preset = options.pop("preset", "default")
        worldly = (*KNOBS, "background_variants", "size", "styles")
        changes = {name: options.pop(name) for name in worldly if name in options}
        return cls(**options, preset=preset, world=replace(PRESETS[preset], **changes))

    @property
    def spec(self) -> str:
        """Return the canonical spec string, which opens the same source."""
        usual = PRESETS[self.preset]
        knobs = {}
        for name in (*KNOBS, "background_variants"):
            value = getattr(self.world, name)
            if value != getattr(usual, name):
                knobs[name] = value
        options = {"train": self.n_train, "val": self.n_val, "seed": self.seed, "preset": self.preset}
        options |= {"size": self.world.size} | knobs
        if self.world.styles != usual.styles:
            options["styles"] = ",".join(name for name, _ in self.world.styles)
        return "glyphworld?" + "&".join(f"{name}={value}" for name, value in options.items())

    def __len__(self) -> int:
        return self.n_train + self.n_val

    @cached_property
    def extras(self) -> pd.DataFrame:
        frame = pd.DataFrame([scene_row(self.plan(row)) for row in range(len(self))])
        kinds = dict.fromkeys(TEXT_COLUMNS, "str") | {"companion_agrees": "boolean"}
        return frame.astype(kinds)

    def index_of(self, row: int) -> int:
        """Return the index of the row's scene in the seed's sequence. Raises UnreadableImage if unknown."""
        if not 0 <= row < len(self):
            raise UnreadableImage(f"row {row} is not among the {len(self)} scenes")
        return row if row < self.n_train else VAL_START + row - self.n_train

    def label(self, row: int) -> str:
        """Return the class of a row's scene."""
        return label_of(self.seed, self.index_of(row))

    def plan(self, row: int) -> ScenePlan:
        """Return what the scene of a row holds, and where; nothing is drawn."""
        return plan_world_scene(self.seed, self.index_of(row), self.world)

    def read(self, row: int) -> Image.Image:
        """Draw the image of a row."""
        return paint(self.plan(row), self.world.size)

    def in_style(self, style: str) -> Self:
        """Return the same scenes in one style: row i is the twin of row i."""
        world = replace(self.world, styles=((style, 1.0),))
        return type(self)(train=self.n_train, val=self.n_val, seed=self.seed, preset=self.preset, world=world)

    def scene(self, row: int) -> Scene:
        """Render the scene of a row with its masks and ground truth."""
        split = "train" if row < self.n_train else "val"
        return render_scene(self.seed, self.index_of(row), self.world, split=split)

    def core_mask(self, row: int) -> np.ndarray:
        """(size, size) uint8, 0 to 255: the visible shape of the main object."""
        return _masks(self.seed, self.index_of(row), self.world)[0]

    def spurious_mask(self, row: int) -> np.ndarray:
        """(size, size) uint8, 0 to 255: planted cues outside the main object."""
        return _masks(self.seed, self.index_of(row), self.world)[1]

    def fingerprint(self) -> str:
        """Return the sha256 (hex) of everything that decides the scenes."""
        digest = hashlib.sha256(f"{PIXELS_VERSION} {self.spec} {self._settings()}".encode())
        for name in (INDEX, SHEET):
            digest.update((FOLDER / name).read_bytes())
        return digest.hexdigest()

    def _settings(self) -> dict[str, Any]:
        """Return the world's settings as older versions knew them: `composed` only where it is True."""
        settings = asdict(self.world)
        return settings if settings.pop("composed") is False else settings | {"composed": True}


@lru_cache(maxsize=128)
def _masks(seed: int, index: int, world: World) -> tuple[np.ndarray, np.ndarray]:
    """Paint the core and the spurious mask together, since usually both are needed. Read-only."""
    masks = paint_masks(plan_world_scene(seed, index, world), world.size)
    for mask in masks:
        mask.setflags(write=False)
    return masks


def _parse_world(spec: str) -> dict[str, Any]:
    """Parse and check the options of a `glyphworld?…` string. Raises ImageSourceError."""
    name, _, query = spec.partition("?")
    if name != "glyphworld":
        raise ImageSourceError(
            f"'{spec}' is not a Glyphworld specification. Write glyphworld or glyphworld?train=8000&val=2000"
        )
    readers: dict[str, Callable[[str, str], Any]] = dict.fromkeys(RANGES, _whole_number)
    readers |= dict.fromkeys(KNOBS, _probability) | {"preset": _preset, "styles": _styles}
    try:
        pairs = parse_qsl(query, strict_parsing=bool(query), keep_blank_values=True)
    except ValueError:
        raise ImageSourceError(
            f"cannot read '{spec}'. Write options as glyphworld?train=8000&val=2000"
        ) from None
    for option, _ in pairs:
        if option not in readers:
            raise ImageSourceError(
                unknown_name(f"glyphworld has no option '{option}'", option, readers, "Options")
            )
    return {option: readers[option](option, text) for option, text in pairs}


def _whole_number(option: str, text: str) -> int:
    low, high = RANGES[option]
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise ImageSourceError(
            f"glyphworld: {option} must be a whole number from {low} to {high}, not '{text}'"
        )
    return int(text)


def _probability(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ImageSourceError(f"glyphworld: {option} must be a number from 0 to 1, not '{text}'")
    return value


def _styles(option: str, text: str) -> tuple[tuple[str, float], ...]:
    names = text.split(",")
    for name in names:
        if name not in STYLES or names.count(name) > 1:
            hint = did_you_mean(name, STYLES)
            raise ImageSourceError(
                f"glyphworld: styles must be different names of {', '.join(STYLES)}, not '{text}'.{hint}"
            )
    return tuple((name, 1 / len(names)) for name in names)


def _preset(option: str, text: str) -> str:
    if text not in PRESETS:
        raise ImageSourceError(unknown_name(f"glyphworld has no preset '{text}'", text, PRESETS, "Presets"))
    return text
