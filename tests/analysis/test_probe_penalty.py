"""The penalty of a probe is chosen on a few rows of each class, and the optimum reached on all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from core.analysis import linear_probe, probe_step
from core.analysis.folds import assign_folds
from core.analysis.linear_probe import Curvature
from core.analysis.probe_penalty import best_strength, draw_per_class, search_penalty, until_worse
from core.common.moments import Moments
from core.store import open_study


def overlapping(rng: np.random.Generator, n: int, n_classes: int = 4):
    labels = rng.integers(0, n_classes, n)
    centres = np.random.default_rng(1).normal(size=(n_classes, 6))
    return (rng.normal(size=(n, 6)) + centres[labels]).astype(np.float32), labels


def rows_of(raw: np.ndarray, labels: np.ndarray, **options) -> linear_probe.ShuffledRows:
    standard = linear_probe.Standard.of(Moments.of_rows(raw))
    load = lambda positions: torch.from_numpy(raw[positions])  # noqa: E731
    return linear_probe.ShuffledRows(load, torch.from_numpy(labels), raw.shape[1], standard, **options)


def test_draw_per_class__takes_at_most_so_many_of_each(rng):
    labels = rng.permutation(np.repeat([0, 2, 3], [50, 7, 200]))
    drawn = draw_per_class(labels, 20, 0)
    assert_array_equal(drawn, np.unique(drawn))
    assert_array_equal(np.bincount(labels[drawn]), [20, 0, 7, 20])
    assert_array_equal(drawn, draw_per_class(labels, 20, 0))
    assert not np.array_equal(drawn, draw_per_class(labels, 20, 1))
    assert_array_equal(draw_per_class(labels, 200, 0), np.arange(257))
    assert len(draw_per_class(np.empty(0, int), 20, 0)) == 0


@pytest.mark.parametrize("memory", [60, 1 << 20], ids=["bounded", "whole"])
def test_subset__has_those_rows(rng, memory):
    raw, labels = overlapping(rng, 90)
    rows, some = rows_of(raw, labels, memory_entries=memory), np.array([3, 4, 50, 89])
    few = rows.subset(some)
    whole = np.concatenate([x.numpy() for x, _ in rows.take(some)])
    assert len(few) == 4
    assert_array_equal(np.concatenate([x.numpy() for x, _, _ in few.parts()]), whole)
    assert_array_equal(few.labels, labels[some])


def test_search__evaluates_rows_that_a_fit_has_not_seen(rng):
    raw, labels = rng.normal(size=(60, 40)).astype(np.float32), np.tile([0, 1], 30)  # labels of no row
    rows = rows_of(raw, labels)
    searched = search_penalty(rows, 2, (1.0,), Curvature.of(rows, 0), 0)
    assert 0.25 < searched.accuracies[1.0] < 0.75  # on their own rows all would be right


def test_until_worse__ends_after_two_in_a_row_without_a_smaller_loss():
    losses = {0.1: 2.0, 1.0: 1.0, 3.0: 1.0, 10.0: 0.9, 30.0: 0.9, 100.0: 0.95, 300.0: 0.1}
    tried = list(until_worse([300.0, 0.1, 100.0, 1.0, 30.0, 3.0, 10.0], losses))
    assert tried == [0.1, 1.0, 3.0, 10.0, 30.0, 100.0]


def test_best_strength__is_that_of_the_smallest_loss_and_of_equal_ones_the_strongest_penalty():
    assert best_strength({10.0: 0.5, 0.1: 0.5, 1.0: 0.6}, (0.1, 1.0, 10.0)) == 0.1
    assert best_strength({}, (3.0, 1.0)) == 1.0


def test_search__is_the_log_loss_of_folds_by_hand_where_accuracy_ties(rng):
    """Classes far apart: every C is right on all rows, and only the loss tells them from each other."""
    labels = np.tile([0, 1, 2], 30)
    raw = (rng.normal(size=(90, 5)) + 9.0 * np.eye(5)[labels]).astype(np.float32)
    rows, strengths = rows_of(raw, labels), (1e-3, 0.01, 0.1, 1.0)
    searched = search_penalty(rows, 3, strengths, Curvature.of(rows, 0), 0)
    x, folds = StandardScaler().fit_transform(raw.astype(float)), assign_folds(labels, np.arange(90), 5, 0)
    expected = {}
    for strength in strengths:
        losses = np.empty(90)
        for fold in range(5):
            used, held = folds != fold, folds == fold
            exact = LogisticRegression(C=strength, max_iter=1000, tol=1e-8).fit(x[used], labels[used])
            losses[held] = -exact.predict_log_proba(x[held])[np.arange(held.sum()), labels[held]]
        expected[strength] = losses.mean()
    assert set(searched.accuracies.values()) == {1.0}
    assert_allclose(list(searched.losses.values()), list(expected.values()), atol=1e-3)
    assert searched.best == min(expected, key=lambda one: expected[one])


def test_search__keeps_groups_in_one_fold(rng):
    centres = rng.normal(size=(30, 20))  # a patient each, whose class is drawn
    group = np.repeat(np.arange(30), 6)
    raw = (centres[group] + 0.01 * rng.normal(size=(180, 20))).astype(np.float32)
    labels = np.random.default_rng(3).permutation(np.tile([0, 1], 15))[group]
    rows = rows_of(raw, labels)
    apart, mixed = (
        search_penalty(rows, 2, (1.0,), Curvature.of(rows, 0), 0, groups=one).accuracies[1.0]
        for one in (group, None)
    )
    assert mixed > 0.95 and apart < 0.8


def test_search__of_classes_of_one_row_evaluates_the_rows_themselves(rng):
    raw, labels = rng.normal(size=(5, 8)).astype(np.float32), np.arange(5)
    rows = rows_of(raw, labels)
    searched = search_penalty(rows, 5, (1e-4, 1.0), Curvature.of(rows, 0), 0)
    assert searched.best == 1.0 and searched.accuracies[1.0] == 1.0


def test_train_probe__reaches_the_optimum_of_all_rows(rng, monkeypatch):
    monkeypatch.setattr(probe_step, "PER_CLASS", 30)
    raw, labels = overlapping(rng, 600)
    probe = probe_step.train_probe(raw, labels, 4, strengths=(1e-3, 1e-2, 0.1, 1.0))
    assert probe.penalty is not None and len(probe.searched) >= 3
    exact = LogisticRegression(C=1 / (probe.penalty * 600), max_iter=1000, tol=1e-8)
    x = StandardScaler().fit_transform(raw.astype(float))
    expected = exact.fit(x, labels).predict_log_proba(x)
    assert_allclose(torch.log_softmax(probe.logits(raw), 1), expected, atol=5e-3)


def test_compute_probe__by_the_optimum_unless_a_rate_is_given(study_path, run):
    path = study_path(n_train=60, n_val=20, n_features=24, pictures=False)
    assert run("probe", path, "--device", "cpu", "--redo").code == 0
    assert "penalty" in open_study(path).summary("probe")
    assert run("probe", path, "--lr", "0.1", "--device", "cpu").code == 0
    assert open_study(path).summary("probe")["lr"] == 0.1
