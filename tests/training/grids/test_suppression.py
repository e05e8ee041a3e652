"""The grid `suppression`: its arms, what its probes read, and one command from training to the figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.data.trifeature import FACTORS, Trifeature
from core.training.config import from_dict
from core.training.grids import suppression
from core.training.grids.definition import preset_values


def test_arms__untrained_and_each_pair_with_its_baseline():
    values = preset_values(suppression.GRID, changes={"temperatures": "0.2", "epsilons": "0,0.1"})
    names = [cell.arm for cell in suppression.arms(values)]
    assert names == ["untrained", "simclr-tau0.2-eps0", "simclr-tau0.2-eps0.1"]
    assert [suppression.plain_arm(values, name) for name in names] == [None, None, "simclr-tau0.2-eps0"]


def test_suppression_settings__only_temperature_and_epsilon_differ():
    values = preset_values(suppression.GRID, changes={"images": "trifeature?train=64&val=32&size=24"})
    one, other = (
        from_dict({**suppression.suppression_settings(values, cell.columns), "output": "e"})
        for cell in suppression.arms(values)[2:4]
    )
    assert one.augment.jitter == one.augment.grayscale == 0 and one.crop_size == one.image_size == 24
    assert (one.temperature, one.objective.ifm_epsilon) == (0.05, 0.1)
    assert (other.temperature, other.objective.ifm_epsilon) == (0.2, 0.0)


def test_readouts__find_what_is_there_and_only_that():
    source = Trifeature(1000, 500)
    shape = np.eye(10, dtype=np.float32)[source.factors()["shape"]]
    noise = np.random.default_rng(0).normal(size=(1500, 5)).astype(np.float32)
    raw = np.concatenate([shape, noise], 1)
    found = suppression.readouts(source, {"train": raw[:1000], "val": raw[1000:]})
    assert found["shape"] == 1.0 and found["colour"] < 0.2 and found["texture"] < 0.2
    assert found["mean"] == pytest.approx(np.mean([found[factor] for factor in FACTORS]))


@pytest.mark.slow
def test_grid__trains_reads_goes_on_and_its_encoders_open_as_studies(run, tmp_path):
    small = ["images=trifeature?train=64&val=32&size=24", "epochs=1", "batch_size=32", "lr=0.1"]
    small += ["arch=timm:test_resnet", "temperatures=0.2", "epsilons=0,0.1"]
    words = ["grid", "suppression", "-o", tmp_path / "grid", "--device", "cpu", "--workers", "1"]
    words += [word for change in small for word in ("--set", change)] + ["--cache", tmp_path / "cache"]
    listed = run(*words, "--seeds", "1", "--list")
    assert listed.code == 0 and "0 of 3 runs done" in listed.out and "epochs = 1" in listed.out
    said = run(*words, "--seeds", "1")
    assert said.code == 0, said.err
    assert "| simclr-tau0.2-eps0.1 |" in said.out and "not enough runs to tell" in said.out
    first = pd.read_csv(tmp_path / "grid" / "cells.csv")
    assert first["cell"].tolist() == ["untrained-s0", "simclr-tau0.2-eps0-s0", "simclr-tau0.2-eps0.1-s0"]
    assert first[[*FACTORS, "mean"]].apply(lambda column: column.between(0, 1)).all(axis=None)
    assert first["loss"].isna().tolist() == [True, False, False]
    assert run(*words, "--seeds", "2", "--arms", "untrained").code == 0
    again = pd.read_csv(tmp_path / "grid" / "cells.csv")
    assert len(again) == 4
    pd.testing.assert_frame_equal(again.iloc[:3], first)
    refused = run(*words[:-2], "--set", "epochs=2", "--seeds", "1")
    assert "holds a grid with another epochs. Choose another -o." in refused.error
    encoder = tmp_path / "grid" / "cells" / "simclr-tau0.2-eps0.1-s0.safetensors"
    study = ["embed", tmp_path / "study", "--images", small[0].removeprefix("images="), "--encoder", encoder]
    assert run(*study, "--device", "cpu").code == 0
