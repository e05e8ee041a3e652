from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from core.errors import ShapeError
from core.study.overlay_image import LEAST_SIDE, feature_crop, square_around
from tests.concepts.reference_concepts import feature_crop as reference_crop

HEAT = st.floats(0, 1) | st.sampled_from([0.0, 0.6, 1.0, np.nan])
SIZES = array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(
    heat=arrays(np.float64, SIZES, elements=HEAT, fill=st.nothing()),
    threshold=st.sampled_from([0.2, 0.6, 0.9]),
)
def test_feature_crop__matches_flood_fill(heat, threshold):
    assert feature_crop(heat, threshold) == reference_crop(heat, threshold)


def test_feature_crop__by_hand():
    heat = np.zeros((6, 8))
    heat[1:3, 2:6] = 0.6  # 8 pixels, at the threshold
    heat[3, 6] = 1.0  # touches by a corner only
    heat[5, :3] = 0.9  # a smaller region
    heat[4, 0:2] = np.nan
    assert feature_crop(heat) == (2, 1, 6, 3)


def test_feature_crop__without_heat():
    assert feature_crop(np.zeros((4, 4))) is None
    assert feature_crop(np.full((4, 4), np.nan)) is None
    with pytest.raises(ShapeError, match="heatmap"):
        feature_crop(np.zeros(4))


def test_square_around__by_hand():
    assert square_around((40, 50, 90, 70), 200, 100) == (35, 30, 95, 90)  # 1.2 x 50, round (65, 60)
    assert square_around((0, 0, 2, 2), 200, 100) == (0, 0, 40, 40)  # 0.4 of the shorter side, moved inside
    assert square_around((150, 0, 200, 100), 200, 100) == (100, 0, 200, 100)  # no larger than the picture


@given(
    width=st.integers(1, 60), height=st.integers(1, 60), ends=st.tuples(*[st.floats(0, 1) for _ in range(4)])
)
def test_square_around__lies_inside(width, height, ends):
    left, right = sorted((round(ends[0] * (width - 1)), round(ends[1] * (width - 1))))
    top, bottom = sorted((round(ends[2] * (height - 1)), round(ends[3] * (height - 1))))
    x, y, right_end, lower_end = square_around((left, top, right + 1, bottom + 1), width, height)
    assert right_end - x == lower_end - y >= LEAST_SIDE * min(width, height) - 0.5
    assert x >= 0 and right_end <= width and y >= 0 and lower_end <= height
