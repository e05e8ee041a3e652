"""Composed scenes: two or three objects of like size, each in one of six hues whatever its kind.

Most nouns of the atlas have one colour, so that "a white dog" can be refused without looking. Here noun,
colour and place are drawn independently of each other: which caption is true can only be seen.
"""

from dataclasses import replace
from functools import cache

from core.worlds.glyphworld.atlas import load_atlas
from core.worlds.glyphworld.painting import HUES
from core.worlds.glyphworld.scenes import Draws, Item, ScenePlan, World, best_place, draw_item, plan_scene

COMPOSE_TAG = 0x636F6D70  # keeps these draws apart from those of other scenes
SMALLEST_BASE, LARGEST_BASE, LIKE = 0.27, 0.38, 0.08  # of the sizes in a scene: their base, and their spread
THIRD = 0.5  # share of the scenes with three objects


def plan_world_scene(seed: int, index: int, world: World) -> ScenePlan:
    """Decide everything about a scene of any world, composed or not, without drawing it."""
    plan = plan_scene(seed, index, world)
    return composed(plan) if world.composed else plan


def composed(plan: ScenePlan) -> ScenePlan:
    """Replace the objects of a plan by two or three of like size and any hue; ground and light stay.

    The first is of the plan's class, the others are of other classes. No object is faded, blurred, hidden
    on purpose, or a cue, and all are placed by the same rule, so that nothing gives the first one away.
    """
    dice = Draws(plan.seed, plan.index, COMPOSE_TAG)
    by_class, labels = single_words(), [plan.label]
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
def single_words() -> dict[str, tuple[str, ...]]:
    """List each class's glyphs, without those that the caption grammar cannot write: "slice of cake"."""
    atlas = load_atlas()
    words = {}
    for label, names in atlas.by_class.items():
        words[label] = tuple(name for name in names if " of " not in atlas.glyphs[name].noun)
    return words


def with_places_exchanged(plan: ScenePlan) -> ScenePlan:
    """Return the same scene in which the first two objects have exchanged their places."""
    main, other = _pair(plan)
    return replace(
        plan, main=replace(main, x=other.x, y=other.y), companion=replace(other, x=main.x, y=main.y)
    )


def with_hues_exchanged(plan: ScenePlan) -> ScenePlan:
    """Return the same scene in which the first two objects have exchanged their hues."""
    main, other = _pair(plan)
    return replace(plan, main=replace(main, hue=other.hue), companion=replace(other, hue=main.hue))


def _pair(plan: ScenePlan) -> tuple[Item, Item]:
    if plan.companion is None:
        raise ValueError("a scene with one object has nothing to exchange")
    return plan.main, plan.companion
