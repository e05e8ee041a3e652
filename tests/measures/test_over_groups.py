"""A study of patients: what is fitted separates none, and every interval is over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from core.analysis.calibration import regressed, score_of_other_folds
from core.analysis.caveats import notes_on_accuracy, seen_images
from core.analysis.probe_step import _held_out
from core.analysis.quality_step import apart_from
from core.measures.feature_rates import feature_differences
from core.measures.headline import headline
from core.measures.highlights import class_accuracy
from core.measures.intervals import area_bounds, share_bounds, wilson
from core.measures.scores import score_aurocs
from core.measures.slice import Slice
from core.measures.slice_comparison import compare_traits
from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study.progress import Progress
from tests.synthetic import planted_representations

N_PATIENTS, N_EACH = 60, 5


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """60 patients with 5 nearly equal images each, of three classes."""
    folder: Path = tmp_path_factory.mktemp("patients")
    rng = np.random.default_rng(0)
    classes = np.arange(N_PATIENTS) % 3
    raw = np.repeat(planted_representations(rng, classes, 24, 3), N_EACH, axis=0)
    raw *= rng.normal(1.0, 0.05, raw.shape).astype(np.float32)
    np.save(folder / "raw.npy", raw)
    patients = np.repeat([f"{number:03d}" for number in range(N_PATIENTS)], N_EACH)
    labels = np.repeat(np.array(["ant", "bee", "cat"])[classes], N_EACH)
    table = pd.DataFrame({"image_id": [f"{i}" for i in range(len(raw))], "label": labels})
    table.assign(patient_id=patients).to_csv(folder / "t.csv", index=False)
    options = {"images": str(folder / "t.csv"), "representations": str(folder / "raw.npy")}
    options |= {"epsilon": "auto", "bootstrap": 20, "epochs": 5, "lr": 0.1}
    for step in ("embed", "features", "probe", "quality"):
        run_step(step, folder / "study", options, Progress.silent())
    return open_study(folder / "study").answering("probe")


def test_headline_and_overview__are_over_patients(study):
    correct = study.column("probe", "correct").to_numpy(float)[study.is_val]
    groups = study.groups
    assert groups is not None
    ends = share_bounds(correct, groups[study.is_val])
    assert headline(study, study.is_val)["accuracy_interval"] == ends
    found = class_accuracy(study)
    assert found is not None and (found.low, found.high) == ends
    low, high = wilson(correct.sum(), len(correct))
    assert ends[1] - ends[0] > 1.5 * (high - low)


def test_aurocs__of_the_step_and_of_the_page_are_one_and_wider_than_over_images(study):
    stored = study.table("quality_metrics").set_index("score")
    shown = score_aurocs(study, study.is_val).set_index("score")
    np.testing.assert_allclose(stored["auroc_low"], shown["low"].reindex(stored.index))
    np.testing.assert_allclose(stored["augrc_high"], shown["augrc_high"].reindex(stored.index))
    row = shown.loc["confidence"]
    low, high = area_bounds(row["auroc"], row["n"] - row["n_wrong"], row["n_wrong"])
    assert row["high"] - row["low"] > high - low


def test_probe__holds_out_whole_groups():
    groups = np.repeat(np.arange(20), 3)
    used, held = _held_out(60, 0, groups)
    assert len(held) == 6 and not set(groups[used]) & set(groups[held])
    assert [part.tolist() for part in _held_out(60, 1, None)] == [part.tolist() for part in _held_out(60, 1)]
    used, held = _held_out(12, 0, np.repeat(np.arange(4), 3))
    assert len(used) == len(held) == 12  # four groups: nothing can be held out


def test_calibration__no_group_is_in_two_folds(rng):
    groups = np.repeat(np.arange(30), 4)
    ranks, correct = rng.random((120, 3)), np.repeat(rng.integers(0, 2, 30), 4).astype(float)
    seen: list[set[int]] = []

    def weights(values: np.ndarray, outcomes: np.ndarray) -> np.ndarray:
        seen.append({int(np.flatnonzero((ranks == row).all(1))[0]) // 4 for row in values})
        return regressed(values, outcomes)

    scores = score_of_other_folds(weights, ranks, correct, seed=0, groups=groups)
    assert np.isfinite(scores).all()
    assert sum(30 - len(one) for one in seen) == 30  # each group is left out once, as a whole


def test_apart_from__leaves_out_the_patients_that_are_held():
    groups = np.array([0, 0, 1, 1, 2])
    assert apart_from(np.arange(5), np.array([1]), groups).tolist() == [2, 3, 4]
    assert apart_from(np.arange(5), np.array([1]), None).tolist() == [0, 2, 3, 4]


def test_accuracy__says_groups_on_both_sides_and_copies_in_train(tmp_path):
    """40 images of 10 patients with a given split that separates each; two val images are copies."""
    rng = np.random.default_rng(1)
    raw = rng.gamma(0.5, size=(40, 12)).astype(np.float32)
    raw[[38, 39]] = 2 * raw[[0, 1]]
    np.save(tmp_path / "raw.npy", raw)
    table = pd.DataFrame({"image_id": [f"{i}" for i in range(40)], "label": ["ant", "bee"] * 20})
    patients, split = [f"{i % 10}" for i in range(40)], ["train"] * 28 + ["val"] * 12
    table.assign(patient_id=patients, split=split).to_csv(tmp_path / "t.csv", index=False)
    options = {"images": str(tmp_path / "t.csv"), "representations": str(tmp_path / "raw.npy")}
    options |= {"epsilon": "auto", "epochs": 2, "lr": 0.1}
    for step in ("embed", "probe", "neighbours"):
        run_step(step, tmp_path / "study", options, Progress.silent())
    study = open_study(tmp_path / "study")
    said = {note.kind: (note.n, note.of) for note in seen_images(study)}
    assert said == {"groups_on_both_sides": (10, 10), "copies_in_train": (2, 12)}
    assert set(seen_images(study)) <= set(notes_on_accuracy(study))
    part = study.where(Slice(image_ids=("38", "30")))
    assert {note.kind: (note.n, note.of) for note in seen_images(part)} == {
        "groups_on_both_sides": (2, 2),
        "copies_in_train": (1, 2),
    }


def test_accuracy__of_a_split_by_patient_says_nothing(study):
    assert seen_images(study) == []


def test_features_and_traits__are_compared_over_patients(study, monkeypatch):
    """Each interval is wider than over images: with five equal images of each patient, twice or more."""
    first = np.isin(study.column("images", "label").to_numpy(object), ["ant"])
    over_patients = feature_differences(study, first, ~first).set_index("feature")
    traits = compare_traits(study, (first, ~first), {}).set_index("trait")
    monkeypatch.setattr(study, "groups", None)
    over_images = feature_differences(study, first, ~first).set_index("feature")
    plain = compare_traits(study, (first, ~first), {}).set_index("trait")
    for one, other in ((over_patients, over_images), (traits, plain.reindex(traits.index))):
        np.testing.assert_array_equal(one["difference"], other["difference"].reindex(one.index))
        widths = ((frame["high"] - frame["low"]).to_numpy() for frame in (one, other.reindex(one.index)))
        assert np.greater(*widths).all()
        tests = one["p"].dropna()
        assert len(tests) and (tests >= other["p"].reindex(tests.index) - 1e-12).all()
