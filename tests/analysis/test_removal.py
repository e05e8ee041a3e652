from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis.removal import (
    ALIKE,
    AT_RANDOM,
    DRAWS,
    SwitchedOff,
    logits_without,
    random_alike,
    strongest_features,
    switched_off_table,
    train_means,
)
from core.answers.class_logits import Classifier
from core.errors import ShapeError
from core.store import open_study


@pytest.fixture
def case(rng):
    """12 rows of 7 features, a probe of 4 classes, and means."""
    raw, weights = rng.gamma(1.0, size=(12, 7)), rng.normal(size=(4, 7))
    raw[rng.random(raw.shape) < 0.3] = 0.0
    bias = rng.normal(size=4)
    return raw, weights, bias, raw @ weights.T + bias, rng.random(7)


def test_logits_without__are_those_of_the_changed_representation(case, rng):
    raw, weights, bias, logits, means = case
    removed = np.array([rng.permutation(7)[:3] for _ in raw])
    removed[4, 1:] = -1
    without = logits_without(Classifier(weights, bias), logits, raw, means, removed)
    for row in range(len(raw)):
        changed = raw[row].copy()
        for feature in removed[row]:
            if feature >= 0:
                changed[feature] = means[feature]
        for k in range(4):
            total = bias[k]
            for j in range(7):
                total += changed[j] * weights[k, j]
            assert without[row, k] == pytest.approx(total)


def test_logits_without__refuses_what_does_not_fit(case):
    raw, weights, bias, logits, means = case
    with pytest.raises(ShapeError, match="match"):
        logits_without(Classifier(weights, bias), logits, raw, means[:-1], np.zeros((12, 1), int))


def values_by_loop(order, h, logits, weights, y):
    if order == "activation":
        return list(h)
    if order == "contribution":
        return [h[j] * weights[y, j] for j in range(len(h))]
    # The derivative of log p_y with respect to h_j, by differences: times h_j it is gradient times input.
    values = []
    for j in range(len(h)):
        ends = []
        for step in (1e-5, -1e-5):
            moved = [logits[c] + step * weights[c, j] for c in range(len(logits))]
            ends.append(moved[y] - math.log(sum(math.exp(one) for one in moved)))
        values.append(h[j] * (ends[0] - ends[1]) / 2e-5)
    return values


@pytest.mark.parametrize("order", ["contribution", "gradient", "activation"])
def test_ranked__matches_loop(case, order):
    raw, weights, bias, logits, _ = case
    predicted, classifier = logits.argmax(1), Classifier(weights, bias)
    ranked = strongest_features(order, raw, logits, classifier, predicted, 5)
    for row, y in enumerate(predicted):
        values = values_by_loop(order, raw[row], logits[row], weights, y)
        best = sorted((-value, j) for j, value in enumerate(values) if value > 1e-9)[:5]
        assert ranked[row][ranked[row] >= 0].tolist() == [j for _, j in best]
    assert not np.array_equal(
        ranked, strongest_features("contribution", raw, logits, classifier, predicted, 5)
    ) or (order == "contribution")


def test_ranked__knows_its_orders(case):
    raw, weights, bias, logits, _ = case
    with pytest.raises(ValueError, match="'best'"):
        strongest_features("best", raw, logits, Classifier(weights, bias), logits.argmax(1), 1)


def test_random_alike__are_other_features_of_like_activation(rng):
    raw = rng.gamma(1.0, size=(40, 60))
    blamed = np.array([rng.permutation(60)[:4] for _ in raw])
    blamed[:5, 3] = -1
    alike = random_alike(raw, blamed, rng)
    assert_array_equal(alike < 0, blamed < 0)
    for row in range(len(raw)):
        places = {feature: rank for rank, feature in enumerate(np.argsort(-raw[row], kind="stable"))}
        drawn = [feature for feature in alike[row] if feature >= 0]
        assert len(set(drawn)) == len(drawn) and not set(drawn) & set(blamed[row].tolist())
        for other, feature in zip(alike[row], blamed[row], strict=True):
            assert feature < 0 or abs(places[other] - places[feature]) <= ALIKE
    assert len({tuple(random_alike(raw, blamed, rng)[0]) for _ in range(8)}) > 1


def test_random_alike__none_where_no_other_feature_is_near(rng):
    assert random_alike(np.ones((1, 2)), np.array([[0, 1]]), rng).tolist() == [[-1, -1]]


def test_removal_of_every_feature_leaves_the_average_image(case):
    raw, weights, bias, logits, means = case
    every = np.tile(np.arange(7), (12, 1))
    without = logits_without(Classifier(weights, bias), logits, raw, means, every)
    assert_allclose(without, np.tile(weights @ means + bias, (12, 1)))


def test_train_means__are_stored_and_cost_no_pass(shared_study, monkeypatch):
    study = open_study(shared_study)
    raw, has = study.array("representations")[:].astype(float), study.has
    assert has("raw_moments")
    monkeypatch.setattr(study, "has", lambda item: item != "feature_means" and has(item))
    monkeypatch.delattr(type(study.array("representations")), "chunks")
    assert_allclose(train_means(study), raw[~study.is_val].mean(0), rtol=1e-6)


def test_table__by_hand():
    """Four images: right, wrong, of no known class, right; the second gets right, the last one wrong."""
    before, after = np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1])
    true = np.array([0.0, 0.0, np.nan, 2.0])
    table = switched_off_table(SwitchedOff(before, after, np.stack([before, after]), true))
    assert_array_equal(table["n_judged"], [3, 3, 3])
    assert_allclose(table["accuracy"], [2 / 3, 2 / 3, 2 / 3])
    assert_allclose(table["flipped"], [0, 0.5, 0.25])
    assert_allclose(table[["fixed", "broken"]], [[0, 0], [1, 1], [0.5, 0.5]])
    assert (table["accuracy_low"] < table["accuracy"]).all()
    nothing = SwitchedOff(np.empty(0), np.empty(0), np.empty((DRAWS, 0)), np.empty(0))
    empty = switched_off_table(nothing).set_index("features")
    assert np.isnan(empty.loc[AT_RANDOM, "accuracy"]) and empty["n"].sum() == 0
