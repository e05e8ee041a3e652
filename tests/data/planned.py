"""Plans of many scenes, made once for all tests of the planted world."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from core.worlds.scenes import PRESETS, ScenePlan, plan_scene

N_PLANS = 2000


@cache
def plans(preset: str = "default") -> tuple[ScenePlan, ...]:
    return tuple(plan_scene(0, index, PRESETS[preset]) for index in range(N_PLANS))


def bare(plan: ScenePlan) -> ScenePlan:
    """The scene with its main object alone, fully visible."""
    return replace(plan, fade=0.0, blur=0.0, companion=None, distractors=(), occluder=None, cover=None)
