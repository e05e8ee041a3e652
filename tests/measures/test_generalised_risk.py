"""AUGRC's interval: against loops over pairs, against a bootstrap, by hand, and where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.measures import metrics
from core.measures.intervals import Z, interval_of_augrc
from core.measures.placements import spreads
from tests.reference_scores import logit_interval


def augrc_by_loop(score, correct):
    """The mean over pairs (i, j) of 'i is wrong and not better than j', and twice its share of each image."""
    n = len(score)
    pair = [
        [
            (not correct[i]) * (1.0 if score[j] < score[i] else 0.5 if score[j] == score[i] else 0.0)
            for j in range(n)
        ]
        for i in range(n)
    ]
    area = sum(map(sum, pair)) / n**2
    g = [sum(pair[i]) / n + sum(pair[j][i] for j in range(n)) / n for i in range(n)]
    mean = sum(g) / n
    error = (sum((value - mean) ** 2 for value in g) / (n - 1) / n) ** 0.5
    low, high = logit_interval(2 * area, 2 * error, n)
    return area, low / 2, high / 2


@pytest.mark.parametrize("share", [0.15, 0.5, 0.9])
def test_interval__matches_loop(rng, share):
    score = rng.integers(0, 12, 70).astype(float)
    correct = rng.random(70) < share * (0.7 + 0.05 * score)
    interval = interval_of_augrc(*spreads(score, correct))
    assert_allclose(interval, augrc_by_loop(score, correct), rtol=1e-10)
    assert_allclose(interval[0], metrics.augrc(score, correct), rtol=1e-10)


def test_interval__is_that_of_a_bootstrap(rng):
    score = rng.normal(size=800)
    correct = rng.random(800) < 1 / (1 + np.exp(-score - 1))
    area, low, high = interval_of_augrc(*spreads(score, correct))
    draws = metrics.bootstrap_metrics([metrics.rank(score, correct)], 800, resamples=300, seed=0)[:, 0, 4]
    assert low < area < high and (high - low) / 2 == pytest.approx(Z * draws.std(ddof=1), rel=0.15)


def test_interval__by_hand():
    """Correct at 2 and 4, wrong at 1 and 3: 0.5 of 4 images below the first error, 2.5 below the other."""
    score, correct = np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True])
    g = [0.25 * 0.5 + 0.25 * 1.5, 0.25, 0.25 * 2.5 + 0.25 * 0.5, 0.0]
    half = 3.182446 * np.std(g, ddof=1) / (3 / 8 * 5 / 8)  # t of 3 degrees of freedom, 2 AUGRC = 3/8
    odds = 3 / 5 * np.exp([-half, half])
    ends = odds / (1 + odds) / 2
    assert interval_of_augrc(*spreads(score, correct)) == pytest.approx((3 / 16, *ends), rel=1e-6)


def test_interval__undefined():
    some = np.array([0.1, 0.2, 0.3])
    assert np.isnan(interval_of_augrc(*spreads(some, np.ones(3, bool)))).all()
    assert np.isnan(interval_of_augrc(*spreads(some, np.zeros(3, bool)))).all()
    area, low, high = interval_of_augrc(*spreads(some, np.array([True, False, True])))
    assert area == pytest.approx(1.5 / 9) and np.isnan([low, high]).all()
