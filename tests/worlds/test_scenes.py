"""The two knobs do what they say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from core.worlds.atlas import load_atlas
from core.worlds.backgrounds import KINDS
from core.worlds.painting import measure_occlusion
from core.worlds.scenes import BACKGROUND_CUE, FAULTS, World, hardness_of, label_of, plan_scene, severities
from core.worlds.vocabulary import MARKED
from tests.data.planned import plans

SPREAD = 4.0  # standard deviations that a measured share may stray from the planted one: 1 in 16,000


def test_labels__every_run_of_twenty_holds_each_class_once():
    for block in range(20):
        labels = [label_of(4, 20 * block + place) for place in range(20)]
        assert len(set(labels)) == 20
    orders = {tuple(label_of(4, 20 * block + place) for place in range(20)) for block in range(20)}
    assert len(orders) == 20


def assert_share(hits, probability):
    hits = np.asarray(hits, float)
    assert abs(hits.mean() - probability) < SPREAD * np.sqrt(probability * (1 - probability) / len(hits))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "planted", "present"), [("default", 0.38, 0.5), ("spurious", 0.85, 0.8)])
def test_agreement__is_the_planted_one(name, planted, present):
    chosen = plans(name)
    assert_share([plan.background_agrees for plan in chosen], planted)
    assert_share([plan.companion is not None for plan in chosen], present)
    with_companion = [plan for plan in chosen if plan.companion]
    assert_share([plan.companion_agrees for plan in with_companion], planted)
    both = [plan.companion_agrees and plan.background_agrees for plan in with_companion]
    assert_share(both, planted**2)


def test_agreement__says_what_is_in_the_scene():
    cues = load_atlas().companion_of
    for plan in plans():
        assert plan.background_agrees == (plan.ground.kind == BACKGROUND_CUE[plan.label])
        if plan.companion:
            assert plan.companion_agrees == (plan.companion.glyph == cues[plan.label])
        else:
            assert plan.companion_agrees is None


@pytest.mark.parametrize(("name", "planted"), [("default", 0.38), ("spurious", 0.85)])
def test_background_alone__predicts_the_class_at_half_the_planted_rate(name, planted):
    """Two classes share a cue: the best guess from the background is right in planted / 2 of the scenes."""
    chosen = plans(name)
    guesses = {kind: [label for label, cue in BACKGROUND_CUE.items() if cue == kind][0] for kind in KINDS}
    assert_share([guesses[plan.ground.kind] == plan.label for plan in chosen], planted / 2)


@pytest.mark.slow
def test_hard_share__is_the_share_of_struck_scenes():
    easiest = [max(severities(plan, measure_occlusion(plan)).values()) for plan in plans()]
    struck = np.mean([worst > 0.18 for worst in easiest])
    assert 0.21 < struck < 0.27
    none = [plan_scene(0, index, World(hard_share=0.0)) for index in range(200)]
    assert all(plan.main.size >= 0.5 and plan.blur == 0 and len(plan.distractors) <= 1 for plan in none)
    every = [plan_scene(0, index, World(hard_share=1.0)) for index in range(400)]
    hit = Counter(
        p for plan in every for p, s in severities(plan, measure_occlusion(plan)).items() if s >= MARKED
    )
    assert set(hit) == set(FAULTS) and min(hit.values()) > 30


def test_background_variants__are_the_looks_of_each_kind():
    for variants in (1, 3):
        scenes = [plan_scene(0, index, World(background_variants=variants)) for index in range(300)]
        assert {scene.ground.variant for scene in scenes} == set(range(variants))
        assert {scene.ground.neutral_variant for scene in scenes} == set(range(variants))


def test_hardness__hand_computed():
    parts = {"small": 0.5, "faded": 0.0, "blurred": 0.25, "occluded": 0.0, "clutter": 1.0}
    assert hardness_of(parts) == pytest.approx(1 - (1 - 0.45) * (1 - 0.2) * (1 - 0.4))
    assert hardness_of(dict.fromkeys(parts, 0.0)) == 0.0


@pytest.mark.parametrize("part", FAULTS)
def test_hardness__rises_with_every_part(rng, part):
    parts = {name: float(rng.random()) for name in FAULTS}
    rising = [hardness_of(parts | {part: severity}) for severity in np.linspace(0, 1, 6)]
    assert all(np.diff(rising) > 0) and rising[0] >= 0 and rising[-1] < 1


def test_hardness__falls_with_size():
    sizes = np.linspace(0.13, 0.5, 8)
    scenes = [replace(plans()[0], main=replace(plans()[0].main, size=float(size))) for size in sizes]
    hardness = [hardness_of(severities(scene, 0.0)) for scene in scenes]
    assert all(np.diff(hardness) < 0)
