from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal

from core.answers.class_logits import Classifier
from core.concepts import failures
from core.concepts.blame import ProbeWithMeans
from core.concepts.failures import (
    PairSums,
    compute_failures,
    contributions,
    top_contributions,
    words_of_features,
)
from core.config import FailuresConfig
from core.errors import SettingsError, ShapeError
from core.pictures.decomposition import behind_class
from core.store import open_study
from core.study.progress import Progress
from core.study.writer import StepRun, write_study
from tests.concepts import reference_concepts as reference


def test_contributions__match_loop(rng):
    raw, weights, classes = rng.gamma(1.0, size=(9, 5)), rng.normal(size=(4, 5)), rng.integers(0, 4, 9)
    terms = contributions(raw, weights, classes)
    assert_allclose(terms, reference.failure_contributions(raw, weights, classes), rtol=1e-12)
    assert_allclose(terms.sum(1), (raw @ weights.T)[np.arange(9), classes], rtol=1e-9)


def test_contributions__refuse_what_does_not_fit():
    with pytest.raises(ShapeError, match="do not match"):
        contributions(np.ones((2, 3)), np.ones((4, 5)), np.array([0, 1]))


def test_top_contributions__by_hand():
    features, values = top_contributions(np.array([[0.5, -1.0, 2.0, 0.5], [0.0, -1.0, -2.0, 0.1]]), 3)
    assert features.tolist() == [[2, 0, 3], [3, -1, -1]]
    assert_array_equal(values, [[2.0, 0.5, 0.5], [0.1, np.nan, np.nan]])
    assert top_contributions(np.ones((1, 2)), 9)[0].shape == (1, 2)


def test_words_of_features__are_the_kept_ones_of_single_features():
    concepts = pd.DataFrame(
        {
            "group": ["12", "12", "12", "3+12", "7"],
            "rank": [2, 1, 3, 1, 1],
            "word": ["red", "dog", "grass", "cat", "sky"],
            "kept": [True, True, False, True, False],
        }
    )
    assert words_of_features(concepts) == {12: "dog; red"}


@pytest.fixture(scope="module")
def failed(shared_study, tmp_path_factory):
    """A study with failures, and concepts for features 0 and 1."""
    folder = shutil.copytree(shared_study, tmp_path_factory.mktemp("failures") / "study")
    words = {"group": ["0", "1", "0+1"], "rank": [1, 1, 1], "word": ["ant", "bee", "both"]}
    with write_study(folder) as writer:
        with writer.step("concepts", {}) as step:
            step.table("concepts", pd.DataFrame(words).assign(kept=True))
        with writer.step("failures", {}) as step:
            config = FailuresConfig(top=3, split="all")
            compute_failures(open_study(folder), step, config, StepRun(Progress.silent()))
    return open_study(folder)


def test_failures__name_the_features_behind_both_answers(failed):
    table, probe = failed.table("failures"), failed.table("probe")
    raw, weights = failed.vector("representations"), failed.vector("probe_weights")
    wrong = probe[~probe["correct"].astype(bool)]
    assert len(wrong) >= 2  # or the test says nothing
    assert list(table["image_id"].unique()) == wrong["image_id"].tolist()
    for row in wrong.itertuples():
        for side in ("predicted", "true"):
            side_rows = table[(table["image_id"] == row.image_id) & (table["side"] == side)]
            values = raw[row.Index].astype(float) * weights[failed.class_names.index(getattr(row, side))]
            best = np.argsort(-values, kind="stable")[: len(side_rows)]
            assert side_rows["feature"].tolist() == best.tolist()
            assert_allclose(side_rows["contribution"], values[best], rtol=1e-9)
            assert side_rows["rank"].tolist() == list(range(1, len(side_rows) + 1))
            assert (side_rows["true"] == row.true).all() and (side_rows["predicted"] == row.predicted).all()


def test_failures__carry_words(failed):
    table = failed.table("failures")
    assert set(table.loc[table["feature"] == 0, "words"]) <= {"ant"}
    assert set(table.loc[table["feature"] > 1, "words"]) == {""}
    named = set(table["feature"])
    assert failed.summary("failures")["n_without_words"] == len(named - {0, 1})


