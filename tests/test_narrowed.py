"""A study narrowed to a slice: its tables against loops over the images of the slice, and what it lacks."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.charts.catalogue import chart_named, check_holds
from core.errors import SliceError, StudyError
from core.measures.feature_rates import MOST_TOP, top_images
from core.measures.metrics import auroc
from core.measures.slice import Slice
from core.measures.slice_tables import NOT_OF_SLICES
from core.publish.export_files import export_table
from core.store import Narrowed, open_study
from core.study.missing import WHOLE
from core.study.writer import write_study
from tests.measures.worlds import CLASSES, N_FEATURES, World, make_world

WHERE = Slice.parse("label=ant,bee n_firing=1..")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("sliced") / "study"
    made = make_world(folder, n=90)
    with write_study(folder) as writer:  # the rest of the step `features`, and an item that no slice can have
        rows = {"feature": range(N_FEATURES), "tail": "middle", "discriminative": True, "purity": 0.5}
        rows |= {"mean": 0.0, "std": 1.0, "activation_rate": 50.0, "top_class": "cat"}
        with writer.step("failures", {}, ("representations",)) as step:
            step.table("features", pd.DataFrame(rows))
            step.table("failure_pairs", pd.DataFrame({"true": ["ant"]}))
            step.table("overlap_sweep", pd.DataFrame({"mask": ["core"]}))
    return World(open_study(folder), *list(vars(made).values())[1:])


@pytest.fixture(scope="module")
def sliced(world: World) -> Narrowed:
    return world.study.where(WHERE)


def inside(world: World) -> list[int]:
    """The images of WHERE, of the evaluation split."""
    named = [row for row, name in enumerate(world.labels) if name in ("ant", "bee") and row % 3]
    return [row for row in named if world.firing[row].any()]


def test_sliced__is_of_evaluation_images(world, sliced):
    assert np.flatnonzero(sliced.chosen).tolist() == inside(world) and sliced.n_chosen == len(inside(world))
    assert sliced.slice.split == "val" and sliced.key != world.study.key
    train = world.study.where(Slice(split="train"))
    assert_array_equal(train.chosen, np.arange(len(world.raw)) % 3 == 0)
    with pytest.raises(SliceError, match="'elk'"):
        world.study.where(Slice(labels=("elk",)))


def test_evaluation__of_a_slice_is_of_its_own_images(world):
    """Also after that of the whole study was read, which a slice once took for its own."""
    study = open_study(world.study.path)
    assert study.evaluation.n_chosen > study.where(WHERE).n_chosen
    assert_array_equal(study.where(WHERE).evaluation.chosen, study.where(WHERE).chosen)


def test_features__match_loop(world, sliced):
    rows = inside(world)
    found = sliced.table("features")
    for feature in range(N_FEATURES):
        h = [
            world.raw[row, feature] / math.sqrt(math.fsum(v * v for v in world.raw[row].tolist()))
            for row in rows
        ]
        mean = math.fsum(h) / len(h)
        firing = [row for row in rows if world.firing[row, feature]]
        line = found.loc[feature]
        assert_allclose(line["mean"], mean, rtol=1e-6)
        assert_allclose(line["std"], math.sqrt(math.fsum((v - mean) ** 2 for v in h) / len(h)), rtol=1e-6)
        assert_allclose(line["activation_rate"], 100 * len(firing) / len(rows))
        kinds = Counter(world.labels[row] for row in firing)
        if not firing:
            assert math.isnan(line["purity"]) and pd.isna(line["top_class"])
            continue
        most = max(kinds.values())
        assert_allclose(line["purity"], most / len(firing))
        assert line["top_class"] == min(name for name in CLASSES if kinds[name] == most)
    assert found[["tail", "discriminative"]].equals(world.study.table("features")[["tail", "discriminative"]])


@pytest.mark.slow
def test_metrics_and_curves__are_of_the_images_of_the_slice(world, sliced):
    rows = [row for row in inside(world) if world.correct[row] is not None]
    found = sliced.table("quality_metrics").set_index("score")
    for name in ("norm", "confidence", "n_firing"):
        values = world.scores[name].to_numpy(float)[rows]
        assert_allclose(
            found.loc[name, "auroc"], auroc(values, np.array([world.correct[row] for row in rows]))
        )
        assert found.loc[name, "n"] == len(rows)
    assert set(sliced.table("quality_curves")["score"]) == {"q_score", "norm", "confidence", "n_firing"}
    assert sliced.summary("quality") == {"skipped": WHOLE}  # the trust check is of the whole study


def test_overlap_tables__match_loop(world, sliced):
    rows = inside(world)
    assert set(sliced.table("overlap", ["row"])["row"]) == {row for row in rows if world.masked[row].any()}
    controls = sliced.table("overlap_controls").set_index(["control", "mask"])
    both = [row for row in rows if world.masked[row].all()]
    for number, kind in enumerate(("core", "spurious")):
        for at, name in enumerate(("random", "uniform", "centre", f"{kind} at map resolution")):
            assert_allclose(controls.loc[(name, kind), "mean"], world.controls[both, number, at].mean())
            assert controls.loc[(name, kind), "n"] == len(both)


def test_top_images__match_loop(world, rng):
    for share in (0.1, 0.9):
        mask = world.mask(rng, share)
        rows, values = top_images(world.study.array("representations"), mask)
        assert rows.shape == values.shape == (N_FEATURES, MOST_TOP)
        h = world.raw.astype(np.float64)
        h /= np.linalg.norm(h, axis=1, keepdims=True)
        for feature in range(N_FEATURES):
            order = sorted(np.flatnonzero(mask), key=lambda row: (-h[row, feature], row))[:MOST_TOP]
            assert rows[feature][: len(order)].tolist() == order and (rows[feature][len(order) :] == -1).all()
            assert_allclose(values[feature][: len(order)], h[order, feature])


def test_what_a_slice_cannot_have_is_missing_with_the_reason(world, sliced):
    for item in ("failure_pairs", "overlap_sweep"):
        assert item in NOT_OF_SLICES and world.study.has(item) and not sliced.has(item)
        missing = sliced.why_missing(item)
        assert missing is not None and (missing.state, missing.reason) == ("whole", WHOLE)
        assert missing.sentence.kind in ("whole", "not_held")
    assert sliced.why_missing("features") is None
    never = sliced.why_missing("probe_curves")  # the study does not hold it either, so that reason counts
    assert never is not None and never.state != "whole"
    with pytest.raises(StudyError, match="--where"):
        check_holds(sliced, chart_named("threshold_sweep"))


def test_probe_summary__is_of_the_slice(world, sliced):
    known = [world.correct[row] for row in inside(world)]
    found = sliced.summary("probe")
    assert (found["top1"], found["n_val"]) == (pytest.approx(np.mean(known)), len(known))
    assert "train_top1" not in found and found["top5"] is None


def test_an_empty_slice_is_undefined_and_no_error(world):
    empty = world.study.where(Slice.parse("norm=99.."))
    assert empty.n_chosen == 0
    found = empty.table("features")
    assert found[["mean", "std", "activation_rate", "purity"]].isna().to_numpy().all()
    assert empty.table("quality_metrics")["auroc"].isna().all()
    assert set(empty.table("quality_metrics")["note"]) == {"no image of the slice has a probe result"}
    assert empty.table("overlap").empty and empty.table("overlap_controls")["mean"].isna().all()
    assert (empty.vector("top_images") == -1).all()


def test_export__of_a_narrowed_study_writes_the_numbers_of_the_slice(sliced, tmp_path):
    assert export_table(sliced, "features", tmp_path / "features.csv") == N_FEATURES
    written = pd.read_csv(tmp_path / "features.csv")
    assert_allclose(written["activation_rate"], sliced.table("features")["activation_rate"])
