"""The grid `suppression`: its arms, its verdicts, and one command from training to a study."""

from __future__ import annotations

import pandas as pd
import pytest

from core.research.grids.definition import preset_values
from core.research.shortcuts.grids import suppression
from core.research.shortcuts.grids.shortcut_runs import shortcut_settings
from core.research.shortcuts.trifeature import FACTORS
from core.training.config import from_dict

PAIR = "tau0.2-eps0.1 against tau0.2-eps0"
SMALL = ("images=trifeature?train=64&val=32&size=24", "epochs=1", "batch_size=32", "lr=0.1")


def test_arms__untrained_and_each_pair_with_its_baseline():
    values = preset_values(suppression.GRID, changes={"temperatures": "0.2", "epsilons": "0,0.1"})
    names = [cell.arm for cell in suppression.suppression_arms(values)]
    assert names == ["untrained", "tau0.2-eps0", "tau0.2-eps0.1"]
    assert [suppression.without_ifm(values, name) for name in names] == [None, None, "tau0.2-eps0"]


def test_settings__only_temperature_and_epsilon_differ_and_colours_stay():
    values = preset_values(suppression.GRID)
    one, other = (
        from_dict({**shortcut_settings(values, cell.columns, size=24), "output": "e"})
        for cell in suppression.suppression_arms(values)[2:4]
    )
    assert one.augment == other.augment and one.crop_size == one.image_size == 24
    assert one.augment.jitter == one.augment.grayscale == 0
    budgets = [vars(config.objective)["ifm_epsilon"] for config in (one, other)]
    assert (one.temperature, other.temperature) == (0.05, 0.2) and budgets == [0.1, 0.0]


@pytest.mark.parametrize(
    ("shape", "n_seeds", "verdict"),
    [
        (0.1, 5, f"{PAIR}: works (mean readout +4.7 ± 0.0 points)."),
        (-0.1, 5, f"{PAIR}: does not work (mean readout -2.0 ± 0.0 points, lower: shape)."),
        (0.1, 4, f"{PAIR}: not enough runs to tell."),
    ],
)
def test_verdicts__a_gain_without_a_loss(shape, n_seeds, verdict):
    rows = []
    for seed in range(n_seeds):
        rows.append(("tau0.2-eps0", seed, 0.5, 0.6, 0.7, 0.6))
        gains = (shape, 0.04, 0.0)
        rows.append(("tau0.2-eps0.1", seed, 0.5 + shape, 0.64, 0.7, 0.6 + sum(gains) / 3))
    table = pd.DataFrame(rows, columns=["arm", "seed", *FACTORS, "mean"])
    values = preset_values(suppression.GRID, changes={"temperatures": "0.2"})
    assert suppression.suppression_verdicts(values, table) == [verdict]


@pytest.mark.slow
def test_grid__trains_reads_goes_on_and_its_encoders_open_as_studies(run, tmp_path):
    small = [*SMALL, "arch=timm:test_resnet", "temperatures=0.2", "epsilons=0,0.1"]
    words = ["grid", "suppression", "-o", tmp_path / "grid", "--device", "cpu", "--workers", "1"]
    words += [word for change in small for word in ("--set", change)] + ["--cache", tmp_path / "cache"]
    listed = run(*words, "--seeds", "1", "--list")
    assert listed.code == 0 and "0 of 3 runs done" in listed.out and "epochs = 1" in listed.out
    said = run(*words, "--seeds", "1")
    assert said.code == 0, said.err
    assert "| tau0.2-eps0.1 |" in said.out and "not enough runs to tell" in said.out
    first = pd.read_csv(tmp_path / "grid" / "cells.csv")
    assert first["cell"].tolist() == ["untrained-s0", "tau0.2-eps0-s0", "tau0.2-eps0.1-s0"]
    names = [name + end for end in ("", "_paper") for name in (*FACTORS, "mean")]
    assert first[names].apply(lambda column: column.between(0, 1)).to_numpy().all()
    assert first["loss"].isna().tolist() == [True, False, False] and (first["held_out_loss"] > 0).all()
    assert run(*words, "--seeds", "2", "--arms", "untrained").code == 0
    again = pd.read_csv(tmp_path / "grid" / "cells.csv")
    assert len(again) == 4
    pd.testing.assert_frame_equal(again.iloc[:3], first)
    refused = run(*words, "--set", "epochs=2", "--seeds", "1")
    assert "holds a grid with another epochs. Choose another -o." in refused.error
    refused = run(*words, "--readout", "lbfgs", "--seeds", "1")
    assert "holds a grid with another readout. Choose another -o." in refused.error
    encoder = tmp_path / "grid" / "cells" / "tau0.2-eps0.1-s0.safetensors"
    study = ["embed", tmp_path / "study", "--images", small[0].removeprefix("images="), "--encoder", encoder]
    assert run(*study, "--device", "cpu").code == 0
