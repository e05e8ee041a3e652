"""Object preference, against a loop over images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from core.measures.overlap import object_preference
from tests.measures.worlds import make_world


def test_object_preference__matches_loop(tmp_path, rng):
    world = make_world(tmp_path / "study")
    mask = world.mask(rng, 0.6)
    each = []
    for row in np.flatnonzero(mask):
        if world.masked[row, 0] and np.isfinite(world.values[row, 0]):
            each.append(world.values[row, 0] - 0.25)  # the share of heat, and the area of every mask
    found = object_preference(world.study, mask)
    ends = stats.t.interval(0.95, len(each) - 1, np.mean(each), stats.sem(each))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(each), *ends))
    assert found.n == len(each)


def test_object_preference__is_not_defined_without_masks(tmp_path):
    world = make_world(tmp_path / "study")
    found = object_preference(world.study, ~world.masked[:, 0])
    assert np.isnan(found.value) and found.n == 0
