from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from core.charts.errors_found import apply_cutoff, reachable_percent, threshold_for, tie_sentence
from tests.sentences import numbers

VALUES = np.array([0.1, 0.2, 0.2, 0.3, 0.4, 0.5, np.nan])
CORRECT = np.array([0, 1, 0, 1, 1, 1, 0])


def test_apply_cutoff__by_hand():
    result = apply_cutoff(VALUES, CORRECT, 0.2)
    assert (result.n_images, result.n_errors, result.n_flagged, result.n_caught) == (6, 2, 3, 2)
    assert_allclose([result.flagged, result.caught, result.precision], [50, 100, 200 / 3])


def test_apply_cutoff__nothing_flagged_and_everything_flagged():
    nothing, everything = apply_cutoff(VALUES, CORRECT, 0.0), apply_cutoff(VALUES, CORRECT, 1.0)
    assert nothing.n_flagged == 0 and np.isnan(nothing.precision)
    assert everything.flagged == 100


def test_threshold_for__flags_the_percent_asked_for(rng):
    values = rng.random(1000)
    for percent in (0, 1, 25, 100):
        assert (values <= threshold_for(values, percent)).mean() * 100 == percent
    assert threshold_for(np.array([0.0, 0.0, 1.0]), 34) == 0.0  # a tie is flagged whole
    assert np.isnan(threshold_for(np.array([np.nan]), 10))


def test_reachable_percent__what_equal_scores_allow(rng):
    values = np.concatenate([np.zeros(384), rng.random(616)])
    for asked in (1, 10, 37, 38):
        assert reachable_percent(values, asked) == 38
        assert threshold_for(values, 38) == 0.0
    assert [reachable_percent(values, asked) for asked in (0, 39, 80, 100)] == [0, 39, 80, 100]
    whole = rng.integers(0, 5, 1000)
    for asked in range(101):
        reached = reachable_percent(whole, asked)
        assert threshold_for(whole, reached) == threshold_for(whole, asked)
        flagged = 100 * (whole <= threshold_for(whole, asked)).mean()
        assert reached <= flagged < reached + 1 or not asked
    assert reachable_percent(np.array([np.nan]), 10) == 10


def test_tie_sentence__names_the_images_that_stay_together(rng):
    values = np.concatenate([np.zeros(384), rng.random(616)])
    assert numbers(tie_sentence(values, 0.0)) == ["384"]
    assert tie_sentence(values, float(np.sort(values)[700])) == ""
    assert numbers(tie_sentence(np.repeat([1.0, 2.0], 50), 2.0)) == ["50", "2"]
    assert tie_sentence(np.array([np.nan]), np.nan) == ""
