"""Captions, attributes and relations are true of the scene."""

from __future__ import annotations

from collections import Counter

import pytest

from core.worlds.glyphworld import render_scene
from core.worlds.scenes import FAULTS
from core.worlds.vocabulary import APART, glyph_of, relations_of
from tests.data.planned import plans


@pytest.mark.slow
def test_words__caption_names_the_object_and_attributes_hold():
    for scene in (render_scene(3, index) for index in range(120)):
        glyph = glyph_of(scene.plan.main)
        assert scene.label in scene.caption or glyph.noun in scene.caption
        assert {scene.label, glyph.noun, glyph.colour, scene.background, scene.style} <= set(scene.attributes)
        assert set(scene.companions) <= set(scene.attributes)
        assert len(set(scene.attributes)) == len(scene.attributes)
        assert all(word == word.lower() for word in [*scene.attributes, scene.caption])
        assert scene.cause in {*FAULTS, "background", "companion", "none"}


def test_relations__are_true_of_the_positions():
    seen = Counter()
    for plan in plans()[:400]:
        others = {glyph_of(item).noun: item for item in (plan.companion, *plan.distractors) if item}
        if len(others) < len(plan.distractors) + bool(plan.companion):
            continue  # the same object twice: names do not tell which
        places = others | {plan.label: plan.main}
        for subject, relation, thing in relations_of(plan):
            seen[relation] += 1
            if relation == "on":
                lowest = plan.main.y + plan.main.size / 2
                assert thing == plan.ground.kind and plan.ground.is_floor
                assert plan.ground.horizon is None or lowest > max(plan.ground.horizon)
            elif relation == "left of":
                assert places[thing].x - places[subject].x >= APART
            else:
                assert relation == "above" and places[thing].y - places[subject].y >= APART
    assert set(seen) == {"left of", "above", "on"}
