"""The rule by which a trial explains an error, against loops written from its text."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.errors import ShapeError
from core.measures.causes import HOLDS, LEAST_ALIKE, NOT_TRIED, REFERENCE, REFUTED, TOO_FEW, n_alike
from core.pictures.trial_outcomes import Trial, trial_outcomes, usual_bound
from tests import reference


@pytest.mark.parametrize(("n_reference", "with_lead"), [(12, False), (40, True), (350, False), (350, True)])
def test_trial_outcomes__matches_loop(rng, n_reference, with_lead):
    n = n_reference + 120
    gain, gaps = rng.normal(1, 2, n), -rng.gamma(1, 3, n)
    gaps = np.round(gaps, 1)  # with ties
    gain[rng.random(n) < 0.1] = np.nan
    neutral = rng.normal(0, 1, (n, 5))
    answered = rng.random(n) < 0.7
    lead = rng.gamma(1, 1, n) if with_lead else None
    is_reference = np.zeros(n, bool)
    is_reference[rng.permutation(n)[:n_reference]] = True
    gain[~is_reference] += 3
    if lead is not None:
        lead[~is_reference] += 3
    n_like = n_alike(n_reference)

    outcome, bound = trial_outcomes(Trial(gain, answered, neutral.max(1), lead), gaps, is_reference, n_like)

    rows = [row for row in np.flatnonzero(is_reference) if not np.isnan(gain[row])]
    leads = [None] * n if lead is None else lead.tolist()
    right = [(gaps[row], gain[row], leads[row]) for row in rows]
    for row in np.flatnonzero(~is_reference).tolist():
        parts = gain[row], bool(answered[row]), neutral[row].tolist(), leads[row]
        assert outcome[row] == reference.trial_outcome(*parts, gaps[row], right, n_like)
        values, of_right = [one[1] for one in right], [one[0] for one in right]
        expected = reference.usual_bound(values, of_right, gaps[row], n_like)
        assert_allclose(bound[row], np.nan if np.isnan(gain[row]) else expected)
    assert set(outcome[is_reference]) == {REFERENCE} and np.isnan(bound[is_reference]).all()
    assert {HOLDS, REFUTED, NOT_TRIED} <= set(outcome) or n_reference < LEAST_ALIKE


def test_usual_bound__by_hand():
    values, gaps = np.arange(1.0, 31.0), -np.arange(30.0)
    # 30 values: place .95 * 31 = 29.45, so 29 + .45 of the way to 30
    assert_allclose(usual_bound(values, gaps, np.array([-3.0, -90.0]), 30), [29.45, 29.45])
    # of the 31 first of 60 by |gap|, of which the largest is 31: place .95 * 32 = 30.4
    both = np.concatenate([values, values + 30])
    near = usual_bound(both, np.concatenate([gaps, gaps - 100]), np.array([0.0]), 31)
    assert_allclose(near, [30.4 if both[30] == 31 else np.nan])


def test_usual_bound__undefined_with_fewer_than_30_and_refuses_what_does_not_fit():
    assert np.isnan(usual_bound(np.ones(29), np.ones(29), np.zeros(2), 30)).all()
    assert usual_bound(np.ones(30), np.ones(30), np.zeros(0), 30).shape == (0,)
    with pytest.raises(ShapeError, match="gaps"):
        usual_bound(np.ones(30), np.ones(31), np.zeros(2), 30)


def test_usual_bound__is_exceeded_by_one_in_twenty(rng):
    values, gaps = rng.normal(size=(2, 800))
    others, at = rng.normal(size=(2, 600))
    for n in (30, 80):
        bound = usual_bound(values, gaps, at, n)
        assert np.mean(others > bound) == pytest.approx(0.05, abs=0.025)


def outcomes_of(**changed):
    """The outcome on one image that the rule explains, but for what is changed."""
    n = changed.pop("n_right", 30)
    case = {"gain": 5.0, "answered": True, "control": 4.0, "lead": 2.0, "of_right": 1.0} | changed
    gain = np.array([case["gain"], *[case["of_right"]] * n])
    lead = np.array([case["lead"], *[1.0] * n])
    control = np.array([case["control"], *[9.0] * n])
    trial = Trial(gain, np.array([case["answered"], *[False] * n]), control, lead)
    gaps = np.full(n + 1, -2.0)
    return trial_outcomes(trial, gaps, np.arange(n + 1) > 0, 30)[0][0]


def test_trial_outcomes__each_condition_is_needed():
    assert outcomes_of() == HOLDS
    assert outcomes_of(answered=False) == REFUTED
    assert outcomes_of(control=5.0) == REFUTED  # not larger
    assert outcomes_of(of_right=5.0) == REFUTED
    assert outcomes_of(lead=1.0) == REFUTED
    assert outcomes_of(gain=np.nan) == NOT_TRIED
    assert outcomes_of(n_right=29) == TOO_FEW
    assert outcomes_of(n_right=29, answered=False) == REFUTED  # it is known without them


def test_trial_outcomes__does_not_depend_on_the_order_of_images(rng):
    n = 200
    gain, gaps = rng.normal(size=(2, n))
    control, is_reference = rng.normal(size=n), np.arange(n) < 80
    trial = Trial(gain, np.ones(n, bool), control)
    outcome, bound = trial_outcomes(trial, gaps, is_reference, 30)
    order = rng.permutation(n)
    turned = Trial(gain[order], np.ones(n, bool), control[order])
    again, bounds = trial_outcomes(turned, gaps[order], is_reference[order], 30)
    assert_array_equal(again, outcome[order])
    assert_allclose(bounds, bound[order])
