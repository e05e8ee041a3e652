"""Heatmaps as numbers and as pictures: the library's order, undoing the crop, colours, outlines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from core.encoders.transform import Transform
from core.errors import SettingsError, ShapeError
from core.study.heatmaps import COMBINATIONS, combine, place_on_image, resize_map, scale_map
from core.study.overlay_image import colour_table, draw_overlay, limited
from tests import reference

SINGLE = 1e-5  # float32 through a resize and two scalings


def some_maps(rng, k=4, side=5):
    """Unscaled maps of very different sizes, one of them flat, one zero."""
    maps = rng.gamma(0.5, size=(k, side, side)) * 10.0 ** rng.integers(-3, 2, (k, 1, 1))
    maps[-1] = 0.0
    maps[-2] = 0.7
    return maps


def in_own_units(raw):
    peaks = raw.max(axis=(1, 2))
    return raw / np.where(peaks > 0, peaks, 1)[:, None, None], peaks


def test_scale__hand_computed():
    scaled = scale_map(np.array([[[1.0, 2.0], [3.0, 5.0]], [[4.0, 4.0], [4.0, 4.0]]]))
    assert_allclose(scaled, [[[0, 0.25], [0.5, 1]], [[0, 0], [0, 0]]], atol=1e-6)
    assert scaled.dtype == np.float32


def test_scale_and_resize__match_loops(rng):
    for map_ in some_maps(rng):
        assert_allclose(scale_map(map_), reference.scale_heatmap(map_), atol=SINGLE)
        scaled = scale_map(map_)
        for size in (3, 5, 16):
            assert_allclose(resize_map(scaled, size), reference.resize_heatmap(scaled, size), atol=SINGLE)


def test_resize__many_at_once_are_single_ones(rng):
    maps = rng.random((2, 3, 4, 4), np.float32)
    resized = resize_map(maps, 9)
    assert resized.shape == (2, 3, 9, 9)
    assert_array_equal(resized[1, 2], resize_map(maps[1, 2], 9))


@pytest.mark.parametrize("how", COMBINATIONS)
@pytest.mark.parametrize("k", [1, 2, 5])
def test_combine__matches_loop(rng, how, k):
    raw = some_maps(rng, k + 2)[:k]
    combined = combine(*in_own_units(raw), how, 12)
    assert combined.dtype == np.float32 and combined.min() >= 0 and combined.max() <= 1
    assert_allclose(combined, reference.combine_heatmaps(raw, how, 12), atol=SINGLE)


@pytest.mark.parametrize("how", COMBINATIONS)
def test_combine__a_single_map_is_the_same_whatever_the_combination(rng, how):
    maps, peaks = in_own_units(rng.random((1, 4, 4)))
    assert_array_equal(combine(maps, peaks, how, 10), combine(maps, peaks, "mean", 10))


@pytest.mark.parametrize("how", COMBINATIONS)
def test_combine__the_order_of_features_does_not_matter(rng, how):
    maps, peaks = in_own_units(some_maps(rng))
    turned = combine(maps[::-1], peaks[::-1], how, 10)
    assert_allclose(turned, combine(maps, peaks, how, 10), atol=1e-6)


def test_combine__a_strong_channel_dominates_the_sum_but_not_the_mean():
    left, right = np.zeros((2, 2)), np.zeros((2, 2))
    left[:, 0], right[:, 1] = 1.0, 1.0
    maps, peaks = np.stack([left, right]), np.array([100.0, 1.0])
    assert_allclose(combine(maps, peaks, "mean", 2), 0)  # equal everywhere: no relief
    assert_allclose(combine(maps, peaks, "sum", 2), left, atol=1e-6)
    assert_allclose(combine(maps, peaks, "max", 2), 1, atol=1e-6)
    assert_allclose(combine(maps, peaks, "min", 2), 0)


def test_combine__nothing_anywhere_stays_zero():
    for how in COMBINATIONS:
        assert not combine(np.zeros((3, 4, 4)), np.zeros(3), how, 8).any()


def test_combine__errors(rng):
    with pytest.raises(SettingsError, match="'maen'.*'mean'"):
        combine(np.ones((1, 2, 2)), np.ones(1), "maen", 4)
    with pytest.raises(ShapeError, match=r"got \(0, 2, 2\) and 0"):
        combine(np.ones((0, 2, 2)), np.ones(0), "mean", 4)
    with pytest.raises(ShapeError, match="and 3"):
        combine(np.ones((2, 2, 2)), np.ones(3), "mean", 4)


def test_place__hand_computed():
    """A 6 x 4 image, of which the middle 4 x 4 filled a frame of 2 x 2."""
    heat = np.array([[0.0, 1.0], [2.0, 3.0]])
    placed = place_on_image(heat, (1.0, 0.0, 5.0, 4.0), 6, 4)
    across = np.array([np.nan, 0, 0.25, 0.75, 1, np.nan])
    assert_allclose(placed, across + 2 * np.array([0, 0.25, 0.75, 1])[:, None], atol=1e-6)


def test_place__a_frame_wider_than_the_image():
    placed = place_on_image(np.arange(16.0).reshape(4, 4), (-1.0, -1.0, 3.0, 3.0), 2, 2)
    assert_allclose(placed, [[5, 6], [9, 10]])


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (30, 30), (200, 41)], ids=str)
@pytest.mark.parametrize(
    "transform",
    [
        Transform(resize=40, input_size=32),
        Transform(resize=None, input_size=32),
        Transform(resize=24, input_size=32),
        Transform(resize=None, input_size=32, crop="squash"),
    ],
    ids=["crop", "shorter side", "margin", "squash"],
)
def test_place__brings_a_mark_back_to_where_it_was(size, transform):
    """A white spot goes through the encoder's transform and comes back to its place."""
    width, height = size
    x, y = width // 2 + 3, height // 2 - 4
    image = np.zeros((height, width, 3), np.uint8)
    image[y - 3 : y + 3, x - 3 : x + 3] = 255
    frame = transform.pixels(Image.fromarray(image))[..., 0].astype(np.float32)
    placed = np.nan_to_num(place_on_image(frame, transform.box(width, height), width, height))
    assert placed.shape == (height, width)
    rows, columns = np.mgrid[:height, :width]
    centre = (placed * columns).sum() / placed.sum(), (placed * rows).sum() / placed.sum()
    per_pixel = max(width, height) / 32
    assert_allclose(centre, (x - 0.5, y - 0.5), atol=0.25 * max(per_pixel, 1))


