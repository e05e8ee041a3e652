"""Control heatmaps: what the overlap says of heat whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis.iou import overlap_scores
from core.analysis.overlap_measuring import at_resolution, centre_gaussian, control_heatmaps, control_overlaps
from core.measures.image_columns import CONTROLS, VARIANTS
from tests import reference

NATIVE = (3, 3)


@pytest.fixture
def masks() -> tuple[np.ndarray, np.ndarray]:
    """A square object and a band of background in two images of 24 pixels."""
    core, spurious = np.zeros((2, 24, 24), np.float32), np.zeros((2, 24, 24), np.float32)
    core[0, 8:16, 8:16], core[1, 3:9, 10:21] = 1, 1
    spurious[0, :, :6], spurious[1, 18:, :] = 1, 1
    return core, spurious


@pytest.fixture
def controls(masks) -> dict[str, np.ndarray]:
    return control_heatmaps(*masks, native=NATIVE, rows=[4, 9])


def test_control_heatmaps__are_heatmaps_of_their_images(controls, masks):
    for heat in controls.values():
        assert heat.shape == masks[0].shape and heat.dtype == np.float32
        assert heat.min() >= 0 and heat.max() <= 1


def test_control_heatmaps__perfect_mask_scores_one_on_itself_and_nothing_elsewhere(controls, masks):
    core, spurious = masks
    for variant in VARIANTS:
        assert_array_equal(overlap_scores(controls["perfect core"], core)[variant], 1)
        assert_array_equal(overlap_scores(controls["perfect core"], spurious)[variant], 0)
        assert_array_equal(overlap_scores(controls["perfect spurious"], spurious)[variant], 1)


def test_control_heatmaps__uniform_scores_the_area(controls, masks):
    area = masks[0].mean((1, 2))
    for variant in VARIANTS:
        assert_allclose(overlap_scores(controls["uniform"], masks[0])[variant], area, rtol=1e-6)


def test_control_heatmaps__map_resolution_costs_what_it_must(controls, masks):
    """Between the best and the blind one; where the mask fills one cell, its peak stays in the cell."""
    score = {name: overlap_scores(heat, masks[0])["paper"] for name, heat in controls.items()}
    lost = score["core at map resolution"]
    assert (lost < score["perfect core"]).all() and (lost > score["uniform"]).all()
    shown = controls["core at map resolution"][0]
    assert_array_equal(shown[11:13, 11:13], shown.max())


def test_control_heatmaps__noise_depends_on_seed_and_image_only(masks, controls):
    core, spurious = masks
    other = control_heatmaps(core[::-1], spurious[::-1], native=NATIVE, rows=[9, 4])["random"]
    assert_array_equal(other[::-1], controls["random"])
    reseeded = control_heatmaps(core, spurious, native=NATIVE, rows=[4, 9], seed=1)["random"]
    assert not np.array_equal(reseeded, controls["random"])
    assert not np.array_equal(controls["random"][0], controls["random"][1])


def test_at_resolution__averages_cells(masks):
    """A mask of one whole cell, enlarged bilinearly: 1 in the cell's middle, 0 in the next ones' middles."""
    heat = at_resolution(masks[0][:1], (3, 3))[0]
    assert_allclose(heat[11:13, 11:13], 1, atol=0.13)
    assert_array_equal(heat[:4, :4], 0)
    assert_allclose(heat, heat.T, atol=1e-6)


def test_centre_gaussian__by_hand():
    bell = centre_gaussian(5)
    assert bell[2, 2] == 1
    assert_allclose(bell[2, 3], np.exp(-0.5 * (0.2 / 0.25) ** 2), rtol=1e-6)
    assert_allclose(bell[0, 0], np.exp(-((0.4 / 0.25) ** 2)), rtol=1e-6)


def test_control_overlaps__are_those_of_the_control_heatmaps(masks, controls):
    found = control_overlaps(np.stack(masks, axis=1), native=NATIVE, rows=[4, 9], seed=0, threshold=0.5)
    assert found.shape == (2, 2, len(CONTROLS))
    names = {"noise": "random", "uniform": "uniform", "centre": "centre"}
    for kind, mask in enumerate(masks):
        ceiling = ("core at map resolution", "spurious at map resolution")[kind]
        for at, name in enumerate(CONTROLS):
            heat = controls[names.get(name, ceiling)]
            expected = [reference.overlap(heat[image], mask[image], 0.5)["paper"] for image in range(2)]
            assert_allclose(found[:, kind, at], expected, rtol=1e-9)


def test_control_overlaps__an_empty_mask_is_undefined(masks):
    both = np.stack(masks, axis=1)
    both[1, 1] = 0
    found = control_overlaps(both, native=NATIVE, rows=[4, 9], seed=0, threshold=0.5)
    assert np.isnan(found[1, 1]).all() and np.isfinite(found[0]).all() and np.isfinite(found[1, 0]).all()
    assert control_overlaps(both[:0], native=NATIVE, rows=[], seed=0, threshold=0.5).shape == (0, 2, 4)
