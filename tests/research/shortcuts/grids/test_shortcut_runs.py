"""What the grids on shortcuts read out of encoders, the arms of each, and their verdicts."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import normalize

from core.data.sources.images import open_images
from core.errors import ImageSourceError, SettingsError
from core.jobs.progress import Progress
from core.research.grids.definition import CellJob, preset_values
from core.research.grids.registry import load_grid
from core.research.grids.runner import GridCell
from core.research.shortcuts.grids import composites, hard, ifm_variants
from core.research.shortcuts.grids.readout import Factor, info_nce_of_views, read_factors
from core.research.shortcuts.grids.shortcut_runs import equality, shortcut_settings, trade_off
from core.training.config import from_dict
from tests.training import reference


@pytest.mark.parametrize("readout", ["sgd", "lbfgs"])
def test_read_factors__find_what_is_there_and_only_that(readout):
    rng = np.random.default_rng(0)
    levels = {name: rng.integers(0, 5, 600) for name in ("shape", "colour")}
    raw = np.concatenate([3 * np.eye(5)[levels["shape"]], rng.normal(size=(600, 5))], 1).astype(np.float32)
    factors = {name: Factor(codes[:400], codes[400:]) for name, codes in levels.items()}
    found = read_factors({"train": raw[:400], "val": raw[400:]}, factors, readout=readout)
    assert found["shape"] == 1.0 and found["colour"] < 0.35
    assert found["mean"] == pytest.approx((found["shape"] + found["colour"]) / 2)


def test_info_nce_of_views__matches_a_loop_over_batches():
    generator = torch.Generator().manual_seed(0)
    one, two = (normalize(torch.randn(7, 4, generator=generator), dim=1) for _ in range(2))
    losses, counts = [], []
    for rows in (range(0, 3), range(3, 6)):  # the seventh image is alone in its batch
        for own, other in ((one, two), (two, one)):
            positive = [float(own[i] @ other[i]) for i in rows]
            negatives = [
                [float(own[i] @ view[j]) for view in (one, two) for j in rows if j != i] for i in rows
            ]
            losses.append(reference.info_nce(positive, negatives, 0.5))
            counts.append(len(rows))
    assert_allclose(info_nce_of_views(one, two, batch=3), np.average(losses, weights=counts), rtol=1e-6)
    assert math.isnan(info_nce_of_views(one[:1], two[:1]))


@pytest.mark.parametrize("name", ["suppression", "hard", "ifm-variants", "composites"])
@pytest.mark.parametrize("preset", ["cpu", "paper"])
def test_every_arm__is_a_training_with_a_loss_of_its_own(name, preset):
    grid = load_grid(name)
    values = preset_values(grid, preset)
    configs = [
        from_dict({**shortcut_settings(values, cell.columns, size=48), "output": "e"})
        for cell in grid.arms(values)
        if cell.arm != "untrained"
    ]
    losses = [(config.temperature, config.objective) for config in configs]
    assert len({repr(loss) for loss in losses}) == len(losses) > 1
    assert len({repr(config.augment) for config in configs}) == 1


def test_arms__of_the_paper():
    names = [cell.arm for cell in hard.hardness_arms(preset_values(hard.GRID))]
    assert len(names) == 9 and hard.GRID.seeds == 3 and names[:2] == ["tau0.05-beta0", "tau0.1-beta0"]
    assert names[-4:] == [f"tau0.5-beta{beta}" for beta in ("0.25", "0.5", "1", "2")]
    columns = {cell.arm: cell.columns for cell in ifm_variants.variant_arms(preset_values(ifm_variants.GRID))}
    assert columns["plain"]["ifm_epsilon"] == 0 and columns["ifm"]["ifm_epsilon"] == 0.1
    assert columns["modified-loss-alone"]["ifm_alpha"] == math.inf
    assert columns["pre-norm-relative"]["ifm_relative"] and columns["norm"]["ifm_variant"] == "norm"


def rows(n_seeds: int, **gains: float) -> pd.DataFrame:
    """A baseline `a`, and an arm `b` with these gains in shape, colour and mean."""
    shifts = [(arm, seed, factor) for arm, factor in (("a", 0.0), ("b", 1.0)) for seed in range(n_seeds)]
    columns = ("shape", "colour", "mean")
    table = [
        (arm, seed, *(0.5 + seed / 50 + factor * gains.get(name, 0.0) for name in columns))
        for arm, seed, factor in shifts
    ]
    return pd.DataFrame(table, columns=["arm", "seed", *columns])


def test_trade_off__one_rises_and_another_falls():
    factors = ("shape", "colour")
    said = trade_off(rows(5, shape=0.1, colour=-0.1), "b", "a", factors)
    assert said == "b against a: a trade-off (higher: shape; lower: colour)."
    assert "no trade-off" in trade_off(rows(5, shape=0.1), "b", "a", factors)
    few = trade_off(rows(3, shape=0.1, colour=-0.1), "b", "a", factors)
    assert (
        few == "b against a: not enough runs to tell (one factor is higher and another lower in every run)."
    )
    assert trade_off(rows(3, shape=0.1), "b", "a", factors) == "b against a: not enough runs to tell."


def test_equality__within_a_point_and_a_half():
    assert "equal within 1.5 points (mean readout +1.0" in equality(rows(5, mean=0.01), "b", "a")
    assert "open (mean readout -2.0" in equality(rows(5, mean=-0.02), "b", "a")
    assert equality(rows(4), "b", "a") == "b against a: not enough runs to tell."


def test_verdicts__are_one_for_each_question():
    values = preset_values(ifm_variants.GRID)
    table = pd.DataFrame({"arm": ["plain"], "seed": [0], "mean": [0.5]})
    assert len(ifm_variants.variant_verdicts(values, table)) == 9
    assert len(hard.hardness_verdicts(preset_values(hard.GRID), table)) == 2


def test_composite_factors__are_the_class_and_the_digit():
    source = open_images("composite?images=(glyphworld?train=30&val=20)")
    found = composites.composite_factors(source)
    assert len(found["digit"].train) == 30 and len(found["object"].val) == 20
    assert source.extras is not None
    assert found["digit"].val.tolist() == source.extras["digit"].astype(int).tolist()[30:]


def job(tmp_path, grid, **changes: str) -> CellJob:
    values = preset_values(grid, changes=changes)
    cell = GridCell("a", grid.arms(values)[-1].columns, 0)
    own = {"device": "cpu", "workers": 1, "cache": str(tmp_path / "cache")}
    return CellJob(cell, values, tmp_path / "cells" / "a.safetensors", tmp_path, Progress.silent(), **own)


def test_run_composite__refuses_unlabelled_images(tmp_path, rng):
    from PIL import Image

    for row in range(4):
        Image.fromarray(rng.integers(0, 256, (96, 96, 3)).astype(np.uint8)).save(tmp_path / f"{row}.png")
    with pytest.raises(ImageSourceError, match="images without a label, so no object can be read out"):
        composites.run_composite(job(tmp_path, composites.GRID, images=f"composite?images={tmp_path}"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("grid", "changes"),
    [
        (ifm_variants.GRID, {"images": "trifeature?train=64&val=32&size=24"}),
        (
            hard.GRID,
            {"images": "trifeature?train=64&val=32&size=24", "readout": "lbfgs", "augmented": "true"},
        ),
        (composites.GRID, {"images": "composite?images=(glyphworld?train=64&val=32&size=96)"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_run__a_cell_of_each_grid(tmp_path, grid, changes):
    small = {"epochs": "1", "batch_size": "32", "arch": "timm:test_resnet", "lr": "0.1"}
    row = grid.run(job(tmp_path, grid, **small, **changes))
    assert all(0 <= row[name] <= 1 for name in grid.measures if name != "held_out_loss")
    assert row["held_out_loss"] > 0 and row["loss"] > 0
    if changes.get("readout") == "lbfgs":
        assert row["shape"] == row["shape_paper"]
    with pytest.raises(SettingsError, match="readout has no 'ridge'. Choose from sgd, lbfgs"):
        grid.run(job(tmp_path, grid, **small, **{**changes, "readout": "ridge"}))