def test_place__what_was_cropped_away_is_not_a_number():
    transform = Transform(resize=None, input_size=32)
    placed = place_on_image(np.ones((32, 32)), transform.box(64, 32), 64, 32)
    seen = ~np.isnan(placed)
    assert seen[:, 16:48].all() and seen.sum() == 32 * 32


@pytest.fixture
def picture(rng):
    return Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8))


def test_overlay__opacity_goes_from_the_image_to_the_colours(picture, rng):
    heat = rng.random((20, 30)).astype(np.float32)
    assert_array_equal(np.asarray(draw_overlay(picture, heat, opacity=0)), np.asarray(picture))
    colours = np.asarray(draw_overlay(picture, heat, opacity=1, colour_map="viridis"))
    assert_array_equal(colours, colour_table("viridis")[np.round(heat * 255).astype(int)])
    half = np.asarray(draw_overlay(picture, heat, opacity=0.5, colour_map="viridis"), float)
    assert_allclose(half, (np.asarray(picture, float) + colours) / 2, atol=0.51)


def test_overlay__what_the_encoder_did_not_see_is_darker_and_its_view_is_framed(picture):
    heat = np.full((20, 30), np.nan, np.float32)
    heat[4:16, 10:20] = 1.0
    drawn = np.asarray(draw_overlay(picture, heat, opacity=0.9), float)
    original = np.asarray(picture, float)
    outside = np.isnan(heat)
    light, dark = (drawn == 255).all(2), (drawn == 20).all(2)
    frame = np.zeros_like(outside)
    frame[4:16, 10:20] = True
    frame[5:15, 11:19] = False
    assert_array_equal(light & ~outside, frame)
    assert dark[3, 9:21].all() and dark[16, 9:21].all() and dark[3:17, 9].all() and dark[3:17, 20].all()
    further = outside & ~dark
    assert_allclose(drawn[further], 0.6 * original[further], atol=0.51)
    whole = np.asarray(draw_overlay(picture, np.ones((20, 30), np.float32), opacity=0.9), float)
    assert_array_equal(whole[5:15, 11:19], drawn[5:15, 11:19])
    assert not (whole == 255).all(2).any()  # no frame around all of a picture


