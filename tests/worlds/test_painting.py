"""Masks and measured occlusion are true of the pixels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from core.worlds.glyphworld import render_scene
from core.worlds.painting import measure_occlusion, paint, paint_masks
from core.worlds.scenes import PRESETS, STYLES, Cover, plan_scene
from tests.data.planned import bare, plans


def test_size__is_the_longer_side_of_the_core_mask():
    plan = bare(plans()[0])
    upright = replace(plan, main=replace(plan.main, angle=0.0, size=0.5, x=0.5, y=0.5))
    rows, columns = np.nonzero(paint_masks(upright, 96)[0])
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == pytest.approx(48, abs=2)


@pytest.mark.parametrize("kind", ["occluder", "cover"])
def test_occlusion__is_what_the_masks_say(kind):
    for plan in [plan for plan in plans() if getattr(plan, kind) is not None][:25]:
        alone = paint_masks(replace(plan, occluder=None, cover=None), 96)[0].sum(dtype=float)
        shown = paint_masks(plan, 96)[0].sum(dtype=float)
        assert measure_occlusion(plan) == pytest.approx(1 - shown / alone, abs=1e-9)


def test_occlusion__rises_with_the_cover():
    plan = bare(plans()[3])
    covered = [replace(plan, cover=Cover((0.0, 1.0), amount)) for amount in (0.2, 0.4, 0.6, 0.8)]
    assert all(np.diff([measure_occlusion(one) for one in covered]) > 0)
    assert measure_occlusion(plan) == 0.0


def test_fade_and_blur__change_the_object_and_nothing_far_from_it():
    plan = bare(plans()[4])
    clear = np.asarray(paint(plan, 96), int)
    shape = paint_masks(plan, 96)[0] > 128
    for changed in (replace(plan, fade=0.8), replace(plan, blur=3.0)):
        difference = abs(np.asarray(paint(changed, 96), int) - clear).max(2)
        assert difference[shape].mean() > 10
        assert difference[[0, 0, -1, -1], [0, -1, 0, -1]].max() == 0


@pytest.mark.slow
def test_masks__aligned_disjoint_and_of_the_right_things():
    for scene in (render_scene(3, index) for index in range(120)):
        core, spurious = scene.core_mask.astype(int), scene.spurious_mask.astype(int)
        assert core.shape == spurious.shape == scene.image.size[::-1] == (96, 96)
        assert scene.core_mask.dtype == scene.spurious_mask.dtype == np.uint8
        assert (core + spurious).max() <= 255
        if not scene.background_agrees and not scene.companions:
            assert spurious.max() == 0


def test_core_mask__lies_where_the_object_changes_the_picture():
    plan = replace(bare(plans()[5]), shadow=(0.0, 0.0, 0.0))
    with_object = np.asarray(paint(plan, 96), int)
    without = np.asarray(paint(replace(plan, fade=1.0), 96), int)
    core = paint_masks(plan, 96)[0]
    changed = abs(with_object - without).max(2)
    assert changed[core == 0].max() == 0
    assert (changed[core > 200] > 8).mean() > 0.85


def test_spurious_mask__is_background_region_and_companion():
    agreeing = next(p for p in plans() if p.background_agrees and p.ground.horizon is None)
    core, spurious = paint_masks(bare(agreeing), 96)
    assert np.array_equal(spurious, 255 - core)
    horizon = replace(bare(agreeing), ground=replace(agreeing.ground, kind="grass", horizon=(0.5,) * 5))
    _, half = paint_masks(horizon, 96)
    assert half[:47].max() == 0 and half[49:].max() == 255
    alone = next(p for p in plans() if p.companion and not p.background_agrees and not p.occluder)
    item, (_, companion) = alone.companion, paint_masks(alone, 96)
    assert item is not None
    rows, columns = np.nonzero(companion > 128)
    middle = (item.size + 0.05) * 96 / 2
    assert np.all(abs(columns - item.x * 96) < 1.5 * middle)
    assert np.all(abs(rows - item.y * 96) < 1.5 * middle)


def test_masks__scale_with_the_scene():
    small, large = paint_masks(plans()[8], 96)[0], paint_masks(plans()[8], 192)[0]
    shrunk = np.asarray(Image.fromarray(large).resize((96, 96), Image.Resampling.BOX), int)
    assert abs(shrunk - small).mean() < 4
    assert paint(plans()[8], 192).size == (192, 192)


def test_styles__draw_the_same_scene_in_another_way():
    plan = plan_scene(0, 3, PRESETS["styles"])
    pictures = {style: np.asarray(paint(replace(plan, style=style), 96), int) for style in STYLES}
    for style in set(STYLES) - {"plain"}:
        assert abs(pictures[style] - pictures["plain"]).mean() > 10
    drawn = Counter(plan_scene(0, index, PRESETS["styles"]).style for index in range(400))
    assert set(drawn) == set(STYLES) and min(drawn.values()) > 70
