"""AUGRC's interval: against loops over pairs, against a bootstrap, by hand, and where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.common.statistics.generalised_risk import interval_of_augrc
from core.common.statistics.intervals import Z
from core.common.statistics.placements import spreads
from core.measures import metrics


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
    half = Z * (sum((value - mean) ** 2 for value in g) / (n - 1) / n) ** 0.5
    return area, max(0.0, area - half), min(0.5, area + half)


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
    assert_allclose([area - low, high - area], Z * draws.std(ddof=1), rtol=0.15)


def test_interval__by_hand():
    """Correct at 2 and 4, wrong at 1 and 3: 0.5 of 4 images below the first error, 2.5 below the other."""
    score, correct = np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, True, False, True])
    g = [0.25 * 0.5 + 0.25 * 1.5, 0.25, 0.25 * 2.5 + 0.25 * 0.5, 0.0]
    assert Z * np.std(g, ddof=1) / 2 > 5 / 16  # so the bounds are those of AUGRC
    assert interval_of_augrc(*spreads(score, correct)) == pytest.approx((3 / 16, 0.0, 0.5))


def test_interval__undefined():
    some = np.array([0.1, 0.2, 0.3])
    assert np.isnan(interval_of_augrc(*spreads(some, np.ones(3, bool)))).all()
    assert np.isnan(interval_of_augrc(*spreads(some, np.zeros(3, bool)))).all()
    area, low, high = interval_of_augrc(*spreads(some, np.array([True, False, True])))
    assert area == pytest.approx(1.5 / 9) and np.isnan([low, high]).all()
