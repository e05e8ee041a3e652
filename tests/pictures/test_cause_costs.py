"""What finding out causes takes, against what the step draws."""

from __future__ import annotations

import pytest

from core.config import CausesConfig
from core.pictures.cause_words import (
    CHANGES,
    cost_of_all,
    cost_of_one,
    images_of_all,
    right_images_for_one,
    seconds_of_trials,
)
from core.study.speed import Speed


@pytest.mark.parametrize(("n_right", "expected"), [(0, 0), (18, 9), (100, 50), (400, 90), (10_000, 300)])
def test_one__compares_with_the_right_images_nearest_in_gap(n_right, expected):
    assert right_images_for_one(n_right) == expected  # of half of them, drawn from at most 2,000


def test_all__are_at_most_those_that_are_drawn():
    assert images_of_all(3000, 5, CausesConfig(errors=10)) == (10, 5)
    assert images_of_all(3, 5000) == (3, 2000)


def test_seconds__grow_with_images_and_are_unknown_without_a_time():
    speed = Speed(10.0, 64, 64, "cpu", 1, "x")
    seconds = [seconds_of_trials(n, speed) for n in (100, 200)]
    assert seconds[0] is not None and seconds[0] >= 100 * CHANGES * 0.01 and seconds[1] == 2 * seconds[0]
    assert seconds_of_trials(100, None) is None
    assert cost_of_one(90, 12.0).parts[0].parts[0].value == 12 and cost_of_one(90, None).parts == ()
    assert (cost_of_all(3, 90, None).n, cost_of_all(3, 90, None).of) == (3, 90)
