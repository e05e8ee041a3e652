"""Labels on a picture: none covers another, and each stands where it would rather, if it can."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.research.visual_tokens_scene_graph import Label, free_places, nearest_in, shared_area

SIZE = (400.0, 400.0)
labels = st.builds(
    lambda width, height, x, y: Label(width, height, ((x, y),)),
    st.floats(10, 60), st.floats(8, 16), st.floats(-50, 450), st.floats(-50, 450),
)  # fmt: skip


@given(st.lists(labels, max_size=8))
def test_free_places__no_label_covers_another_or_leaves_the_picture(found):
    boxes = [one.box(place) for one, place in zip(found, free_places(found, SIZE), strict=True)]
    assert all(shared_area(one, other) == 0 for one, other in combinations(boxes, 2))
    assert all(min(box[:2]) >= 0 and box[2] <= 400.001 and box[3] <= 400.001 for box in boxes)


def test_free_places__the_first_place_that_is_free():
    first = Label(50, 10, ((10, 10),))
    second = Label(50, 10, ((20, 15), (20, 21), (200, 200)))
    assert free_places([first, second], SIZE) == [(10, 10), (20, 21)]
    alone = Label(50, 10, ((20, 15),))
    place = free_places([first, alone], SIZE)[1]
    assert place != (20, 15) and shared_area(first.box((10, 10)), alone.box(place)) == 0
    assert abs(place[0] - 20) + abs(place[1] - 15) <= 30  # near by


def test_free_places__a_full_picture_covers_least():
    found = free_places([Label(100, 10, ((0, 0),))] * 3, (100, 20))
    assert found == [(0, 0), (0, pytest.approx(10)), (0, 0)]


@pytest.mark.parametrize(("point", "near"), [((5, 5), (5, 5)), ((-3, 20), (0, 10)), ((4, -1), (4, 0))])
def test_nearest_in(point, near):
    assert nearest_in((0, 0, 10, 10), point) == near
