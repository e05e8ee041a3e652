"""Composed scenes: noun, colour and place are independent, and twins differ in what was exchanged only."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest

from core.data.glyphworld import GlyphworldSource
from core.worlds.glyphworld import plan_world_scene, with_hues_exchanged, with_places_exchanged
from core.worlds.painting import HUES, paint
from core.worlds.scenes import PRESETS, Item, ScenePlan, plan_scene, severities
from core.worlds.vocabulary import caption_of, colour_of, glyph_of
from core.worlds.word_truth import truth_of

N = 300
WORLD = PRESETS["compose"]


@cache
def plans():
    return tuple(plan_world_scene(0, index, WORLD) for index in range(N))


def companion_of(plan: ScenePlan) -> Item:
    assert plan.companion is not None
    return plan.companion


def items(plan):
    return [plan.main, plan.companion, *plan.distractors]


def test_composed__two_or_three_objects_of_like_size_and_other_kinds():
    counts = Counter(len(items(plan)) for plan in plans())
    assert set(counts) == {2, 3} and min(counts.values()) > 0.4 * N
    for plan in plans():
        sizes = [item.size for item in items(plan)]
        assert max(sizes) / min(sizes) < 1.2
        labels = [glyph_of(item).label for item in items(plan)]
        assert len(set(labels)) == len(labels) and labels[0] == plan.label
        assert (plan.fade, plan.blur, plan.occluder, plan.cover) == (0.0, 0.0, None, None)


def test_composed__hue_is_independent_of_kind_and_place():
    drawn = Counter(item.hue for plan in plans() for item in items(plan))
    total = sum(drawn.values())
    assert set(drawn) == set(HUES)
    assert all(abs(n / total - 1 / 6) < 4 * np.sqrt(5 / 36 / total) for n in drawn.values())
    same = np.mean([colour_of(plan.main) == glyph_of(plan.main).colour for plan in plans()])
    assert same < 0.3  # of the atlas, most nouns have one colour
    left = np.mean([plan.main.x < companion_of(plan).x for plan in plans()])
    assert abs(left - 0.5) < 4 * 0.5 / np.sqrt(N)


def test_plans__are_frozen_and_other_worlds_unchanged():
    text = "\n".join(str(asdict(plan)) for plan in plans())
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "e2e7393dc267066a"
    assert plan_world_scene(0, 5, PRESETS["default"]) == plan_scene(0, 5, PRESETS["default"])


def test_fingerprint__of_other_worlds_is_what_it_was():
    assert GlyphworldSource().fingerprint()[:12] == "afb7e9478bc2"
    composed = GlyphworldSource.from_spec("glyphworld?preset=compose")
    assert composed.fingerprint() != GlyphworldSource(world=replace(WORLD, composed=False)).fingerprint()


@pytest.mark.parametrize("hue", HUES)
def test_recoloured__has_the_hue_whatever_the_glyph(hue):
    flat = replace(plans()[0], companion=None, distractors=())
    light = tuple([128] * len(flat.light))
    for glyph in ("top hat", "soccer ball", "lemon"):
        item = replace(flat.main, glyph=glyph, hue=hue, size=0.8, x=0.5, y=0.5, gains=(128, 128, 128))
        picture = np.asarray(paint(replace(flat, main=item, light=light), 96), np.float64)
        colour = picture[40:56, 40:56].reshape(-1, 3).mean(0)
        wanted = np.asarray(HUES[hue], np.float64)
        cosine = colour @ wanted / np.linalg.norm(colour) / np.linalg.norm(wanted)
        assert cosine > 0.97


def test_caption__names_the_hue():
    plan = plans()[0]
    assert f"{plan.main.hue} " in caption_of(plan, severities(plan, 0.0))


def test_exchanged__places_or_hues_and_nothing_else():
    plan = plans()[3]
    moved, painted = with_places_exchanged(plan), with_hues_exchanged(plan)
    assert (moved.main.x, moved.main.y) == (companion_of(plan).x, companion_of(plan).y)
    assert replace(moved.main, x=plan.main.x, y=plan.main.y) == plan.main
    assert (painted.main.hue, companion_of(painted).hue) == (companion_of(plan).hue, plan.main.hue)
    assert with_places_exchanged(moved) == plan == with_hues_exchanged(painted)
    with pytest.raises(ValueError, match="one object"):
        with_places_exchanged(replace(plan, companion=None))


def test_truth__names_the_painted_colour_and_the_class_of_every_object():
    for plan in plans()[:40]:
        truth = truth_of(plan)
        for item in items(plan):
            glyph = glyph_of(item)
            assert truth.holds(f"{item.hue} {glyph.noun}") and truth.holds(f"{item.hue} {glyph.label}")
