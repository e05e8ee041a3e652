"""The scale of the mIoU: the encoder and the controls over the images of a slice, against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from core.measures.image_columns import CONTROLS
from core.measures.overlap import (
    ANY,
    BOTH,
    NO_HEAT,
    NO_OVERLAP,
    measured_images,
    overlap_scale,
    uniform_by_group,
)
from tests import small
from tests.measures.worlds import World, make_world

KINDS = ("core", "spurious")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("scale") / "study")


def slow_mean(values: list[float]) -> tuple[float, float, float, int]:
    values = [value for value in values if not math.isnan(value)]
    mean = math.fsum(values) / len(values)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))
    return mean, max(0.0, mean - half), min(1.0, mean + half), len(values)


@pytest.mark.parametrize("variant", ["paper", "soft"])
def test_measured_images__counts_each_image_once_and_says_why_it_is_left_out(world, variant):
    table = world.study.table("overlap")
    inside = np.arange(world.study.n_images) % 3 > 0
    line = measured_images(world.study, inside, variant)
    assert [part.what for part in line.parts] == list(KINDS)
    for part in line.parts:
        rows = table.loc[(table["mask"] == part.what) & inside[table["row"]]]
        assert part.n == sum(not math.isnan(value) for value in rows[variant])
        assert part.of == inside.sum() == (part.n or 0) + sum(reason.n or 0 for reason in part.parts)
        assert all(reason.why for reason in part.parts)


def check(world: World, mask: np.ndarray, rows: list[int], images: str) -> None:
    found = overlap_scale(world.study, mask).set_index(["mask", "heatmap"])
    assert len(found) == 10 and set(found["images"]) == {images}
    for number, kind in enumerate(KINDS):
        kept = [row for row in rows if world.masked[row, number]]
        encoder = slow_mean([world.values[row, number] for row in kept])
        assert_allclose(found.loc[(kind, "encoder"), ["value", "low", "high", "n"]].astype(float), encoder)
        for at, name in enumerate(CONTROLS):
            expected = slow_mean([world.controls[row, number, at] for row in kept])
            assert_allclose(found.loc[(kind, name), ["value", "low", "high", "n"]].astype(float), expected)


def test_overlap_scale__matches_loop_over_images_with_both_masks(world, rng):
    for share in (0.3, 1.1):
        mask = world.mask(rng, share)
        both = [int(row) for row in np.flatnonzero(mask) if world.masked[row].all()]
        assert 2 < len(both) < mask.sum()
        check(world, mask, both, "both masks")


def test_overlap_scale__falls_back_on_images_with_any_mask(world):
    mask = world.masked.any(1) & ~world.masked.all(1)
    assert mask.any()
    check(world, mask, np.flatnonzero(mask).tolist(), "any mask")
    assert set(overlap_scale(world.study, mask | world.masked.all(1))["images"]) == {"both masks"}


@pytest.mark.parametrize("images", [BOTH, ANY])
def test_uniform_by_group__is_the_mean_of_each_group_alone(world, rng, images):
    mask = world.mask(rng, 0.7)
    found = uniform_by_group(world.study, mask, images).set_index(["mask", "group"])["mean"]
    for number, kind in enumerate(KINDS):
        for group, outcome in (("correct", True), ("misclassified", False)):
            values = [
                world.controls[row, number, CONTROLS.index("uniform")]
                for row in np.flatnonzero(mask)
                if world.correct[row] is not None
                and bool(world.correct[row]) is outcome
                and (world.masked[row].all() if images == BOTH else world.masked[row, number])
            ]
            values = [value for value in values if not math.isnan(value)]
            assert len(values) > 1
            assert_allclose(found[kind, group], math.fsum(values) / len(values), rtol=1e-6)
    assert found["core", "correct"] != found["core", "misclassified"]


def test_overlap_scale__says_why_it_is_undefined(world):
    nothing = np.zeros(len(world.raw), bool)
    assert set(overlap_scale(world.study, nothing)["reason"]) == {"the slice has no images"}
    found = overlap_scale(world.study, ~world.masked.any(1))
    assert set(found["reason"]) == {
        "no image of the slice has a core mask",
        "no image of the slice has a spurious mask",
    }
    assert found[["value", "low", "high"]].isna().to_numpy().all() and (found["n"] == 0).all()
    cold = world.masked.all(1) & np.isnan(world.values[:, 0])
    row = overlap_scale(world.study, cold).set_index(["mask", "heatmap"]).loc[("core", "encoder")]
    assert (row["reason"], row["n"]) == (NO_HEAT, 0) and cold.any()


def test_overlap_scale__one_image_has_no_interval(world):
    mask = np.zeros(len(world.raw), bool)
    row = int(np.flatnonzero(np.isfinite(world.values).all(1))[0])
    mask[row] = True
    found = overlap_scale(world.study, mask).set_index(["mask", "heatmap"])
    assert found.loc[("core", "encoder"), "value"] == world.values[row, 0]
    assert (found["n"] == 1).all() and found["low"].isna().all()


def test_overlap_scale__without_masks_says_so(tmp_path):
    study = small.write_small_study(tmp_path / "study")
    found = overlap_scale(study, study.is_val)
    assert len(found) == 10 and set(found["reason"]) == {NO_OVERLAP} and found["value"].isna().all()
