"""Overlaps of heatmaps with masks, against pixel loops and against cases done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis.iou import Lift, heat_lift, mask_preference, overlap_scores, overlap_sweep
from core.errors import ShapeError
from core.measures.image_columns import VARIANTS
from tests import reference

THRESHOLDS = [0.0, 0.25, 0.5, 0.55, 0.9, 1.0]


def some_pairs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps and masks in float32 with every undefined case, values on the thresholds, and faint masks."""
    heat, mask = rng.random((12, 9, 5)).astype(np.float32), rng.random((12, 9, 5)).astype(np.float32)
    heat[0], mask[1] = 0.0, 0.0
    mask[2] *= 0.49  # nothing of it reaches the region
    heat[3] = np.round(heat[3] * 4) / 4
    heat[4] *= 0.1  # nowhere above most thresholds
    mask[5] = mask[5] > 0.5
    heat[6, :, :3], mask[6, :, 3:] = 0.0, 0.0  # apart
    heat[7] = mask[7] = mask[7] > 0.7
    return heat, mask


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_overlap_scores__match_loop(rng, threshold):
    heat, mask = some_pairs(rng)
    found = overlap_scores(heat, mask, threshold=threshold)
    expected = [reference.overlap(g, m, threshold) for g, m in zip(heat, mask, strict=True)]
    for variant in VARIANTS:
        assert_allclose(found[variant], [image[variant] for image in expected], rtol=1e-12, err_msg=variant)


def test_overlap_sweep__matches_loop(rng):
    heat, mask = some_pairs(rng)
    found = overlap_sweep(heat, mask, THRESHOLDS)
    for position, threshold in enumerate(THRESHOLDS):
        expected = [reference.overlap(g, m, threshold) for g, m in zip(heat, mask, strict=True)]
        for variant in ("paper", "binary"):
            values = [image[variant] for image in expected]
            assert_allclose(found[variant][:, position], values, rtol=1e-12, err_msg=f"{variant} {threshold}")


def test_overlap_scores__by_hand():
    heat = np.array([[[1.0, 0.5], [0.25, 0.25]]])
    mask = np.array([[[1.0, 0.0], [0.5, 0.25]]])
    # R = {1, .5}, B = {1, .25 (mask .5)}: shared heat 1 of 1 + .5 + .25; 1 of 3 pixels
    # min: 1 + 0 + .25 + .25 = 1.5, max: 1 + .5 + .5 + .25 = 2.25; product: 1 + .125 + .0625 of 2
    found = overlap_scores(heat, mask)
    assert_allclose(found["paper"], [1 / 1.75])
    assert_allclose(found["binary"], [1 / 3])
    assert_allclose(found["soft"], [1.5 / 2.25])
    assert_allclose(found["energy"], [1.1875 / 2])


def test_overlap_scores__undefined_without_heat_or_mask():
    blank, full, faint = np.zeros((4, 4)), np.ones((4, 4)), np.full((4, 4), 0.3)
    found = overlap_scores(np.stack([blank, full, full]), np.stack([full, blank, faint]))
    assert_array_equal(found["paper"], [np.nan, np.nan, np.nan])
    assert_array_equal(found["binary"], [np.nan, np.nan, np.nan])
    assert_allclose(found["soft"], [np.nan, np.nan, 0.3])
    assert_allclose(found["energy"], [np.nan, np.nan, 0.3])


def test_overlap_scores__perfect_opposite_and_uniform(rng):
    mask = (rng.random((5, 8, 8)) < 0.4).astype(np.float32)
    perfect, opposite = overlap_scores(mask, mask), overlap_scores(1 - mask, mask)
    uniform = overlap_scores(np.ones_like(mask), mask)
    for variant in VARIANTS:
        assert_array_equal(perfect[variant], 1.0)
        assert_array_equal(opposite[variant], 0.0)
        assert_allclose(uniform[variant], mask.mean((1, 2)), rtol=1e-6)  # nothing but the mask's area


