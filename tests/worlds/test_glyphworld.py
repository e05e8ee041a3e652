"""The planted world is the same everywhere, and the image source tells its truth."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.data.glyphworld import GlyphworldSource
from core.data.images import open_images, reopen_images
from core.errors import ImageSourceError, UnreadableImage
from core.worlds.glyphworld import VAL_START, render_scene
from core.worlds.scenes import PRESETS, plan_scene


def world_digest() -> str:
    """sha256 over plan, pixels, masks and caption of a few scenes of every preset."""
    digest = hashlib.sha256()
    for preset in PRESETS.values():
        for index in range(6):
            scene = render_scene(5, index, preset)
            digest.update(repr(scene.plan).encode() + scene.image.tobytes() + scene.caption.encode())
            digest.update(scene.core_mask.tobytes() + scene.spurious_mask.tobytes())
    return digest.hexdigest()


@pytest.mark.slow
def test_render__same_bytes_in_another_process():
    code = "from tests.worlds.test_glyphworld import world_digest; print(world_digest())"
    root = Path(__file__).parents[2]
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert there.stdout.strip() == world_digest()


def test_render__does_not_depend_on_what_came_before_or_global_state():
    first = render_scene(1, 7)
    np.random.seed(3)
    for index in range(5):
        render_scene(2, index)
    again = render_scene(1, 7)
    assert first.image.tobytes() == again.image.tobytes()
    assert first.plan == again.plan
    assert render_scene(1, 8).image.tobytes() != first.image.tobytes() != render_scene(2, 7).image.tobytes()


def test_plan__is_frozen():
    """A changed plan means other scenes: raise PIXELS_VERSION, and train the shipped encoders anew."""
    names = ("default", "spurious", "styles")  # for composed ones see test_compose.py
    plans = [repr(plan_scene(0, index, PRESETS[name])) for name in names for index in range(200)]
    assert hashlib.sha256("\n".join(plans).encode()).hexdigest()[:16] == "44bb98ec8bff3a0a"


def test_paint__is_frozen():
    """Mean colour of scenes, to a tolerance of one level, so that another Pillow may round differently."""
    means = [np.asarray(render_scene(0, index).image, np.float64).mean((0, 1)) for index in range(4)]
    assert np.allclose(means, FROZEN_MEANS, atol=1.0)


FROZEN_MEANS = [
    [107.14, 81.67, 76.68],
    [135.34, 69.17, 55.5],
    [167.04, 124.31, 138.85],
    [165.89, 146.51, 91.93],
]


def test_reopened_world__of_another_version_is_refused():
    description = open_images("glyphworld?train=4&val=2").describe()
    assert reopen_images(description).table.equals(open_images("glyphworld?train=4&val=2").table)
    with pytest.raises(ImageSourceError, match="has changed since.* create a new study"):
        reopen_images(description | {"pixels_version": 1})


def test_source__splits_are_balanced_and_disjoint():
    source = GlyphworldSource(train=400, val=100, seed=2)
    table = source.table
    assert list(table.columns) == ["image_id", "path", "split", "label"]
    assert table["image_id"].is_unique
    assert table["image_id"][0] == "2/0" and table["image_id"][400] == f"2/{VAL_START}"
    assert table["split"].value_counts().to_dict() == {"train": 400, "val": 100}
    for split, size in (("train", 20), ("val", 5)):
        assert set(table.loc[table["split"] == split, "label"].value_counts()) == {size}


def test_source__val_does_not_change_with_train():
    small, large = GlyphworldSource(train=40, val=20), GlyphworldSource(train=80, val=20)
    assert small.read(40).tobytes() == large.read(80).tobytes()
    assert small.read(7).tobytes() == large.read(7).tobytes()


def test_source__extras_are_the_scenes_truth():
    source = open_images("glyphworld?train=60&val=20&seed=1&preset=spurious")
    assert isinstance(source, GlyphworldSource)
    extras = source.extras
    assert extras is not None and len(extras) == len(source) == 80
    for row in (0, 17, 60, 79):
        scene, facts = source.scene(row), extras.iloc[row]
        assert scene.split == source.table["split"][row] and scene.label == source.table["label"][row]
        assert facts["hardness"] == scene.hardness and facts["cause"] == scene.cause
        assert facts["caption"] == scene.caption and facts["background"] == scene.background
        assert source.read(row).tobytes() == scene.image.tobytes()
        assert np.array_equal(source.core_mask(row), scene.core_mask)
        assert np.array_equal(source.spurious_mask(row), scene.spurious_mask)


def test_source__reopens_pickles_and_knows_its_fingerprint():
    source = open_images("glyphworld?train=40&val=20&size=64&hard_share=0.9")
    assert source.read(3).size == (64, 64)
    again = reopen_images(source.describe())
    copy = pickle.loads(pickle.dumps(source))
    for other in (again, copy):
        assert other.fingerprint() == source.fingerprint()
        assert other.read_id(f"0/{VAL_START}").tobytes() == source.read(40).tobytes()
        assert other.table.equals(source.table)
    changed = (
        "train=41",
        "val=21",
        "seed=1",
        "preset=spurious",
        "size=96",
        "hard_share=0.8",
        "background_variants=2",
        "styles=plain,mono",
    )
    prints = {
        open_images(f"glyphworld?train=40&val=20&size=64&hard_share=0.9&{one}").fingerprint()
        for one in changed
    }
    assert len(prints | {source.fingerprint()}) == 1 + len(changed)


def test_in_style__is_the_same_scene_in_another_style():
    source = open_images("glyphworld?train=30&val=20&styles=plain,sketch,mono")
    assert isinstance(source, GlyphworldSource)
    twins = source.in_style("pastel")
    assert "styles=plain,sketch,mono" in source.spec
    again = open_images(source.spec)
    assert isinstance(again, GlyphworldSource) and again.spec == source.spec
    styles = [source.plan(row).style for row in range(50)]
    assert set(styles) == {"plain", "sketch", "mono"}
    for row in (0, 29, 30, 49):
        assert dataclasses.replace(source.plan(row), style="pastel") == twins.plan(row)
        assert source.table["image_id"][row] == twins.table["image_id"][row]
        assert source.read(row).tobytes() != twins.read(row).tobytes()


def test_source__row_out_of_range():
    with pytest.raises(UnreadableImage, match="row 5 "):
        GlyphworldSource(train=2, val=1).read(5)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("glyphworld?trian=5", "no option 'trian'. Did you mean 'train'"),
        ("glyphworld?train=0", "train must be a whole number from 1 to"),
        ("glyphworld?train=five", "not 'five'"),
        ("glyphworld?seed=-1", "seed must be a whole number from 0"),
        ("glyphworld?size=8", "size must be a whole number from 32 to 512"),
        ("glyphworld?preset=spurius", "no preset 'spurius'. Did you mean 'spurious'"),
        ("glyphworld?background_variants=5", "background_variants must be a whole number from 1 to 4"),
        ("glyphworld?styles=plain,past", "different names of .* not 'plain,past'. Did you mean 'pastel'"),
        ("glyphworld?styles=mono,mono", "styles must be different names"),
        ("glyphworld?hard_share=1.5", "hard_share must be a number from 0 to 1"),
        ("glyphworld?hard_share=nan", "hard_share must be a number from 0 to 1"),
        ("glyphworld?train", "cannot read 'glyphworld\\?train'"),
    ],
)
def test_source__bad_spec_is_one_clear_line(spec, message):
    with pytest.raises(ImageSourceError, match=message) as caught:
        open_images(spec)
    assert "\n" not in str(caught.value)
