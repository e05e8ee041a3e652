from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.errors import ShapeError
from core.research.transfer_learning_back_tests import on_copies
from core.research.transfer_learning_estimates import (
    FEWEST,
    METHODS,
    Predictions,
    estimate_in_words,
    estimates,
    nuclear_norm,
    prediction_interval,
    resampled_estimates,
    threshold,
)


def made(rng, n, *, sharpness=2.0, n_classes=5):
    logits = sharpness * rng.normal(size=(n, n_classes))
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    first = shares.argmax(1)
    second = np.where(rng.random(n) < 0.8, first, rng.integers(0, n_classes, n))
    return Predictions(shares, np.stack([first, second], axis=1))


def nuclear_by_svd(shares):
    values = np.linalg.svd(shares, compute_uv=False)
    return sum(values) / math.sqrt(min(shares.shape) * len(shares))


def by_loop(labelled, correct, new):
    """Each estimate, as its paper words it."""
    a = sum(bool(one) for one in correct) / len(correct)
    confidence = [max(row) for row in labelled.shares]
    wrong = sum(not one for one in correct)
    cut = sorted(confidence)[wrong] if wrong < len(confidence) else math.inf
    theirs = [max(row) for row in new.shares]
    by_method = {
        "val_accuracy": a,
        "atc": sum(one >= cut for one in theirs) / len(theirs),
        "difference_of_confidences": a - (sum(confidence) / len(confidence) - sum(theirs) / len(theirs)),
        "nuclear_norm": a * nuclear_by_svd(new.shares) / nuclear_by_svd(labelled.shares),
        "agreement": sum(int(p) == int(q) for p, q in new.halves) / len(theirs),
    }
    return {name: min(1.0, max(0.0, value)) for name, value in by_method.items()}


def test_estimates__match_loop(rng):
    labelled, new = made(rng, 90), made(rng, 60, sharpness=0.7)
    correct = rng.random(90) < 0.7
    by_method = estimates(labelled, correct, new)
    assert tuple(by_method) == METHODS
    expected = by_loop(labelled, correct, new)
    for name in METHODS:
        assert by_method[name] == pytest.approx(expected[name]), name
    assert len({round(value, 6) for value in by_method.values()}) == len(
        METHODS
    )  # each says something of its own


def test_estimates__of_the_known_images_themselves_are_their_accuracy(rng):
    labelled = made(rng, 80)
    correct = rng.random(80) < 0.6
    by_method = estimates(labelled, correct, labelled)
    for name in ("val_accuracy", "atc", "difference_of_confidences", "nuclear_norm"):
        assert by_method[name] == pytest.approx(correct.mean())


@pytest.mark.parametrize(("correct", "accuracy"), [(True, 1.0), (False, 0.0)])
def test_atc__where_all_are_right_or_wrong(rng, correct, accuracy):
    labelled = made(rng, 40)
    assert estimates(labelled, np.full(40, correct), labelled)["atc"] == accuracy
    assert np.isinf(threshold(labelled.confidence, np.zeros(40, bool)))


@pytest.mark.parametrize("shape", [(30, 4), (3, 8)])
def test_nuclear_norm__matches_singular_values(rng, shape):
    shares = rng.dirichlet(np.ones(shape[1]), shape[0])
    assert nuclear_norm(shares) == pytest.approx(nuclear_by_svd(shares))
    assert nuclear_norm(np.eye(4)) == pytest.approx(1)  # confident, and every class alike
    assert nuclear_norm(np.tile([1.0, 0, 0, 0], (9, 1))) == pytest.approx(0.5)  # confident of one class


def listed_by_class(rng, n=9000, n_classes=9):
    """Predictions of images of which the first n / 9 are of the first class, and so on; right on 90 %."""
    codes = np.repeat(np.arange(n_classes), n // n_classes)
    correct = rng.random(n) < 0.9
    predicted = np.where(correct, codes, rng.integers(0, n_classes, n))
    shares = np.full((n, n_classes), 0.1 / (n_classes - 1))
    shares[np.arange(n), predicted] = 0.9
    return Predictions(shares, np.stack([predicted, predicted], axis=1)), correct


def test_nuclear_norm__does_not_depend_on_the_order_of_images(rng):
    """More images than are read: those of one class, which come first, have the smallest norm there is."""
    labelled, correct = listed_by_class(rng)
    (point, draws), order = (
        resampled_estimates(labelled, correct, labelled, resamples=20),
        rng.permutation(9000),
    )
    ends = np.percentile(draws[:, METHODS.index("nuclear_norm")], [0, 100])
    assert ends[0] < point["nuclear_norm"] < ends[1]
    assert point["nuclear_norm"] == pytest.approx(correct.mean(), abs=0.005)
    shuffled = estimates(labelled.at(order), correct[order], labelled)["nuclear_norm"]
    assert shuffled == pytest.approx(correct.mean(), abs=0.005)
    error = on_copies(labelled, correct, {"noise 1": (labelled, correct)}).errors()["nuclear_norm"]
    assert error < 0.005


def test_prediction_interval__is_the_estimate_and_the_margin_on_both_sides():
    low, high = prediction_interval([0.7, 0.9, 0.1, 0.5], [0.2, 0.3, 0.3, np.nan])
    assert_allclose(low, [0.5, 0.6, 0.0, np.nan])
    assert_allclose(high, [0.9, 1.0, 0.4, np.nan])
    assert estimate_in_words(0.5, np.nan) == "50.0 %"


def test_estimates__undefined_for_few_images(rng):
    labelled = made(rng, 40)
    point, draws = resampled_estimates(labelled, np.ones(40, bool), made(rng, FEWEST - 1))
    assert np.isnan([*point.values()]).all() and draws.shape == (200, len(METHODS)) and np.isnan(draws).all()


def test_resampled__holds_the_estimate_and_narrows_with_images(rng):
    labelled, correct = made(rng, 400), rng.random(400) < 0.7
    few, many = (resampled_estimates(labelled, correct, made(rng, n), resamples=60) for n in (40, 1000))
    for at, name in enumerate(METHODS):
        assert few[1][:, at].min() <= few[0][name] <= few[1][:, at].max()
        if name in ("atc", "agreement"):
            assert np.std(many[1][:, at]) < np.std(few[1][:, at])


def test_resampled__draws_the_same_images_for_every_encoder(rng):
    """Two encoders whose halves agree on the same images have the same draws of that method."""
    one, other = made(rng, 60), made(rng, 60, sharpness=0.5)
    other = Predictions(other.shares, one.halves)
    correct = rng.random(60) < 0.7
    (_, first), (_, second) = (
        resampled_estimates(one, correct, new, resamples=30, seed=4) for new in (one, other)
    )
    for name in ("val_accuracy", "agreement"):
        assert_array_equal(first[:, METHODS.index(name)], second[:, METHODS.index(name)])
    assert len(set(first[:, METHODS.index("agreement")])) > 5 and (first != second).any()


def test_predictions__refuse_what_does_not_fit():
    with pytest.raises(ShapeError, match="match"):
        Predictions(np.ones((3, 2)), np.ones((4, 2), int))