def test_overlap_scores__order_of_images_and_of_pixels_do_not_matter(rng):
    heat, mask = some_pairs(rng)
    found = overlap_scores(heat, mask)
    images, pixels = rng.permutation(len(heat)), rng.permutation(9 * 5)
    mixed = [part.reshape(-1, 45)[images][:, pixels].reshape(-1, 9, 5) for part in (heat, mask)]
    for variant, values in overlap_scores(*mixed).items():
        assert_allclose(values, found[variant][images], rtol=1e-12)


def test_overlap_scores__no_images():
    found = overlap_scores(np.empty((0, 4, 4)), np.empty((0, 4, 4)))
    assert [len(found[variant]) for variant in VARIANTS] == [0, 0, 0, 0]
    assert overlap_sweep(np.empty((0, 4, 4)), np.empty((0, 4, 4)), [0.5])["paper"].shape == (0, 1)


@pytest.mark.parametrize("shape", [(2, 4, 5), (2, 20), (3, 4, 4)], ids=str)
def test_overlap_scores__refuse_other_shapes(shape):
    with pytest.raises(ShapeError, match="must"):
        overlap_scores(np.ones((2, 4, 4)), np.ones(shape))


def test_overlap_sweep__refuses_unsorted_thresholds():
    with pytest.raises(ShapeError, match="ascending"):
        overlap_sweep(np.ones((1, 2, 2)), np.ones((1, 2, 2)), [0.5, 0.5])


def test_heat_lift__of_means_by_hand():
    energy, area = np.array([0.6, 0.2, np.nan]), np.array([0.2, 0.2, 0.9])
    lift = heat_lift(energy, area, resamples=500)
    assert_allclose(lift.value, 0.4 / 0.2)
    assert_allclose([lift.low, lift.high], [1.0, 3.0])  # one image twice
    assert lift.n == 2


def test_heat_lift__of_none_and_one():
    assert_array_equal(heat_lift(np.array([np.nan]), np.array([0.5])), [np.nan, np.nan, np.nan, 0])
    assert_array_equal(heat_lift(np.array([0.6]), np.array([0.5])), [1.2, np.nan, np.nan, 1])


def test_heat_lift__of_groups_draws_them_in_place_of_images(rng):
    energy, area = rng.uniform(0.2, 0.9, 30), rng.uniform(0.1, 0.5, 30)
    alone = heat_lift(energy, area, groups=np.arange(30))
    assert_allclose(alone, heat_lift(energy, area))
    five = np.repeat(energy, 5), np.repeat(area, 5)
    naive, grouped = heat_lift(*five), heat_lift(*five, groups=np.repeat(np.arange(30), 5))
    assert naive.value == grouped.value and naive.n == grouped.n == 150
    assert 1.8 < (grouped.high - grouped.low) / (naive.high - naive.low) < 2.8  # sqrt(5)
    assert_array_equal(heat_lift(energy, area, groups=np.zeros(30, int))[1:], [np.nan, np.nan, 30])


def test_heat_lift__large_mask_does_not_win_by_its_size(rng):
    """Uniform maps: nine tenths of the heat on the background, and a lift of 1 on both."""
    area = rng.uniform(0.05, 0.15, 50)
    core, ground = heat_lift(area, area), heat_lift(1 - area, 1 - area)
    assert_allclose([core.value, ground.value], 1.0)
    assert mask_preference(core, ground) == "undecided"


@pytest.mark.parametrize(
    ("core", "spurious", "expected"),
    [
        (Lift(3.0, 2.5, 3.5, 10), Lift(0.9, 0.8, 1.0, 10), "core"),
        (Lift(0.4, 0.3, 0.5, 10), Lift(1.3, 1.1, 1.5, 10), "spurious"),
        (Lift(3.0, 2.0, 4.0, 10), Lift(2.0, 1.5, 2.5, 10), "undecided"),  # the intervals overlap
        (Lift(0.8, 0.7, 0.9, 10), Lift(0.2, 0.1, 0.3, 10), "undecided"),  # looks at neither
        (Lift(3.0, 2.5, 3.5, 9), Lift(0.9, 0.8, 1.0, 90), "undecided"),  # too few images
        (Lift(3.0, 2.5, 3.5, 90), Lift(np.nan, np.nan, np.nan, 0), "undecided"),
    ],
)
def test_verdict(core, spurious, expected):
    assert mask_preference(core, spurious) == expected
