"""The grids of the Fourier augmentation studies: what differs between their arms, and a run of each."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import pytest
from PIL import Image

from core.data.sources.images import open_images
from core.jobs.progress import Progress
from core.research.fourier.grids import augmentations, gain, views
from core.research.fourier.grids.shared import represented
from core.research.grids.definition import CellJob, Grid, cells_of_grid, preset_values
from core.research.grids.registry import GRIDS, load_grid
from core.research.grids.run import run_named
from core.research.grids.trained import export_untrained
from core.training.config import to_dict

FDA = [name for name in GRIDS if name.startswith("fda-")]
SETTINGS = {
    "fda-gain": gain.gain_settings,
    "fda-views": views.pair_settings,
    "fda-dual": views.pair_settings,
    "fda-order": augmentations.order_settings,
    "fda-augmentations": augmentations.study_settings,
}


def configs(name: str, preset: str = "cpu", **changes: str) -> dict:
    """The training of each arm with seed 0."""
    grid = load_grid(name)
    values = preset_values(grid, preset, changes)
    return {cell.arm: SETTINGS[name](job(cell, values)) for cell in cells_of_grid(grid, values, 1)}


def job(cell, values) -> CellJob:
    return CellJob(cell, values, Path(f"{cell.name}.safetensors"), Path(), Progress.silent(), "cpu", 1, None)


@pytest.mark.parametrize("name", FDA)
def test_arms__differ_in_what_is_compared_alone(name):
    grid = load_grid(name)
    found = {arm: to_dict(config) for arm, config in configs(name).items()}
    assert grid.name == name and len(found) == len({str(config) for config in found.values()})
    for arm, config in found.items():
        baseline = grid.baseline(grid.presets["cpu"], arm)
        if baseline is not None:
            changed = {key for key, value in config.items() if value != found[baseline][key]}
            assert changed <= {"augment", "objective", "output"}, arm


def test_gain__fda_is_on_the_left_view_alone():
    found = configs("fda-gain")
    assert list(found) == ["simclr", "simclr-fda", "byol", "byol-fda"]
    for arm, config in found.items():
        assert config.augment.recipe == ("both" if arm.endswith("fda") else "image")
        assert config.augment.right.recipe == "image"
        assert (config.augment.blur, config.augment.right.blur) == (1.0, 0.1)  # Table C.2
    assert found["byol"].lr == 0.12 and found["simclr"].lr == 0.5


def test_gain__paper_has_table_c1():
    found = configs("fda-gain", "paper")
    assert len(found) == 8
    simsiam = found["simsiam-fda"]
    assert (simsiam.optimizer, simsiam.lr, simsiam.weight_decay, simsiam.epochs) == (
        "lars",
        0.2,
        1.5e-6,
        1000,
    )
    assert (simsiam.head_hidden, simsiam.head_out, simsiam.objective.predictor_hidden) == (2048, 2048, 512)
    byol = found["byol"]
    assert (byol.head_hidden, byol.head_out, byol.objective.predictor_hidden) == (4096, 256, 4096)
    assert found["moco"].temperature == 0.1 and found["moco"].augment.crop_scale == (0.08, 1.0)
    assert byol.augment.blur_sigma == (0.1, 2.0)


def test_views__the_upper_triangle_of_table_5_3():
    found = configs("fda-views")
    assert list(found) == [
        *("x-x", "image-x", "fda-x", "both-x", "image-image", "fda-image", "both-image"),
        *("fda-fda", "both-fda", "both-both"),
    ]
    for arm, config in found.items():
        assert (config.augment.recipe, config.augment.right.recipe) == tuple(arm.split("-"))
        assert not config.objective.dual


def test_dual__two_encoders_but_for_the_first_column():
    found = configs("fda-dual", frequency_scale="linear", cross_only="true")
    assert list(found)[:4] == ["x-x", "x-f", "x-fda_f", "x-f_of_image"] and len(found) == 8
    for arm, config in found.items():
        assert config.objective.dual == config.objective.cross_only == (not arm.endswith("-x"))
        assert config.augment.right.frequency_scale == "linear"


def test_order__before_and_after():
    found = configs("fda-order")
    assert found["none"].augment.fourier is None
    assert found["before"].augment.fourier.when == "before"
    assert found["after"].augment.fourier.when == "after"


def test_augmentations__each_arm_has_what_its_name_says():
    found = configs("fda-augmentations")
    assert len(found) == 6 + 6 + 1 + 4 + 4
    first, six = found["simclr-add-crop"].augment, found["simclr-add-solarize"].augment
    assert first.flip == first.jitter == first.grayscale == first.blur == first.right.blur == 0
    assert first.crop_scale == (0.2, 1.0) and first.right.solarize == 0
    assert six.flip == 0.5 and six.right.solarize == 0.2 and six.solarize == 0 and six.fourier is None
    uncropped = found["simclr-remove-crop"].augment
    assert uncropped.crop_scale == uncropped.right.crop_scale == uncropped.crop_ratio == (1.0, 1.0)
    assert (uncropped.flip, uncropped.jitter, uncropped.right.solarize) == (0.5, 0.8, 0.2)
    seventh = found["simclr-fda"].augment
    assert seventh.right == six.right and seventh.fourier.mask == 0.5
    only, without = (found[f"simclr-fda-{kind}-phase"].augment.fourier for kind in ("only", "without"))
    parts = ("amplitude", "phase", "mask", "mixture")
    assert [getattr(only, part) > 0 for part in parts] == [False, True, False, False]
    assert [getattr(without, part) > 0 for part in parts] == [True, False, True, True]


TINY = {
    "images": "glyphworld?train=96&val=48&size=32",
    "transfer": "glyphworld?train=96&val=48&size=32&seed=3",
    **{"image_size": "16", "crop_size": "16", "arch": "timm:test_resnet", "epochs": "1", "batch_size": "32"},
}


@pytest.mark.slow
def test_represented__leaves_out_what_cannot_be_read(tmp_path):
    for split, label, n in itertools.product(("train", "val"), ("ant", "bee"), range(3)):
        path = tmp_path / "images" / split / label / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (80 * n, 9, 9)).save(path)
    (tmp_path / "images" / "val" / "ant" / "1.png").write_bytes(b"no picture")
    values = preset_values(
        load_grid("fda-gain"), "cpu", TINY | {"images": str(tmp_path / "images"), "batch_size": "4"}
    )
    [cell] = cells_of_grid(load_grid("fda-gain"), values, 1, arms=["simclr"])
    output, cache = tmp_path / "model.safetensors", str(tmp_path / "cache")
    own = CellJob(cell, values, output, tmp_path, Progress.silent(), "cpu", 1, cache)
    export_untrained(own, gain.gain_settings(own))
    source = open_images(values["images"])
    raw, codes, rows = represented(own, source)
    assert len(raw["val"]) == 5 and codes["val"].tolist() == [0, 0, 1, 1, 1]
    paths = source.table["path"].iloc[rows["val"]]
    assert [Path(path).parent.name + Path(path).stem for path in paths] == [
        "ant0",
        "ant2",
        "bee0",
        "bee1",
        "bee2",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arm"), [("fda-gain", "byol-fda"), ("fda-dual", "image-fda_f")])
def test_run__a_cell(tmp_path, name, arm):
    grid: Grid = load_grid(name)
    values = preset_values(grid, "cpu", TINY)
    cells = cells_of_grid(grid, values, 1, arms=[arm])
    options = {"device": "cpu", "workers": 1, "cache": str(tmp_path / "cache")}
    table = run_named(grid, tmp_path / "grid", values, cells, progress=Progress.silent(), **options)
    row = table.iloc[0]
    assert row["arm"] == arm and 0 <= row["top1"] <= 1 and 0 <= row["transfer_precision_4"] <= 1
    assert 0 <= row["precision_4_background"] <= 1
    with open(tmp_path / "grid" / "cells.csv", newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 1
    assert (tmp_path / "grid" / "cells" / f"{arm}-s0.safetensors.frequency.safetensors").exists() == (
        name == "fda-dual"
    )
