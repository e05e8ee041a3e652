"""Glyphworld: the embedded planted world (METHOD 8). Scene i of a seed, drawn on demand, with its truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.data.glyph_paint import measure_occlusion, paint, paint_masks
from core.data.glyph_scene import PRESETS, ScenePlan, World, hardness_of, plan_scene, severities
from core.data.glyph_words import attributes_of, caption_of, cause_of, glyph_of, relations_of

DEFAULT_WORLD = PRESETS["default"]


@dataclass(frozen=True)
class Scene:
    """One scene with everything known about it.

    `core_mask`, `spurious_mask`: (size, size) uint8, see `glyph_paint.paint_masks`. `hardness` in [0, 1).
    `causes`: severity of each part of hardness in [0, 1], and 1.0 or 0.0 for a contradicting background and companion;
    `cause`: the word of the dominating one. `agrees`: no cue contradicts the class.
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


def describe(plan: ScenePlan) -> dict[str, object]:
    """What is known about a scene without painting it; the columns of `GlyphworldSource.extras`."""
    occlusion = measure_occlusion(plan)
    parts = severities(plan, occlusion)
    return {
        "hardness": hardness_of(parts),
        "cause": cause_of(plan, parts),
        "size": plan.main.size,
        "fade": plan.fade,
        "blur": plan.blur,
        "occlusion": occlusion,
        "clutter": len(plan.distractors),
        "background": plan.ground.kind,
        "companion": glyph_of(plan.companion).noun if plan.companion else None,
        "background_agrees": plan.background_agrees,
        "companion_agrees": plan.companion_agrees,
        "glyph": plan.main.glyph,
        "style": plan.style,
        "caption": caption_of(plan, parts),
    }


def render(seed: int, index: int, world: World = DEFAULT_WORLD, *, split: str = "train") -> Scene:
    """Scene `index` of `seed`: depends on nothing else but `world`; `split` is only noted down."""
    plan = plan_scene(seed, index, world)
    parts = severities(plan, measure_occlusion(plan))
    core, spurious = paint_masks(plan, world.size)
    contradicts = {"background": not plan.background_agrees, "companion": plan.companion_agrees is False}
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
        causes=parts | {name: float(value) for name, value in contradicts.items()},
        cause=cause_of(plan, parts),
        background=plan.ground.kind,
        companions=[glyph_of(plan.companion).noun] if plan.companion else [],
        background_agrees=plan.background_agrees,
        companion_agrees=plan.companion_agrees,
        agrees=not any(contradicts.values()),
        split=split,
        plan=plan,
    )
