"""What the comparison of kept maps with those of a pass of their own counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.measure_maps import SAME, Differences, differences
from core.study.stored_heatmaps import pack_maps


class Maps:
    """One image with two maps of 2 x 2 positions, as a study reads them."""

    heatmap_reader = property(lambda self: self)

    def __init__(self, maps):
        self.stored = pack_maps(np.arange(len(maps)), maps)

    def vector(self, name):
        return {"heatmap_rows": np.array([0]), "heatmap_peaks": self.stored.peaks}.get(name, np.zeros(1))

    def features_of(self, row):
        return self.stored.features

    def maps(self, row, features):
        return self.stored.restored()[features], self.stored.peaks


def test_differences__of_one_value_in_eight():
    maps = np.array([[[0, 1], [2, 4.0]], [[0, 0], [0, 8.0]]])
    moved = maps.copy()
    moved[0, 0, 1] = 2
    moved[1] *= 1.5
    one: Any = Maps(maps)
    other: Any = Maps(moved)
    *exact, peaks = differences(one, other)
    assert exact == [1, 2, 0.25, 0.125] and peaks == pytest.approx(1 / 3)
    assert differences(one, one) == Differences(1, 2, 0, 0, 0)


def test_differences__of_other_maps_are_none():
    one: Any = Maps(np.ones((1, 2, 2)))
    other: Any = Maps(np.ones((1, 2, 2)))
    other.vector = lambda name: np.ones(1) if name == SAME[3] else np.zeros(1)
    with pytest.raises(AssertionError, match=SAME[3]):
        differences(one, other)
