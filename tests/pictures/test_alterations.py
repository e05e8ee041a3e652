"""Altered pictures against loops over pixels, written from docs/method.md 5.4."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.errors import ShapeError
from core.pictures.alterations import (
    ALTERATIONS,
    BLUR,
    LEAST_WEIGHT,
    REACH,
    alike_in_area,
    alterations,
    blurred_within,
    fill_colour,
)

FILL = np.array([120, 110, 100], np.uint8)
ROUNDING = 1  # level of 256: a sum in another order may round to the other side


def blurred_by_loop(picture: np.ndarray, region: np.ndarray) -> np.ndarray:
    height, width = region.shape
    deviation = BLUR * min(height, width)
    reach = math.ceil(REACH * deviation)

    def bell(distance: int) -> float:
        return math.exp(-0.5 * (distance / deviation) ** 2)

    norm = sum(bell(step) for step in range(-reach, reach + 1)) ** 2
    found = np.zeros(picture.shape)
    for y in range(height):
        for x in range(width):
            total, weight = np.zeros(3), 0.0
            for v in range(max(0, y - reach), min(height, y + reach + 1)):
                for u in range(max(0, x - reach), min(width, x + reach + 1)):
                    if region[v, u]:
                        g = bell(v - y) * bell(u - x) / norm
                        total += g * picture[v, u]
                        weight += g
            near = weight >= LEAST_WEIGHT
            found[y, x] = total / weight if near else picture[region].astype(float).mean(0)
    return found


def altered_by_loop(picture, mask, other_mask, fill) -> dict[str, np.ndarray]:
    own_back, own_object = blurred_by_loop(picture, ~mask), blurred_by_loop(picture, mask)
    found = {name: np.zeros(picture.shape) for name in ALTERATIONS}
    for at in np.ndindex(mask.shape):
        here, other = mask[at], other_mask[at]
        found["background blurred"][at] = picture[at] if here else own_back[at]
        found["object blurred"][at] = own_object[at] if here else picture[at]
        found["background removed"][at] = picture[at] if here else fill
        found["object removed"][at] = fill if here else picture[at]
        found["background removed, other mask"][at] = picture[at] if other else fill
        found["object removed, other mask"][at] = fill if other else picture[at]
    return found


def some_pictures(rng, height: int, width: int):
    picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    masks = [rng.random((height, width)) < share for share in (0.3, 0.2)]
    masks[0][: height // 2] = False  # a background wider than the blur reaches
    masks[0][-1, 0] = True
    return picture, masks


@pytest.mark.parametrize("sides", [(3, 4), (9, 9), (12, 16)], ids=str)
def test_alterations__match_loops_over_pixels(rng, sides):
    picture, (mask, other) = some_pictures(rng, *sides)
    found = alterations(picture, mask, other_mask=other, fill=FILL)
    expected = altered_by_loop(picture, mask, other, FILL)
    assert found.dtype == np.uint8 and len(found) == len(ALTERATIONS) == len(expected)
    for name, image in zip(ALTERATIONS, found, strict=True):
        assert_allclose(image, expected[name], atol=ROUNDING, err_msg=name)


def test_alterations__touch_only_their_half(rng):
    picture, (mask, other) = some_pictures(rng, 16, 16)
    made = alterations(picture, mask, other_mask=other, fill=FILL)
    named = dict(zip(ALTERATIONS, made, strict=True))
    for name, image in named.items():
        if name.startswith("background") and "other" not in name:
            assert_array_equal(image[mask], picture[mask], err_msg=name)
        if name in ("object blurred", "object removed"):
            assert_array_equal(image[~mask], picture[~mask], err_msg=name)
    assert (named["background removed"][~mask] == FILL).all()


def test_blurred_within__nothing_leaks_in_from_beside_the_region():
    """A red object on a blue ground: the blurred ground is exactly as blue, the blurred object as red."""
    mask = np.zeros((20, 20), bool)
    mask[6:14, 6:14] = True
    picture = np.where(mask[..., None], np.array([255, 0, 0]), np.array([0, 0, 200])).astype(np.uint8)
    assert (blurred_within(picture, ~mask) == [0, 0, 200]).all()
    assert (blurred_within(picture, mask) == [255, 0, 0]).all()  # also far away: the region's mean


def test_blurred_within__keeps_no_stripes(rng):
    stripes = np.zeros((40, 40, 3), np.uint8)
    stripes[:, ::2] = 200
    found = blurred_within(stripes, np.ones((40, 40), bool)).astype(float)
    assert np.ptp(found[8:-8, 8:-8]) <= 2 and abs(found.mean() - 100) < 6


@pytest.mark.parametrize("share", [0, 1])
def test_blurred_within__empty_and_full_region(share, rng):
    picture = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    region = np.full((8, 8), bool(share))
    found = blurred_within(picture, region)
    expected = blurred_by_loop(picture, region) if share else picture
    assert_allclose(found, expected, atol=ROUNDING)


def test_fill_colour__is_what_the_normalisation_takes_to_0():
    assert fill_colour((0.485, 0.456, 0.0)).tolist() == [124, 116, 0]
    assert fill_colour((1.5, -0.5, 1.0)).tolist() == [255, 0, 255]


def test_alterations__other_shapes(rng):
    picture, masks = some_pictures(rng, 8, 8)
    with pytest.raises(ShapeError, match=r"picture.*\(8.*8.*3\)"):
        alterations(picture, masks[0], other_mask=masks[1][:, :7], fill=FILL)


@pytest.mark.parametrize("n", [2, 3, 8, 31])
def test_alike_in_area__the_nearest_in_area_and_never_the_own(rng, n):
    areas = rng.integers(1, 9, n)
    found = alike_in_area(areas, rng)
    assert (found != np.arange(n)).all()
    gaps = [abs(int(areas[found[i]]) - int(areas[i])) for i in range(n)]
    assert max(gaps) <= max(np.diff(np.sort(areas)))


def test_alike_in_area__ties_go_by_the_seed():
    areas = np.full(50, 7)
    first, again, other = (alike_in_area(areas, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()
