"""Confident learning in blocks of classes: cleanlab's own list, thresholds by a loop, and by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from cleanlab.count import calibrate_confident_joint, compute_confident_joint
from cleanlab.filter import find_label_issues
from numpy.testing import assert_allclose, assert_array_equal

from core.measures import confident_learning
from core.measures.confident_learning import OutOfFold, confident_joint, likely_wrong, probability_wrong


def answers_of(shares: np.ndarray, labels: np.ndarray, k: int = 20) -> OutOfFold:
    codes = np.argsort(-shares, axis=1, kind="stable")[:, :k]
    of_label = shares[np.arange(len(labels)), labels]
    return OutOfFold(codes, np.take_along_axis(shares, codes, 1), of_label, labels, shares.shape[1])


def planted(rng: np.random.Generator, n: int = 300, n_classes: int = 6) -> tuple[np.ndarray, np.ndarray]:
    true = np.arange(n) % n_classes
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), true] += 2.5
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wrong = rng.random(n) < 0.1
    return shares, np.where(wrong, rng.integers(0, n_classes, n), true)


def slow_joint(shares: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Northcutt 2021: an image of label y counts for the likeliest class that passes its threshold."""
    n_classes = shares.shape[1]
    thresholds = [shares[labels == c, c].mean() for c in range(n_classes)]
    joint = np.zeros((n_classes, n_classes), int)
    for row, label in zip(shares, labels, strict=True):
        above = [c for c in range(n_classes) if row[c] >= thresholds[c] - 1e-6]
        if above:
            joint[label, max(above, key=lambda c: row[c])] += 1
    return joint


@pytest.mark.parametrize("block", [1, 40 * 6, 1 << 24])
def test_likely_wrong__is_cleanlabs_list_in_any_blocks(rng, monkeypatch, block):
    monkeypatch.setattr(confident_learning, "BLOCK", block)
    shares, labels = planted(rng)
    assert_array_equal(likely_wrong(answers_of(shares, labels)), find_label_issues(labels, shares, n_jobs=1))
    joint = slow_joint(shares, labels)
    np.fill_diagonal(joint, joint.diagonal().clip(min=1))
    assert_array_equal(confident_joint(answers_of(shares, labels)), joint)


def test_joint__is_calibrated_as_cleanlab_does_where_fractions_are_equal():
    """Its third row has 46.588 and 2.588, of which one is rounded up."""
    counts = np.array(
        [[37, 2, 2, 0, 4], [4, 41, 5, 1, 0], [1, 6, 36, 6, 2], [0, 2, 9, 38, 0], [4, 1, 1, 0, 43]]
    )
    pairs = np.repeat(np.argwhere(counts >= 0), counts.ravel(), axis=0)
    unsure = np.repeat(np.arange(5), np.array([63, 67, 66, 61, 63]) - counts.sum(1))
    labels = np.concatenate([pairs[:, 0], unsure])
    shares = np.full((len(labels), 5), 0.2)
    shares[: len(pairs)] = 0.025 + 0.875 * np.eye(5)[pairs[:, 1]]
    joint = confident_joint(answers_of(shares, labels))
    assert_array_equal(joint, counts)
    assert_array_equal(calibrate_confident_joint(joint, labels), compute_confident_joint(labels, shares))


def test_likely_wrong__of_the_largest_probabilities_alone(rng):
    shares, labels = planted(rng, 900, 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with few images
        whole = find_label_issues(labels, shares, n_jobs=1)
    assert (likely_wrong(answers_of(shares, labels)) != whole).mean() < 0.005


def test_likely_wrong__by_hand():
    # Thresholds .7 and .8: of label 0 the third image counts for class 1, of label 1 none for class 0.
    shares = np.array([[0.9, 0.1], [0.95, 0.05], [0.25, 0.75], [0.0, 1.0], [0.4, 0.6]])
    labels = np.array([0, 0, 0, 1, 1])
    shares[2] = [0.15, 0.85]
    answers = answers_of(shares, labels)
    assert likely_wrong(answers).tolist() == [False, False, True, False, False]
    assert_allclose(answers.margins, [0.8, 0.9, -0.7, 1.0, 0.2])
    assert answers.rival[0].tolist() == [1, 1, 1, 0, 0]


def test_likely_wrong__of_one_class_is_none():
    shares = np.ones((3, 1))
    assert not likely_wrong(answers_of(shares, np.zeros(3, int))).any()


def test_likely_wrong__names_no_image_whose_label_is_predicted(rng):
    shares, labels = planted(rng, 200, 3)
    listed = likely_wrong(answers_of(shares, labels))
    assert listed.any() and (shares[listed].argmax(1) != labels[listed]).all()
    order = rng.permutation(200)
    assert_array_equal(likely_wrong(answers_of(shares[order], labels[order])), listed[order])


def slow_probability_wrong(shares: np.ndarray, labels: np.ndarray) -> list[float]:
    """docs/method.md 2.9, in loops."""
    n_classes = shares.shape[1]
    joint = slow_joint(shares, labels)
    for c in range(n_classes):
        joint[c, c] = max(joint[c, c], 1)
    joint = calibrate_confident_joint(np.asfortranarray(joint), labels)  # as `compute_confident_joint` has it
    rates = [[joint[y, c] / sum(joint[:, c]) for c in range(n_classes)] for y in range(n_classes)]
    total = [sum(rates[y][c] for y in range(n_classes) if y != c) for c in range(n_classes)]
    r = sum(total) / n_classes
    found = []
    for row, y in zip(shares, labels, strict=True):
        a = sum(r * rates[y][c] / total[c] * row[c] for c in range(n_classes) if c != y and total[c])
        found.append(a / (a + (1 - r) * row[y]))
    return found


def test_probability_wrong__matches_loop(rng):
    shares, labels = planted(rng, 240, 5)
    found = probability_wrong(answers_of(shares, labels))
    assert_allclose(found, slow_probability_wrong(shares, labels), rtol=1e-9)
    assert found.min() >= 0 and found.max() <= 1


def test_probability_wrong__by_hand():
    # Counts: of label 0 two for class 0 and one for class 1, of label 1 two for class 1. r = (0 + 1/3) / 2.
    shares = np.array([[0.9, 0.1], [0.95, 0.05], [0.15, 0.85], [0.0, 1.0], [0.4, 0.6]])
    labels = np.array([0, 0, 0, 1, 1])
    answers = answers_of(shares, labels)
    assert confident_joint(answers).tolist() == [[2, 1], [0, 1]]
    found = probability_wrong(answers)
    joint = calibrate_confident_joint(np.array([[2, 1], [0, 1]]), labels)
    assert joint.tolist() == [[2, 1], [0, 2]]
    r = (0 + 1 / 3) / 2
    assert_allclose(found[2], r * 0.85 / (r * 0.85 + (1 - r) * 0.15))
    assert found[3] == 0 and found[4] == 0  # no image of class 0 is labelled 1
    assert not probability_wrong(answers_of(np.ones((3, 1)), np.zeros(3, int))).any()
