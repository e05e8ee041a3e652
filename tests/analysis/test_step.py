"""The step `features` over whole studies: everything stored equals the slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis.caveats import AUTO_NOTES, CONSTANT_NOTE, DEFAULT_NOTE, notes_on_features
from core.analysis.features_step import compute_features
from core.config import FeaturesConfig
from core.errors import NoDiscriminativeFeatures, SettingsError
from core.store import Study, open_study
from core.study.progress import Progress
from core.study.writer import StepRun, write_study
from tests import reference
from tests.sentences import numbers
from tests.tables import rows_where

SINGLE = 1e-6  # stored in float32


def truth(study: Study) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normalised rows, firing sets and class codes (val: -1)."""
    raw = study.array("representations")[:]
    fires = reference.highly_activating(raw, study.summary("features")["epsilon"])
    codes = np.array([study.class_names.index(label) for label in study.images["label"]])
    return reference.normalise_rows(raw), fires, np.where(study.is_val, -1, codes)


def test_compute_features__table(shared_study):
    study = open_study(shared_study)
    h, fires, codes = truth(study)
    train, table = ~study.is_val, study.table("features")
    rate = reference.activation_rate(fires[train])
    assert_allclose(table["activation_rate"], rate, rtol=1e-12)
    assert_allclose(table["mean"], h[train].mean(0), rtol=1e-9)
    assert_allclose(table["std"], h[train].std(0), rtol=1e-9)
    discriminative = reference.discriminative_features(rate, 50, 95)
    assert_array_equal(table["discriminative"], discriminative)
    assert study.summary("features")["n_discriminative"] == discriminative.sum()
    counts = reference.firing_by_class(fires[train], codes[train], 4)
    assert_array_equal(study.vector("class_counts"), counts)
    fired = counts.sum(1) > 0
    assert_allclose(table["purity"][fired], counts.max(1)[fired] / counts.sum(1)[fired])
    assert rows_where(table, ~fired)[["purity", "top_class"]].isna().to_numpy().all()
    assert_array_equal(table["top_class"][fired], np.array(study.class_names)[counts.argmax(1)][fired])
    assert_array_equal(study.table("classes")["n_train"], np.bincount(codes[train]))


def test_compute_features__firing_sets_by_row_and_by_feature(shared_study):
    study = open_study(shared_study)
    h, fires, _ = truth(study)
    assert_array_equal(study.vector("firing_count"), fires.sum(1))
    assert_array_equal(study.vector("firing_features"), np.nonzero(fires)[1])
    assert_allclose(study.vector("firing_excess"), (h - h.mean(1, keepdims=True))[fires], rtol=SINGLE)
    pointer, rows = study.vector("firing_by_feature_ptr"), study.vector("firing_by_feature_rows")
    for j in range(h.shape[1]):
        assert_array_equal(rows[pointer[j] : pointer[j + 1]], np.flatnonzero(fires[:, j]))


def test_compute_features__views_of_the_values(shared_study):
    study = open_study(shared_study)
    h, _, codes = truth(study)
    assert_array_equal(study.vector("top_images"), reference.top_images(h.astype(np.float32), 64))
    means = study.vector("class_means")
    for code in range(4):
        assert_allclose(means[:, code], h[codes == code].mean(0), rtol=1e-5, atol=1e-8)
    assert (study.vector("activation_histogram").sum(1) == (~study.is_val).sum()).all()
    assert len(study.vector("histogram_edges")) == study.vector("activation_histogram").shape[1] + 1
    stats = study.table("row_stats")
    assert_allclose(stats["mean"], h.mean(1), rtol=SINGLE)
    assert_allclose(stats["hoyer"], [reference.hoyer(row) for row in h], rtol=SINGLE)


def redo(study: Study, **settings) -> Study:
    config = FeaturesConfig(**settings)
    with write_study(study.path) as writer, writer.step("features", {}, ("representations",)) as step:
        compute_features(study, step, config, StepRun(Progress.silent()))
    return open_study(study.path)


@pytest.mark.slow
def test_compute_features__top_images_where_few_fire(study_path):
    study = redo(open_study(study_path(pictures=False, n_train=300, n_val=40)), epsilon=5.0)
    h = reference.normalise_rows(study.array("representations")[:])
    assert (np.diff(study.vector("firing_by_feature_ptr")) < 64).all()
    assert_array_equal(study.vector("top_images"), reference.top_images(h.astype(np.float32), 64))


@pytest.mark.slow
def test_compute_features__auto_epsilon_is_stored(study_path):
    study = redo(open_study(study_path(pictures=False)), epsilon="auto")
    raw, epsilon = study.array("representations")[:][~study.is_val], study.summary("features")["epsilon"]
    assert (epsilon, "all") == reference.auto_epsilon(raw, 50, 95)
    assert "epsilon_note" not in study.summary("features") and notes_on_features(study) == []


