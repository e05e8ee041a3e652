"""On how many images of a mask each feature fires: every way of counting against loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.measures import slice_features as counting
from core.measures.slice_features import count_firing_images
from tests.measures.worlds import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("counts") / "study", n=80)


def slow_counts(firing: np.ndarray, mask: np.ndarray) -> list[int]:
    counts = [0] * firing.shape[1]
    for row, features in enumerate(firing):
        for feature, fires in enumerate(features):
            counts[feature] += bool(mask[row] and fires)
    return counts


@pytest.mark.parametrize("few", [1, 10, 10**6])  # by image, whichever is faster, by feature
@pytest.mark.parametrize("block", [1, 7, 1 << 20])
def test_firing_counts__match_loop(world, rng, monkeypatch, few, block):
    monkeypatch.setattr(counting, "FEW", few)
    monkeypatch.setattr(counting, "BLOCK", block)
    n = len(world.raw)
    masks = [rng.random(n) < share for share in (-1, 0.03, 0.4, 0.6, 0.97, 2)]
    found = count_firing_images(world.study, masks)
    assert found.dtype == np.int64
    assert_array_equal(found, [slow_counts(world.firing, mask) for mask in masks])


def test_firing_counts__of_a_study_without_sets_by_image(tmp_path: Path, rng):
    world = make_world(tmp_path / "study", n=80, by_row=False)
    masks = [rng.random(80) < 0.02, np.ones(80, bool), rng.random(80) < 0.5]
    assert_array_equal(
        count_firing_images(world.study, masks), [slow_counts(world.firing, mask) for mask in masks]
    )


def test_firing_counts__add_up_over_disjoint_masks(world, rng):
    part = rng.integers(0, 4, len(world.raw))
    found = count_firing_images(world.study, [part == number for number in range(4)])
    assert_array_equal(found.sum(0), world.firing.sum(0))