def test_failure_pairs__are_means_over_all_failures_of_a_pair(failed):
    pairs, images, probe = failed.table("failure_pairs"), failed.table("failures"), failed.table("probe")
    raw, weights = failed.vector("representations").astype(float), failed.vector("probe_weights")
    assert pairs["n_images"].is_monotonic_decreasing
    for (true, predicted, side), part in pairs.groupby(["true", "predicted", "side"]):
        rows = probe.index[(probe["true"] == true) & (probe["predicted"] == predicted)]
        label = true if side == "true" else predicted
        mean = (raw[rows] * weights[failed.class_names.index(label)]).mean(0)
        assert (part["n_images"] == len(rows)).all()
        best = np.argsort(-mean, kind="stable")[: len(part)]
        assert part["feature"].tolist() == best.tolist()
        assert_allclose(part["contribution"], mean[best], rtol=1e-9)
        mine = images[
            (images["true"] == true) & (images["predicted"] == predicted) & (images["side"] == side)
        ]
        counts = mine["feature"].value_counts()
        assert part["n_top"].tolist() == [counts.get(feature, 0) for feature in part["feature"]]


def run(folder, config):
    with write_study(folder) as writer, writer.step("failures", {}) as step:
        compute_failures(open_study(folder), step, config, StepRun(Progress.silent()))
    return open_study(folder)


def test_failure_pairs__are_the_same_added_up_a_few_at_a_time(failed, tmp_path, monkeypatch):
    """Those of a thousand classes took numbers of all features for tens of thousands of pairs at once."""
    monkeypatch.setattr(failures, "MOST_PAIRS", 2)
    monkeypatch.setattr(failures, "CHUNK_ROWS", 3)
    sizes, add = [], PairSums.add
    monkeypatch.setattr(
        PairSums, "add", lambda sums, *given: (sizes.append(len(sums.pairs)), add(sums, *given))
    )
    folder = shutil.copytree(failed.path, tmp_path / "study")
    study = run(folder, FailuresConfig(top=3, split="all"))
    for table in ("failures", "failure_pairs"):
        assert_frame_equal(study.table(table), failed.table(table))
    assert max(sizes) == 2 < study.summary("failures")["n_pairs"] == failed.summary("failures")["n_pairs"]


def test_failures__of_explained_features_only(failed, tmp_path):
    folder = shutil.copytree(failed.path, tmp_path / "study")
    study = run(folder, FailuresConfig(top=3, split="all", explained=True))
    for table in ("failures", "failure_pairs"):
        assert set(study.table(table)["feature"]) <= {0, 1} and len(study.table(table))
    assert study.summary("failures")["note"] is None
    assert "`failures --explained`" in failed.summary("failures")["note"]


@pytest.mark.slow
def test_failures__without_concepts_say_so(study_path):
    study = run(study_path(pictures=False), FailuresConfig())
    assert "`concepts`" in study.summary("failures")["note"]


def test_failures__without_labels_are_skipped(study_path):
    study = run(study_path(labels=False, pictures=False), FailuresConfig())
    assert study.summary("failures")["skipped"] == f"no probe: {study.summary('probe')['skipped']}"


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [{"top": 0}, {"split": "test"}], ids=str)
def test_failures__refuse_impossible_options(study_path, wrong):
    with pytest.raises(SettingsError, match="must be at least 1|unknown split 'test'"):
        run(study_path(pictures=False), FailuresConfig(**wrong))


def test_behind_class__is_what_supports_it(rng):
    raw, weights, bias = rng.gamma(1.0, size=6), rng.normal(size=(3, 6)), rng.normal(size=3)
    answer = behind_class(raw, ProbeWithMeans(Classifier(weights, bias), np.zeros(6), 3), 1, top=2)
    logits = weights @ raw + bias
    assert answer["confidence"] == pytest.approx(np.exp(logits[1]) / np.exp(logits).sum())
    values = raw * weights[1]
    assert answer["features"] == [int(j) for j in np.argsort(-values)[:2] if values[j] > 0]
