"""The planted graph agrees with the pixels, and has an edge for every pair."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from core.research.visual_tokens_composed_scenes import GROUND, mask_box, planted_objects, scene_graph
from core.worlds.glyphworld import plan_world_scene
from core.worlds.painting import measure_occlusion, paint_masks
from core.worlds.scenes import PRESETS

SIZE = 96


@cache
def plans(preset, n):
    return tuple(plan_world_scene(0, index, PRESETS[preset]) for index in range(n))


def centre(box):
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])


@pytest.mark.parametrize("preset", ["default", "compose"])
def test_scene_graph__centres_are_those_of_the_masks(preset):
    """The main object's core mask and the companion's spurious mask come from another function."""
    compared = 0
    for plan in plans(preset, 40):
        graph = scene_graph(plan, SIZE)
        core, spurious = paint_masks(replace(plan, background_agrees=False), SIZE)
        for role, mask in (("main", core), ("companion", spurious)):
            place = next((i for i, node in enumerate(graph.nodes) if node.role == role), None)
            if place is not None:
                wanted = centre(mask_box(mask >= 128))
                assert np.abs(graph.centres[place] - wanted).max() <= 1
                compared += 1
    assert compared > 40


def test_planted_objects__visible_share_is_what_covers_leave():
    hidden = [plan for plan in plans("default", 200) if plan.occluder is not None]
    assert len(hidden) > 3
    for plan in hidden:
        main = next(one for one in planted_objects(plan, SIZE) if one.role == "main")
        inside = replace(plan, occluder=None, cover=None)
        whole = next(one for one in planted_objects(inside, SIZE) if one.role == "main")
        assert main.visible == pytest.approx((1 - measure_occlusion(plan)) * whole.visible, abs=0.02)


def test_scene_graph__an_edge_for_every_pair_and_a_floor():
    for plan in plans("compose", 60):
        graph = scene_graph(plan, SIZE)
        n = len(graph.nodes) - 1
        assert graph.nodes[-1].role == GROUND and graph.boxes[-1].tolist() == [0, 0, SIZE, SIZE]
        between = [{t.subject, t.object} for t in graph.triples if t.predicate != "on"]
        assert sorted(map(sorted, between)) == [[a, b] for a in range(n) for b in range(a + 1, n)]
        on = [t for t in graph.triples if t.predicate == "on"]
        assert [(t.subject, t.object) for t in on] == (
            [(a, n) for a in range(n)] if plan.ground.is_floor else []
        )
        for t in graph.triples:
            right, down = graph.centres[t.object] - graph.centres[t.subject]
            assert {"left of": right > 0, "above": down > 0}.get(t.predicate, True)


def test_scene_graph__what_is_hidden_is_no_node_and_an_occluder_hides():
    plan = next(plan for plan in plans("default", 200) if plan.occluder is not None)
    assert plan.occluder is not None
    front = replace(plan.occluder, x=plan.main.x, y=plan.main.y, size=2 * plan.main.size)
    graph = scene_graph(replace(plan, occluder=front), SIZE)
    roles = [node.role for node in graph.nodes]
    assert "main" not in roles and "occluder" in roles
    assert "hides" not in {t.predicate for t in graph.triples}
    hides = [scene_graph(p, SIZE) for p in plans("default", 200) if p.occluder is not None]
    found = [(g, t) for g in hides for t in g.triples if t.predicate == "hides"]
    assert found
    assert {(g.nodes[t.subject].role, g.nodes[t.object].role) for g, t in found} == {("occluder", "main")}
