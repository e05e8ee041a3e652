"""The grids `domains` and `tinted`: their arms, and a cell of each from training to the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from core.errors import SettingsError
from core.research.domains.grids import styles as domains
from core.research.domains.grids import tints as tinted
from core.research.grids.definition import preset_values
from core.training.config import from_dict
from tests.research.domains.analysis.planted import K, planted


def test_domain_arms__differ_in_their_domains_only():
    values = preset_values(domains.GRID, changes={"methods": "simclr", "colour": "on"})
    names = [cell.arm for cell in domains.domain_arms(values)]
    assert names == [f"simclr-on-{arm}" for arm in values["domains"]] and len(names) == 7
    assert domains.plain_method_arm(values, "simclr-on-ddm") == "simclr-on-baseline"
    assert domains.plain_method_arm(values, "simclr-on-baseline") is None
    tables = {arm: domains.domain_settings(arm, 3, values) for arm in values["domains"]}
    built = {
        arm: from_dict({"images": "x", "output": "y", "domains": table}) for arm, table in tables.items()
    }
    own = {arm: config.sections["domains"] for arm, config in built.items()}
    assert own["baseline"].labels is None
    assert own["kmeans"].n_domains == 3 and not own["kmeans"].robust
    assert own["robust"].robust and own["robust"].outlier_threshold == "auto"
    assert (own["var"].invariant, own["invar"].variant) == (0.0, 0.0)
    cut = own["cut"]
    assert (cut.variant, cut.invariant, cut.weight) == (0.0, 0.0, 1.0)
    heavier = preset_values(domains.GRID, changes={"weight": "5"})
    weights = {arm: domains.domain_settings(arm, 3, heavier).get("weight") for arm in values["domains"]}
    assert weights == {**dict.fromkeys(values["domains"], 5.0), "baseline": None, "cut": 1.0}
    assert own["ddm"].weight == 0.5


@pytest.mark.slow
def test_measured__reads_what_is_planted():
    images = planted(leak=0.0)
    twins = {name: images.raw[:50] for name in images.domain_names}
    row = domains.measured_domains(images, twins, K, "mono")
    assert row["domain_mlp_prefix"] > 0.9 > 0.75 > row["domain_mlp_rest"]
    assert row["seen_own_rest"] > 0.9 and row["unseen_own_rest"] == row["top1_own_mono_rest"]
    assert row["r1_rest"] == row["r1_unseen_all"] == 1.0
    assert row["base_rate"] == pytest.approx(0.5, abs=0.1)
    bare = domains.measured_domains(images, None, K, "")
    assert "r1_rest" not in bare and "unseen_own_all" not in bare and bare["seen_seen_all"] > 0.9


@pytest.mark.slow
def test_domains__trains_measures_and_draws(run, tmp_path):
    small = ["train=60", "val=20", "unseen_train=40", "size=32", "arch=timm:test_resnet", "epochs=1"]
    small += ["batch_size=16", "methods=simclr", "colour=on", "domains=baseline,robust"]
    words = ["grid", "domains", "-o", tmp_path / "grid", "--device", "cpu", "--workers", "1", "--seeds", "1"]
    words += [word for change in small for word in ("--set", change)] + ["--cache", tmp_path / "cache"]
    said = run(*words)
    assert said.code == 0, said.err
    table = pd.read_csv(tmp_path / "grid" / "cells.csv")
    assert table["arm"].tolist() == ["simclr-on-baseline", "simclr-on-robust"]
    shares = [name for name in table if name.startswith(("top1_", "domain_", "r1_", "seen_", "unseen_"))]
    assert len(shares) > 30 and table[shares].apply(lambda column: column.between(0, 1)).to_numpy().all()
    assert table["first_kept"].notna().tolist() == [False, True]
    for name in ("ddm_table", "ddm_bars"):
        out = tmp_path / f"{name}.json"
        assert run("figure", tmp_path / "grid", name, "-o", out).code == 0 and out.stat().st_size > 500


@pytest.mark.slow
def test_tinted__samples_the_images_once_for_all_cells(run, tmp_path, rng):
    for number in range(60):
        split, label = ("train", "test")[number >= 40], f"c{number % 2}"
        path = tmp_path / "cifar" / split / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
    small = [f"images={tmp_path / 'cifar'}", "n_train=32", "n_val=16", "epochs=1", "batch_size=16"]
    small += ["precision=fp32", "arms=one-tint,two-tints-ddm", "arch=timm:test_resnet", "stem=standard"]
    words = ["grid", "tinted", "-o", tmp_path / "grid", "--device", "cpu", "--workers", "1", "--seeds", "1"]
    words += [word for change in small for word in ("--set", change)] + ["--cache", tmp_path / "cache"]
    said = run(*words)
    assert said.code == 0, said.err
    sample = pd.read_csv(tmp_path / "grid" / "images.csv")
    assert sample.groupby(["split", "label"]).size().tolist() == [16, 16, 8, 8]
    table = pd.read_csv(tmp_path / "grid" / "cells.csv")
    assert table["seen_seen_all"].between(0, 1).all()
    assert table["domain_mlp_all"].isna().tolist() == [True, False]  # one tint: nothing to tell
    assert run("figure", tmp_path / "grid", "ddm_table", "-o", tmp_path / "table.json").code == 0


def test_tinted__a_class_with_too_few_images_is_named(tmp_path):
    for number in range(4):
        path = tmp_path / "few" / ("train" if number < 2 else "val") / f"c{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    values = preset_values(tinted.GRID, changes={"images": str(tmp_path / "few"), "n_train": "10"})
    job: Any = type("Job", (), {"values": values, "folder": tmp_path})()
    with pytest.raises(SettingsError, match="has 1 train images of 'c0', but n_train = 10 needs 5 of each"):
        tinted.sampled_table(job)
