"""Twins of Glyphworld scenes: one attribute is replaced, and everything else stays as it is."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from core.worlds.glyphworld.atlas import load_atlas
from core.worlds.glyphworld.compose import plan_world_scene
from core.worlds.glyphworld.scenes import BACKGROUND_CUE, Item, ScenePlan, World
from core.worlds.glyphworld.word_truth import TruthTable, truth_of

FRESH_START = 50_000_000  # scenes from here on belong to no study
POOL = 4000  # scenes among which those with a word, and those without it, are looked for
TRIES = 8  # scenes from which an attribute is borrowed, until the word is gone


def _object(plan: ScenePlan, other: ScenePlan) -> ScenePlan:
    return replace(plan, main=replace(plan.main, glyph=other.main.glyph), label=other.label)


def _size(plan: ScenePlan, other: ScenePlan) -> ScenePlan:
    size = other.main.size
    x, y = (min(max(at, size / 2), 1 - size / 2) for at in (plan.main.x, plan.main.y))
    return replace(plan, main=replace(plan.main, size=size, x=x, y=y))


def _background(plan: ScenePlan, other: ScenePlan) -> ScenePlan:
    """The kind of the background; of a floor and a wall the horizon as well, which suits only one of them."""
    if plan.ground.is_floor != other.ground.is_floor:
        return replace(plan, ground=other.ground)
    return replace(plan, ground=replace(plan.ground, kind=other.ground.kind, variant=other.ground.variant))


def _horizon(plan: ScenePlan, other: ScenePlan) -> ScenePlan:
    if plan.ground.is_floor != other.ground.is_floor:
        return plan
    return replace(plan, ground=replace(plan.ground, horizon=other.ground.horizon))


SWAPS: dict[str, Callable[[ScenePlan, ScenePlan], ScenePlan]] = {
    "object": _object,
    "size": _size,
    "background": _background,
    "horizon": _horizon,
    "companion": lambda plan, other: replace(plan, companion=other.companion),
    "distractors": lambda plan, other: replace(plan, distractors=other.distractors),
    "cover": lambda plan, other: replace(plan, occluder=other.occluder, cover=other.cover),
    "fading": lambda plan, other: replace(plan, fade=other.fade),
    "blur": lambda plan, other: replace(plan, blur=other.blur),
    "style": lambda plan, other: replace(plan, style=other.style, tone=other.tone),
    "light": lambda plan, other: replace(plan, light=other.light, brightness=other.brightness),
}


def swapped(plan: ScenePlan, other: ScenePlan, attribute: str) -> ScenePlan:
    """Return the scene with one attribute (a key of SWAPS) of another scene."""
    twin = SWAPS[attribute](plan, other)
    companion = twin.companion
    return replace(
        twin,
        background_agrees=twin.ground.kind == BACKGROUND_CUE[twin.label],
        companion_agrees=None if companion is None else _agrees(companion, twin.label),
    )


def _agrees(companion: Item, label: str) -> bool:
    return companion.glyph == load_atlas().companion_of[label]


@dataclass(frozen=True)
class Twins:
    """A scene of which a word is true, and the same with one attribute of another, of which it is not."""

    present: ScenePlan
    absent: ScenePlan
    attribute: str


class TwinMaker:
    """Finds twins for words among fresh scenes of a world, which no study holds.

    Args:
        seed: of the world; the scenes are those from index FRESH_START on.
    """

    def __init__(self, seed: int, world: World, *, pool: int = POOL) -> None:
        self.plans = [plan_world_scene(seed, FRESH_START + index, world) for index in range(pool)]
        self.truth = TruthTable([truth_of(plan) for plan in self.plans])
        self.seed = seed

    def twins(self, word: str, n: int) -> list[Twins]:
        """Return up to n pairs for a word; fewer where fewer scenes show it, none where all or none do.

        The attribute that is replaced is one that takes the word away on its own; where several do, a random
        one of them. A scene in which none does (a word that is true of two objects) is left out.
        """
        holds = self.truth.column(word)
        others = np.flatnonzero(~holds)
        if not len(others):
            return []
        rng = np.random.default_rng([self.seed, len(others)])
        pairs: list[Twins] = []
        for row in np.flatnonzero(holds).tolist():
            twins = self._twins_of(self.plans[row], word, others, rng)
            pairs += [twins] if twins else []
            if len(pairs) == n:
                break
        return pairs

    def _twins_of(
        self, plan: ScenePlan, word: str, others: np.ndarray, rng: np.random.Generator
    ) -> Twins | None:
        for other in rng.choice(others, TRIES).tolist():
            names = [name for name in SWAPS if not self._still(plan, other, name, word)]
            if names:
                name = names[int(rng.integers(len(names)))]
                return Twins(plan, swapped(plan, self.plans[other], name), name)
        return None

    def _still(self, plan: ScenePlan, other: int, name: str, word: str) -> bool:
        return truth_of(swapped(plan, self.plans[other], name)).holds(word)
