"""Twins differ in one attribute, and the word is true of one of them only."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from core.worlds.glyphworld.painting import paint
from core.worlds.glyphworld.scenes import PRESETS, World, plan_scene
from core.worlds.glyphworld.twins import SWAPS, TwinMaker, swapped
from core.worlds.glyphworld.vocabulary import glyph_of
from core.worlds.glyphworld.word_truth import truth_of


@pytest.fixture(scope="module")
def maker():
    return TwinMaker(0, World(), pool=250)


BELONGS = {  # what an attribute may change; agreement with the class follows
    "object": {"main", "label"}, "size": {"main"}, "background": {"ground"}, "horizon": {"ground"},
    "companion": {"companion"}, "distractors": {"distractors"}, "cover": {"occluder", "cover"},
    "fading": {"fade"}, "blur": {"blur"}, "style": {"style", "tone"}, "light": {"light", "brightness"},
}  # fmt: skip


@pytest.mark.parametrize("word", ["grass", "blue", "huge", "huge dog", "hidden", "dark"])
def test_twins__differ_in_one_attribute_and_in_the_word(maker, word):
    found = maker.twins(word, 6)
    assert found
    for one in found:
        assert truth_of(one.present).holds(word) and not truth_of(one.absent).holds(word)
        changed = {
            field.name
            for field in fields(one.present)
            if getattr(one.present, field.name) != getattr(one.absent, field.name)
        }
        assert changed - {"background_agrees", "companion_agrees"} <= BELONGS[one.attribute]
        assert changed


def test_swapped__takes_the_attribute_and_keeps_cues_in_step(maker):
    plan, other = next(
        (a, b)
        for a in maker.plans
        for b in maker.plans
        if a.label != b.label and a.ground.is_floor == b.ground.is_floor and a.companion and b.companion
    )
    taken = swapped(plan, other, "object")
    assert taken.label == other.label and glyph_of(taken.main) == glyph_of(other.main)
    assert (taken.main.x, taken.main.size) == (plan.main.x, plan.main.size)
    ground = swapped(plan, other, "background").ground
    assert (ground.kind, ground.variant) == (other.ground.kind, other.ground.variant)
    assert ground.horizon == plan.ground.horizon  # both are floors, or both walls
    large = swapped(plan, replace(other, main=replace(other.main, size=0.85)), "size").main
    assert large.size == 0.85 and 0.425 <= large.x <= 0.575 and 0.425 <= large.y <= 0.575
    own = swapped(plan, replace(plan, companion=None), "companion")
    assert own.companion_agrees is None and own.background_agrees == plan.background_agrees
    for name in SWAPS:
        assert np.asarray(paint(swapped(plan, other, name), 32)).shape == (32, 32, 3)
        assert swapped(plan, plan, name) == plan


def test_twins__of_words_that_no_scene_or_every_scene_shows(maker):
    assert maker.twins("submarine", 3) == []
    assert maker.twins("plain", 3) == []  # the style of all scenes of this world
    assert len(maker.twins("grass", 10_000)) <= 250


def test_twins__are_the_same_again_and_of_no_study(maker):
    again = TwinMaker(0, World(), pool=250)
    assert again.twins("grass", 4) == maker.twins("grass", 4)
    assert maker.plans[0] == plan_scene(0, 50_000_000, PRESETS["default"])