def test_overlay__outlines_follow_the_border_of_a_mask(picture):
    mask = np.zeros((20, 30))
    mask[5:15, 8:22] = 0.9
    mask[0, 0] = np.nan
    grey = Image.new("RGB", picture.size, (128, 128, 128))
    drawn = np.asarray(draw_overlay(grey, np.zeros((20, 30)), opacity=0, outlines=[(mask, (0, 255, 0))]), int)
    assert_allclose(drawn[5, 10], (0, 255, 0), atol=40)  # antialiased
    assert_array_equal(drawn[10, 15], (128, 128, 128))
    assert_array_equal(drawn[0, 0], (128, 128, 128))


@pytest.fixture
def halves() -> tuple[np.ndarray, np.ndarray]:
    """Masks of the left and of the right third of a picture."""
    core, spurious = np.zeros((40, 60)), np.zeros((40, 60))
    core[:, :20] = 0.5
    spurious[:, 40:] = 1.0
    core[0, 0] = spurious[0, 59] = np.nan
    return core, spurious


@pytest.fixture
def grey() -> Image.Image:
    return Image.new("RGB", (60, 40), (150, 150, 150))


def test_overlay__what_lies_outside_the_core_is_dimmed(grey, halves):
    drawn = np.asarray(draw_overlay(grey, np.zeros((40, 60)), opacity=0, dimmed=halves[0]), int)
    assert (drawn[:, :20].reshape(-1, 3)[1:] == 150).all()
    assert (drawn[:, 20:] == round(0.34 * 150)).all()
    assert (drawn[0, 0] == 51).all()  # not known to be the core


def test_overlay__the_spurious_mask_is_hatched_and_nothing_else(grey, halves):
    drawn = np.asarray(draw_overlay(grey, np.zeros((40, 60)), opacity=0, hatched=halves[1]), int)
    assert (drawn[:, :40] == 150).all() and (drawn[0, 59] == 150).all()
    striped = drawn[1:, 40:, 0]
    light, dark = striped > 200, striped < 100
    assert (striped[~light & ~dark] == 150).all()
    for row in (light, dark):
        assert 0.15 < row.mean() < 0.35 and row.any(0).all() and row.any(1).all()
    assert (light[:-1, 1:] == light[1:, :-1]).all()  # stripes run along the diagonals


@pytest.mark.parametrize("shade", [0, 255])
def test_overlay__hatching_shows_on_black_and_on_white(halves, shade):
    plain = Image.new("RGB", (60, 40), (shade,) * 3)
    drawn = np.asarray(draw_overlay(plain, np.zeros((40, 60)), opacity=0, hatched=halves[1]), int)
    assert np.abs(drawn[1:, 40:] - shade).max() > 130


def test_overlay__both_masks__the_hatched_part_is_not_dimmed(grey, halves):
    heat = np.zeros((40, 60))
    drawn = np.asarray(draw_overlay(grey, heat, opacity=0, dimmed=halves[0], hatched=halves[1]), int)
    only = np.asarray(draw_overlay(grey, heat, opacity=0, hatched=halves[1]), int)
    assert (drawn[1:, 40:] == only[1:, 40:]).all()
    assert (drawn[:, 20:40] == 51).all()


def test_overlay__errors(picture):
    heat = np.zeros((20, 30))
    with pytest.raises(SettingsError, match="'turob'.*'turbo'"):
        draw_overlay(picture, heat, colour_map="turob")
    with pytest.raises(SettingsError, match=r"opacity .*1\.5"):
        draw_overlay(picture, heat, opacity=1.5)
    with pytest.raises(ShapeError, match=r"\(30, 20\).*\(20, 30\)"):
        draw_overlay(picture, heat.T)
    masks: dict[str, Any]
    for masks in ({"outlines": [(heat.T, (0, 0, 0))]}, {"dimmed": heat.T}, {"hatched": heat.T}):
        with pytest.raises(ShapeError, match="mask"):
            draw_overlay(picture, heat, **masks)


def test_grey__is_a_ramp():
    assert_array_equal(colour_table("grey")[[0, 100, 255]], [[0] * 3, [100] * 3, [255] * 3])


def test_limited__never_grows():
    image = Image.new("RGB", (400, 100))
    assert limited(image, 200).size == (200, 50)
    assert limited(image, 800) is image and limited(image, None) is image
