"""Every caption must be true of what is shown: CLIP learns whatever stands there."""

import numpy as np
import pytest

from core.data.glyphworld import GlyphworldSource
from core.worlds.atlas import load_atlas
from core.worlds.backgrounds import KINDS
from core.worlds.captions import (
    absent_caption,
    absent_words,
    caption_facts,
    scene_caption,
    split_words,
    visible_share,
    vocabulary,
    window_caption,
    window_ground,
)
from core.worlds.glyphworld import severities
from core.worlds.painting import measure_occlusion
from core.worlds.scenes import Draws, Item, plan_scene
from core.worlds.vocabulary import attributes_of, caption_of, glyph_of

N = 150
WORLD = GlyphworldSource().world


@pytest.fixture(scope="module")
def scenes():
    return [caption_facts(plan_scene(5, index, WORLD)) for index in range(N)]


def nouns_in(text):
    """Nouns of glyphs that a text names, longest first, none inside another."""
    found, rest = [], f" {text} "
    for noun in sorted({g.noun for g in load_atlas().glyphs.values()}, key=len, reverse=True):
        if f" {noun} " in rest:
            found.append(noun)
            rest = rest.replace(f" {noun} ", " , ")
    return found


def true_words(facts):
    plan = facts.plan
    return attributes_of(plan, severities(plan, measure_occlusion(plan)))


def test_scene_captions__name_only_what_is_there(scenes):
    for number, facts in enumerate(scenes):
        known = {*true_words(facts), facts.plan.label}
        for variant in range(4):
            text = scene_caption(facts, Draws(number, variant), flipped=bool(variant % 2))
            assert set(nouns_in(text)) <= known, text
            grounds = {kind for kind in KINDS if kind in split_words(text.replace("night sky", "night"))}
            assert grounds <= {facts.plan.ground.kind}, text


def test_scene_captions__a_mirrored_scene_swaps_left_and_right(scenes):
    swapped = 0
    for number, facts in enumerate(facts for facts in scenes if len(facts.others) == 1):
        plain, mirrored = (
            {scene_caption(facts, Draws(number, v), flipped=flipped) for v in range(12)}
            for flipped in (False, True)
        )
        says = {side: any(f" {side} " in text for text in plain) for side in ("left of", "right of")}
        if says["left of"] != says["right of"]:  # else it is above, below or close
            side, other = ("left of", "right of") if says["left of"] else ("right of", "left of")
            assert not any(f" {side} " in text for text in mirrored), mirrored
            swapped += any(f" {other} " in text for text in mirrored)
    assert swapped > 20


def test_window_captions__name_objects_that_the_window_shows(scenes):
    rng = np.random.default_rng(0)
    for number, facts in enumerate(scenes):
        left, top = rng.uniform(0, 0.6, 2)
        window = (left, top, left + 0.4, top + 0.4)
        shown = [s for s in (facts.main, *facts.others) if visible_share(s.item, window) >= 0.6]
        allowed = {noun for seen in shown for noun in (*seen.nouns, glyph_of(seen.item).noun)}
        text = window_caption(facts, window, Draws(number))
        assert set(nouns_in(text)) <= allowed, text


def test_visible_share__by_hand():
    item = Item("x", 0.5, 0.5, 0.4)
    assert visible_share(item, (0, 0, 1, 1)) == pytest.approx(1)
    assert visible_share(item, (0.5, 0, 1, 1)) == pytest.approx(0.5)
    assert visible_share(item, (0.5, 0.6, 1, 1)) == pytest.approx(0.125)
    assert visible_share(item, (0.8, 0, 1, 1)) == 0


def test_window_ground__follows_the_horizon(scenes):
    floors = [f.plan for f in scenes if f.plan.ground.horizon and f.plan.ground.is_floor]
    walls = [f.plan for f in scenes if f.plan.ground.horizon and not f.plan.ground.is_floor]
    assert floors and walls
    for plans, own, other, neutral in (
        (floors, (0, 0.9, 1, 1), (0, 0, 1, 0.1), "a plaster wall"),
        (walls, (0, 0, 1, 0.1), (0, 0.95, 1, 1), "a stone floor"),
    ):
        for number, plan in enumerate(plans):
            assert plan.ground.kind in window_ground(plan, own, Draws(number))
            assert window_ground(plan, other, Draws(number)) == neutral


def test_absent_words__are_in_no_caption_of_a_scene_and_always_in_an_absent_one(scenes):
    read, unread = absent_words("read"), absent_words("unread")
    assert len(read) == len(set(read)) == len(unread) == len(set(unread)) == 40
    true = set(vocabulary()) - set(read)
    assert not true & set(unread)
    for number, facts in enumerate(scenes):
        dice = Draws(number)
        assert not set(split_words(scene_caption(facts, dice))) & {*read, *unread}
        assert set(split_words(absent_caption(facts, dice, read))) & set(read)


def test_vocabulary__holds_every_word_of_every_caption(scenes):
    words = set(vocabulary())
    for number, facts in enumerate(scenes):
        dice = Draws(number)
        texts = [scene_caption(facts, dice), window_caption(facts, (0.2, 0.2, 0.8, 0.8), dice)]
        parts = severities(facts.plan, measure_occlusion(facts.plan))
        for text in [*texts, caption_of(facts.plan, parts)]:
            assert set(split_words(text)) <= words
