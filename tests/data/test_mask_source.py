from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, ImageOps

from core.data.mask_source import upright
from core.errors import UnreadableImage

STORED = np.random.default_rng(0).random((6, 9)).astype(np.float32)


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
def test_upright__as_the_picture_was_turned(turn):
    picture = Image.fromarray(STORED)
    picture.getexif()[0x0112] = turn
    assert_array_equal(upright(STORED, (6, 9), lambda: turn), ImageOps.exif_transpose(picture))
    assert_array_equal(upright(STORED, (60, 90), lambda: turn), ImageOps.exif_transpose(picture))


@pytest.mark.parametrize("turn", [1, 2, 3, 4])
def test_upright__exchanged_sides_without_a_reason_are_refused(turn):
    with pytest.raises(UnreadableImage, match="9 x 6 pixels and its picture 6 x 9"):
        upright(STORED, (6, 9), lambda: turn)


@pytest.mark.parametrize("size", [(9, 6), (90, 60), (8, 8), (91, 60)])
def test_upright__others_stay(size):
    def never() -> int:
        raise AssertionError

    assert upright(STORED, size, never) is STORED
