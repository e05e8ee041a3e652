"""Worst slices on fresh scenes: counts against loops, with an encoder and a probe whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.cli.slices import SCENES, worst_text
from core.common.statistics.intervals import wilson
from core.data.sources.glyphworld import GlyphworldSource
from core.errors import SettingsError, StudyError
from core.jobs.progress import Progress
from core.research.rendered_scenes import fresh_slices as module
from core.research.rendered_scenes.fresh_slices import (
    Description,
    FreshScenes,
    check_fresh,
    value_text,
    verify_slices,
)
from core.slices.slice import Slice
from core.worlds.glyphworld.glyphworld import scene_row
from core.worlds.glyphworld.scenes import plan_scene

CLASSES = GlyphworldSource(train=1, val=1).world
WHERE = ("split=val label=dog", "split=val background=sand", "split=val fires=1", "split=val label=cat")
ROWS = pd.DataFrame({"where": WHERE, "low": [0.0, 0.0, 0.5, 0.9], "high": [0.2, 1.0, 1.0, 1.0]})
N, USUAL = 6, 40


class KnownStudy(SimpleNamespace):
    """Glyphworld with a probe; `has` and the rest are what `verify_slices` reads."""

    def has(self, item):
        return item in self.items

    def summary(self, step):
        return self.summaries.get(step, {})

    def vector(self, item):
        return np.zeros((2, 2))


def known_study(**items):
    source = GlyphworldSource(train=1, val=1, seed=5)
    about = {"source": source.describe(), "encoder": {"family": "cnn"}}
    held = {"probe_weights", "probe_bias", "features"}
    return KnownStudy(source=source, path="demo", items=held, summaries={"embed": about}, **items)


@pytest.fixture(scope="module")
def patched():
    """Dogs are always misclassified and nothing else; feature 1 fires in dark scenes."""
    looked = []

    def look(self, plans):
        looked.extend(plans)
        self.n_rendered += len(plans)
        wrong = np.array([plan.label == "dog" for plan in plans])
        fires = np.array([[True, plan.brightness < 0.9] for plan in plans])
        return FreshScenes(wrong, fires, fires)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.FreshWorld, "look", look)
        patch.setattr(module, "USUAL_SCENES", USUAL)
        yield looked


def verify(rows, n=N):
    return verify_slices(known_study(), rows, None, n=n, progress=Progress.silent())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def measured(patched):
    patched.clear()
    frame, usual = verify(ROWS)
    return frame, usual, list(patched)


def scenes_of(start, stop):
    return [plan_scene(5, module.FRESH_START + index, CLASSES) for index in range(start, stop)]


def test_counts__match_loops(measured):
    frame, usual, looked = measured
    dogs = sum(plan.label == "dog" for plan in scenes_of(0, USUAL))
    assert usual["error_rate"] == dogs / USUAL and looked[:USUAL] == scenes_of(0, USUAL)
    fits = {
        "split=val label=dog": lambda plan: plan.label == "dog",
        "split=val background=sand": lambda plan: plan.ground.kind == "sand",
        "split=val fires=1": lambda plan: plan.brightness < 0.9,
        "split=val label=cat": lambda plan: plan.label == "cat",
    }
    for row in frame.to_dict("records"):
        first = [plan for plan in looked[USUAL:] if fits[row["where"]](plan)][:N]
        errors = sum(plan.label == "dog" for plan in first)
        assert (row["fresh_n"], row["fresh_errors"]) == (N, errors)
        low, high = wilson(errors, N)
        assert_allclose((row["fresh_low"], row["fresh_high"]), (low, high))
        assert row["holds"] == bool(low > usual["error_rate"])
        assert row["within"] == bool(row["low"] <= errors / N <= row["high"])
    assert frame["holds"].tolist()[0] is True and frame["within"].tolist()[0] is False
    assert frame["holds"].tolist()[3] is False  # cats are never wrong


def test_scenes_that_fit_no_slice__are_not_rendered(measured, patched):
    _, usual, looked = measured
    assert usual["n_rendered"] == len(looked)
    patched.clear()
    verify(ROWS.head(1), n=2)
    assert {plan.label for plan in patched[USUAL:]} == {"dog"}


def test_a_slice_that_no_scene_fits__is_unknown(patched, monkeypatch):
    monkeypatch.setattr(module, "MOST_PLANNED", 40)
    frame, usual = verify(ROWS.head(1).assign(where="split=val background=lava"))
    row = frame.iloc[0]
    assert row["fresh_n"] == 0 and np.isnan(row["fresh_error_rate"]) and row["holds"] is None
    row = {**row.to_dict(), "error_rate": 0.5, "n": 10, "rest": 0.1, "q": 0.01}
    assert "no fresh scene fits it" in worst_text({"slices": [row], "fresh": usual})


def test_text__says_what_was_measured(measured):
    frame, usual, _ = measured
    rows = [{**row, "error_rate": 0.6, "n": 10, "rest": 0.1, "q": 0.01} for row in frame.to_dict("records")]
    first, second = worst_text({"slices": rows[:1], "fresh": usual}).splitlines()
    assert first.endswith("split=val label=dog") and "measured 100.0 % (61 to 100) of 6 fresh" in second
    assert second.endswith("holds") and not worst_text({"slices": rows[3:]}).endswith("\n")


def test_words__are_shown_by_active_features_and_exact_groups():
    active = np.array([[1, 1, 0], [0, 1, 1], [0, 1, 0]], bool)
    scenes = FreshScenes(np.zeros(3, bool), active, active)
    assert Description((), {}, (), [[(0,)], [(1,)]]).holds(scenes).tolist() == [True, False, False]
    assert Description((), {}, (), [[(1, 2)]]).holds(scenes).tolist() == [False, True, False]
    assert Description((), {}, (), [[(0, 2), (2,)]]).holds(scenes).tolist() == [False, True, False]
    assert Description((), {}, (2,), []).holds(scenes).tolist() == [False, True, False]


def test_description__reads_a_slice_of_the_study():
    table = pd.DataFrame({"group": ["3", "4_6", "5"], "word": ["sky"] * 3, "kept": [True, True, False]})
    study = known_study(table=lambda name, columns: table)
    found = Description.of(Slice.parse("split=val label=dog cause=none concept=sky"), study)  # type: ignore[arg-type]
    assert found.groups == [[(3,), (4, 6)]] and found.labels == ("dog",)
    for plan in scenes_of(0, 40):
        row = scene_row(plan)
        assert found.may_hold(plan) == (plan.label == "dog" and row["cause"] == "none")
    assert [value_text(one) for one in (None, True, 3, "sand")] == [None, "true", "3", "sand"]


def test_other_studies__are_refused():
    study = known_study()
    check_fresh(study)  # type: ignore[arg-type]
    study.items.discard("probe_weights")
    with pytest.raises(StudyError, match="'demo' has no probe. Run: "):
        check_fresh(study)  # type: ignore[arg-type]
    study.summaries["embed"]["source"] = {"kind": "folder"}
    with pytest.raises(SettingsError, match="'demo' has other images or no encoder; leave it out"):
        check_fresh(study)  # type: ignore[arg-type]
    assert SCENES == module.SCENES