@pytest.mark.slow
def test_compute_features__auto_says_what_it_could_not_have(study_path):
    study = open_study(study_path(pictures=False))
    raw = study.array("representations")[:].copy()
    raw[:, 10:] = 0  # most features are dead
    with write_study(study.path) as writer, writer.step("embed", {}) as step:
        step.table("images", study.images)
        step.vector("representations", raw)
    study = redo(open_study(study.path), epsilon="auto")
    expected, met = reference.auto_epsilon(raw[~study.is_val], 50, 95)
    assert met == "half" and study.summary("features")["epsilon"] == expected
    note, silent = notes_on_features(study)
    assert note == AUTO_NOTES["silent"] and numbers(silent)[:2] == ["38", "48"]


@pytest.mark.slow
def test_compute_features__no_discriminative_features_offers_the_next_epsilon(study_path):
    study = open_study(study_path(pictures=False))
    raw = study.array("representations")[:][~study.is_val]
    with pytest.raises(NoDiscriminativeFeatures) as caught:
        redo(study, epsilon=9.0)
    works = []
    for epsilon in (4, 3.5, 3, 2.5, 2, 1.5, 1):
        rate = reference.activation_rate(reference.highly_activating(raw, epsilon))
        if reference.discriminative_features(rate, 50, 95).any():
            works.append(epsilon)
    assert caught.value.epsilon == works[0] and caught.value.offer == {"epsilon": works[0]}
    command = f"Run: python -m core features {study.path} --epsilon {works[0]:g}"
    assert str(caught.value).endswith(command)
    redo(study, epsilon=works[0])


@pytest.mark.slow
def test_compute_features__without_any_feature_at_the_default_takes_what_auto_takes(study_path, rng):
    study = open_study(study_path(pictures=False))
    raw = rng.normal(size=(len(study.images), 48)).clip(-2.5, 2.5).astype(np.float32)  # dense: no tail
    with write_study(study.path) as writer, writer.step("embed", {}) as step:
        step.table("images", study.images)
        step.vector("representations", raw)
    stored = []
    for epsilon in (FeaturesConfig.epsilon, "auto"):
        study = redo(open_study(study.path), epsilon=epsilon)
        stored.append([study.summary("features")["epsilon"], study.vector("firing_features").tolist()])
        stored[-1] += [study.vector("firing_by_feature_rows").tolist(), study.vector("firing_count").tolist()]
    assert stored[0] == stored[1]
    epsilon, _ = reference.auto_epsilon(raw[~study.is_val], 50, 95)
    assert epsilon is not None and stored[0][0] == epsilon < 4
    study = redo(study, epsilon=FeaturesConfig.epsilon)
    assert notes_on_features(study)[0] == DEFAULT_NOTE.format(default=FeaturesConfig.epsilon, chosen=epsilon)
    with pytest.raises(NoDiscriminativeFeatures, match="features"):
        redo(study, epsilon=5.0)  # what was asked for is not changed


@pytest.mark.slow
def test_compute_features__no_smaller_epsilon_offers_nothing(study_path):
    study = open_study(study_path(pictures=False))
    with write_study(study.path) as writer, writer.step("embed", {}) as step:
        step.table("images", study.images)
        step.vector("representations", np.ones((len(study.images), 48), np.float32))
    with pytest.raises(NoDiscriminativeFeatures, match="candidate") as caught:
        redo(open_study(study.path), epsilon=2.0)
    assert caught.value.offer is None
    with pytest.raises(NoDiscriminativeFeatures, match="4.*1.*--epsilon"):
        redo(open_study(study.path), epsilon="auto")


@pytest.mark.slow
def test_compute_features__of_constant_features_says_so(study_path, rng):
    """The same row for all images: what fires on one fires on all, and nothing tells them apart."""
    study = open_study(study_path(pictures=False))
    with write_study(study.path) as writer, writer.step("embed", {}) as step:
        step.table("images", study.images)
        row = rng.gamma(0.3, size=(1, 48)).astype(np.float32)
        step.vector("representations", np.repeat(row, len(study.images), axis=0))
    study = redo(open_study(study.path), epsilon="auto")
    assert notes_on_features(study)[0] == CONSTANT_NOTE
    assert study.table("features")["activation_rate"].isin([0.0, 100.0]).all()


@pytest.mark.slow
def test_compute_features__refuses_a_word_for_epsilon(study_path):
    with pytest.raises(SettingsError, match="epsilon 'four'"):
        redo(open_study(study_path(pictures=False, n_train=20, n_val=8)), epsilon="four")


@pytest.mark.slow
def test_compute_features__half_precision_and_no_labels(study_path):
    study = open_study(study_path(pictures=False, labels=False, dtype="float16"))
    raw = study.array("representations")[:]
    assert raw.dtype == np.float16
    fires = reference.highly_activating(raw, study.summary("features")["epsilon"])
    assert_array_equal(study.vector("firing_count"), fires.sum(1))
    table = study.table("features")
    assert table["top_class"].isna().all() and table["purity"].isna().all()
    assert study.vector("class_counts").shape == (48, 0) and len(study.table("classes")) == 0
