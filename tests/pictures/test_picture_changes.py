"""The changes of a picture that trials make."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.encoders.grey import LUMA
from core.encoders.transform import Transform
from core.pictures.picture_changes import (
    AS_IT_IS,
    BOTH,
    EQUALISED,
    IMPROVED,
    NEUTRAL,
    OTHER_REPLACED,
    REPLACED,
    SHARPENED,
    TURNS,
    VIEWS,
    WHOLE,
    Improvement,
    changed_views,
    equalised,
    neutral_views,
    sharpened,
    whole_picture,
)

SQUARE = Transform(resize=32, input_size=32)


@pytest.fixture
def view(rng) -> np.ndarray:
    return rng.integers(60, 190, (32, 32, 3), dtype=np.uint8)


def of_luma(view: np.ndarray) -> np.ndarray:
    return view / 255 @ np.array(LUMA)


def test_neutral_views__by_hand(view):
    views = neutral_views(view)
    assert tuple(views) == NEUTRAL and all(one.shape == view.shape for one in views.values())
    assert_array_equal(views["mirrored"], view[:, ::-1])
    assert_array_equal(views["shifted"][:, 4:], view[:, :-4])
    assert_array_equal(views["shifted"][:, :4], np.repeat(view[:, :1], 4, 1))
    assert_array_equal(views["gamma"], np.rint(255 * (view / 255.0) ** 1.1).astype(np.uint8))
    flat = np.full((32, 32, 3), 77, np.uint8)
    assert_array_equal(neutral_views(flat)["zoomed"], flat)
    smooth = np.broadcast_to(np.linspace(0, 255, 32)[None, :, None], view.shape).astype(np.uint8)
    jpeg = neutral_views(smooth)["as JPEG"].astype(int)
    assert 0 < np.abs(jpeg - smooth).mean() < 6


def test_whole_picture__is_padded_with_its_mean_colour():
    picture = Image.new("RGB", (64, 32), (10, 20, 30))
    picture.paste((50, 60, 70), (32, 0, 64, 32))
    shown = whole_picture(picture, SQUARE)
    assert shown is not None and shown.shape == (32, 32, 3)
    assert_array_equal(shown[0, 0], (30, 40, 50))  # the mean of both halves
    assert_array_equal(shown[16, 1], (10, 20, 30))
    assert_array_equal(shown[16, 30], (50, 60, 70))
    assert whole_picture(Image.new("RGB", (32, 32)), SQUARE) is None
    assert whole_picture(Image.new("RGB", (90, 40)), Transform(None, 32, crop="squash")) is None


def test_equalised__has_the_mean_and_deviation_that_are_asked_for(view):
    made = of_luma(equalised(view, 0.5, 0.1))
    assert_allclose([made.mean(), made.std()], [0.5, 0.1], atol=2e-3)
    dark = np.rint(view * 0.4).astype(np.uint8)
    assert_allclose(
        of_luma(equalised(dark, of_luma(view).mean(), None)).mean(), of_luma(view).mean(), atol=4e-3
    )
    assert np.abs(equalised(dark, of_luma(view).mean(), None).astype(int) - view).max() <= 3  # it is undone
    flatter = of_luma(equalised(view, None, 0.02))
    assert_allclose([flatter.mean(), flatter.std()], [of_luma(view).mean(), 0.02], atol=2e-3)


@pytest.mark.parametrize("value", [0, 130])
def test_equalised__leaves_a_flat_picture_finite(value):
    flat = np.full((8, 8, 3), value, np.uint8)
    assert_array_equal(equalised(flat, None, 0.2), flat)
    assert np.unique(equalised(flat, 0.5, None)).size == 1


def test_sharpened__has_steeper_edges():
    edge = np.full((32, 32, 3), 100, np.uint8)
    edge[:, 16:] = 140
    made = sharpened(edge).astype(int)
    assert made.min() < 100 and made.max() > 140


def test_changed_views__only_what_a_picture_allows(view, rng):
    picture = Image.fromarray(view)
    plain = changed_views(picture, SQUARE, Improvement())
    assert set(plain) == {AS_IT_IS, *NEUTRAL, *TURNS.values()}
    assert_array_equal(plain[TURNS[90]], np.rot90(view))
    assert_array_equal(plain[TURNS[180]], np.rot90(view, 2))
    mask = np.zeros((32, 32), bool)
    mask[:9] = True
    fill = np.array([1, 2, 3], np.uint8)
    wide = Image.fromarray(np.concatenate([view, view], 1))
    views = changed_views(wide, SQUARE, Improvement(0.5, None, True), mask, mask[::-1], fill)
    assert set(views) == set(VIEWS) and len(VIEWS) <= 25
    assert_array_equal(views[REPLACED][:9], views[AS_IT_IS][:9])
    assert (views[REPLACED][9:] == fill).all() and (views[OTHER_REPLACED][:23] == fill).all()
    assert_array_equal(views[BOTH], sharpened(views[EQUALISED]))
    assert set(changed_views(wide, SQUARE, Improvement(sharpen=True))) & set(IMPROVED) == {SHARPENED}
    assert WHOLE in views
