"""Worst slices and words on fresh scenes: counts against loops, with answers that are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
from numpy.testing import assert_allclose

from core.data.glyphworld import GlyphworldSource
from core.measures.intervals import wilson
from core.measures.slice import Slice
from core.worlds.glyphworld import scene_row
from core.worlds.scenes import plan_scene
from core.worlds.word_truth import SceneTruth, TruthTable
from reproductions import rendered_scenes as module
from reproductions.rendered_scenes import (
    Description,
    FreshScenes,
    FreshWorld,
    Size,
    measured_slices,
    slice_rows,
    value_text,
    word_rows,
)

WHERE = ("split=val label=dog", "split=val background=sand", "split=val fires=1", "split=val label=cat")
SLICES = pd.DataFrame({"where": WHERE, "error_rate": 0.5, "low": [0.0, 0.0, 0.5, 0.9], "high": 1.0})
SIZE = Size(scenes=6, usual=40)


def known_study(**items: Any) -> Any:
    return SimpleNamespace(source=GlyphworldSource(train=1, val=1, seed=5), path="demo", **items)


def scenes_of(start: int, stop: int) -> list[Any]:
    world = GlyphworldSource(train=1, val=1).world
    return [plan_scene(5, module.FRESH_START + index, world) for index in range(start, stop)]


class KnownWorld(FreshWorld):
    """Dogs are always misclassified and nothing else; feature 1 fires in dark scenes."""

    def __init__(self) -> None:
        super().__init__(known_study(), None)  # type: ignore[arg-type]
        self.looked: list[Any] = []

    def look(self, plans):
        self.looked += plans
        wrong = np.array([plan.label == "dog" for plan in plans])
        fires = np.array([[True, plan.brightness < 0.9] for plan in plans])
        return FreshScenes(wrong, fires.astype(float), fires, fires)


def test_counts__match_loops():
    world = KnownWorld()
    described = measured_slices(world, SLICES, SIZE)
    fits = (
        lambda plan: plan.label == "dog",
        lambda plan: plan.ground.kind == "sand",
        lambda plan: plan.brightness < 0.9,
        lambda plan: plan.label == "cat",
    )
    rows = list(slice_rows(SLICES, described, usual=0.2))
    for row, one, fit in zip(rows, described, fits, strict=True):
        first = [plan for plan in world.looked if fit(plan)][: SIZE.scenes]
        assert one.wrong == [plan.label == "dog" for plan in first] and row["n_fresh"] == SIZE.scenes
        low, high = wilson(sum(one.wrong), SIZE.scenes)
        assert_allclose((row["fresh_low"], row["fresh_high"]), (low, high), atol=1e-4)
        assert row["holds"] == bool(low > 0.2) and row["found"] == 0.5
    assert [row["holds"] for row in rows[::3]] == [True, False]  # dogs, and cats, which are never wrong


def test_scenes_that_fit_no_slice__are_not_rendered():
    world = KnownWorld()
    measured_slices(world, SLICES.head(1), SIZE)
    assert {plan.label for plan in world.looked} == {"dog"}


def test_a_slice_that_no_scene_fits__is_unknown(monkeypatch):
    monkeypatch.setattr(module, "MOST_PLANNED", 40)
    lava = SLICES.head(1).assign(where="split=val background=lava")
    [row] = slice_rows(lava, measured_slices(KnownWorld(), lava, SIZE), usual=0.2)
    assert row["n_fresh"] == 0 and np.isnan(row["fresh"]) and row["holds"] is False


def test_words__are_shown_by_active_features_and_exact_groups():
    active = np.array([[1, 1, 0], [0, 1, 1], [0, 1, 0]], bool)
    scenes = FreshScenes(np.zeros(3, bool), active.astype(float), active, active)
    assert Description((), {}, (), [[(0,)], [(1,)]]).holds(scenes).tolist() == [True, False, False]
    assert Description((), {}, (), [[(1, 2)]]).holds(scenes).tolist() == [False, True, False]
    assert Description((), {}, (), [[(0, 2), (2,)]]).holds(scenes).tolist() == [False, True, False]
    assert Description((), {}, (2,), []).holds(scenes).tolist() == [False, True, False]


def test_description__reads_a_slice_of_the_study():
    table = pd.DataFrame({"group": ["3", "4+6", "5"], "word": ["sky"] * 3, "kept": [True, True, False]})
    study = known_study(table=lambda name, columns: table)
    one = Description.of(Slice.parse("split=val label=dog cause=none concept=sky"), study)
    assert one.groups == [[(3,), (4, 6)]] and one.labels == ("dog",)
    for plan in scenes_of(0, 40):
        row = scene_row(plan)
        assert one.may_hold(plan) == (plan.label == "dog" and row["cause"] == "none")
    assert [value_text(value) for value in (None, True, 3, "sand")] == [None, "true", "3", "sand"]


def test_word_rows__by_hand():
    """Feature 0 is 1 exactly where there is sky, and feature 1 the other way round."""
    truth = TruthTable([SceneTruth((frozenset({"sky"} if even else {"dog"}),)) for even in (1, 0) * 10])
    h = np.array([[1.0, 0.0], [0.0, 1.0]] * 10)
    concepts = pd.DataFrame({"group": ["0", "1", "1"], "word": ["sky", "sky", "dog"], "kept": [1, 1, 0]})
    concepts = concepts.assign(auc=0.9, auc_low=0.8, auc_high=1.0)
    first, second = word_rows(concepts, h, truth)
    assert (first["what"], first["found"], first["fresh"], first["holds"]) == ("0: sky", 0.9, 1.0, True)
    assert (second["what"], second["fresh"], second["holds"]) == ("1: sky", 0.0, False)
    assert list(word_rows(concepts.assign(kept=0), h, truth)) == []
