"""Average representations by class and verdict: equal to the loops, in any pieces, NaN where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.measures.evaluate import class_column
from core.measures.feature_rates import GroupMeans, curve_ranks
from core.pipeline.run import run_step
from core.store import open_study
from core.study.progress import Progress
from tests import reference

SINGLE = 1e-6  # results are float32


@pytest.mark.parametrize("shape", [(1, 3), (7, 16), (40, 60)], ids=str)
@pytest.mark.parametrize("points", [200, 12])
def test_group_means__match_loops(rng, shape, points):
    raw, code = rng.gamma(0.3, size=shape), rng.integers(0, 4, shape[0])
    correct = rng.random(shape[0]) < 0.6
    means = GroupMeans(5, shape[1], points=points)
    means.update(raw, code, correct)
    assert_allclose(means.class_means(), reference.group_means(raw, code, correct, 5), rtol=SINGLE)
    for group, chosen in zip(means.sparsity_curves(), (correct, ~correct), strict=True):
        whole = np.array(reference.sparsity_curve(raw[chosen])) if chosen.any() else np.full(shape[1], np.nan)
        assert_allclose(group, whole[means.ranks - 1], rtol=SINGLE)


def test_group_means__by_hand():
    means = GroupMeans(2, 2)
    means.update(
        np.array([[3.0, 4.0], [0.0, 2.0], [8.0, 6.0]]), np.array([0, 0, 1]), np.array([1, 1, 0], bool)
    )
    right, wrong = means.class_means()
    assert_allclose(right, [[0.3, 0.9], [np.nan, np.nan]], rtol=SINGLE)
    assert_allclose(wrong, [[np.nan, np.nan], [0.8, 0.6]], rtol=SINGLE)
    assert_array_equal(means.class_counts(), [[2, 0], [0, 1]])
    assert_allclose(means.sparsity_curves(), [[0.9, 0.3], [0.8, 0.6]], rtol=SINGLE)


def test_group_means__pieces_and_scale_do_not_matter(rng):
    raw, code, correct = rng.gamma(0.3, size=(60, 30)), rng.integers(0, 3, 60), rng.random(60) < 0.5
    whole, parts = GroupMeans(3, 30), GroupMeans(3, 30)
    whole.update(raw, code, correct)
    for piece in np.array_split(rng.permutation(60), 7):
        parts.update(raw[piece] * rng.uniform(0.1, 9.0, (len(piece), 1)), code[piece], correct[piece])
    assert_allclose(parts.class_means(), whole.class_means(), rtol=SINGLE)
    assert_allclose(parts.sparsity_curves(), whole.sparsity_curves(), rtol=SINGLE)


def test_group_means__a_zero_row_and_no_rows():
    means = GroupMeans(1, 3)
    means.update(np.empty((0, 3)), np.empty(0, int), np.empty(0, bool))
    assert np.isnan(means.class_means()[0]).all() and np.isnan(means.sparsity_curves()).all()
    means.update(np.zeros((1, 3)), np.array([0]), np.array([True]))
    assert_array_equal(means.class_means()[0], np.zeros((1, 3)))


@pytest.mark.parametrize("n_features", [1, 199, 200, 201, 512, 2048])
def test_curve_ranks__rise_from_first_to_last(n_features):
    ranks = curve_ranks(n_features)
    assert ranks[0] == 1 and ranks[-1] == n_features
    assert len(ranks) == min(200, n_features) and (np.diff(ranks) > 0).all()


def test_quality__stores_the_means_of_judged_val_images(shared_study):
    study = open_study(shared_study)
    raw, code = study.array("representations")[:], class_column(study, "label")
    correct = study.table("probe")["correct"].to_numpy(dtype=bool)
    val = study.is_val
    right, wrong = reference.group_means(raw[val], code[val], correct[val], len(study.class_names))
    assert_allclose(study.vector("class_means_correct"), right, rtol=SINGLE)
    assert_allclose(study.vector("class_means_misclassified"), wrong, rtol=SINGLE)
    expected = [[np.sum(val & (correct == verdict) & (code == c)) for c in range(4)] for verdict in (1, 0)]
    assert_array_equal(study.vector("group_counts"), expected)
    curve = reference.sparsity_curve(raw[val & ~correct])
    assert_allclose(study.vector("sparsity_curves")[1], curve, rtol=SINGLE)
    assert_array_equal(study.vector("sparsity_ranks"), np.arange(1, raw.shape[1] + 1))


def test_quality__without_labels_has_no_means(study_path):
    study = open_study(study_path(labels=False, pictures=False, n_train=40, n_val=20))
    assert study.has("quality") and not study.has("class_means_correct")


@pytest.mark.slow
def test_quality__redo_gives_the_same_bytes(study_path):
    path = study_path(pictures=False)
    before = (path / "class_means_correct" / "00000.npy").read_bytes()
    run_step("quality", path, {"redo": True}, Progress.silent())
    assert (path / "class_means_correct" / "00000.npy").read_bytes() == before
