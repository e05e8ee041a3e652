"""Named grids: every one has its presets and its cells; settings are read from text; the summary."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pytest

from core.encoders.spec import parse_spec
from core.encoders.trusted_code import argument_problem
from core.errors import SettingsError
from core.jobs.progress import Progress
from core.research.grids.definition import Grid, cells_of_grid, preset_values
from core.research.grids.registry import GRIDS, PRESETS, load_grid
from core.research.grids.run import run_named, summary_lines
from core.research.grids.runner import GridCell
from core.research.grids.seeds import preset_of

MORE = {"losses": [0.0], "span": (0.5, 1.0), "kinds": ["one"], "kind": "one"}
TINY = Grid(
    name="tiny",
    presets={"cpu": {"epochs": 2, "rates": [0.1], "arch": "a", "stop": False, **MORE}, "paper": {}},
    arms=lambda values: [GridCell(f"r{rate:g}", {"rate": rate}) for rate in values["rates"]],
    run=lambda job: {},
    measures={"top1": ("top-1 %", 100.0)},
    baseline=lambda values, arm: "r0.1" if arm != "r0.1" else None,
    choices={"kinds": ("one", "two"), "kind": ("one", "two")},
    positive=("rates",),
    not_negative=("losses",),
)


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid__has_presets_with_the_same_settings_and_arms_of_different_names(name):
    grid = load_grid(name)
    assert grid.name == name and {"cpu", "paper"} <= set(grid.presets) <= set(PRESETS)
    assert set(grid.of_arms) <= grid.presets["cpu"].keys()
    for preset in grid.presets:
        assert grid.presets[preset].keys() == grid.presets["cpu"].keys()
        values = preset_values(grid, preset)
        if "arch" in values:  # else no study can open the encoders without --trust
            assert argument_problem(parse_spec(values["arch"])) is None
        cells = cells_of_grid(grid, values, 2)
        assert len({cell.name for cell in cells}) == len(cells) > 2
        assert [cell.seed for cell in cells] == sorted(cell.seed or 0 for cell in cells)
        arms = [cell.arm for cell in cells]
        assert {grid.baseline(values, arm) for arm in arms} - {None} <= set(arms)


def test_values_of__reads_changes_as_the_type_of_the_preset():
    found = preset_values(TINY, changes={"epochs": "3", "rates": "0.1,inf", "arch": "b", "stop": "true"})
    changed = {"epochs": 3, "rates": [0.1, float("inf")], "arch": "b", "stop": True}
    assert found == {"preset": "cpu", **changed, **MORE}
    assert preset_values(TINY, changes={"span": "1,1"})["span"] == (1.0, 1.0)


@pytest.mark.parametrize(
    ("preset", "changes", "message"),
    [
        ("gpu", {}, "no preset 'gpu' of 'tiny'.*Presets: cpu, paper"),
        ("cpu", {"epoch": "3"}, "has no setting 'epoch'. Did you mean 'epochs'"),
        ("cpu", {"epochs": "few"}, "tiny: epochs = 'few' should be a whole number"),
        ("cpu", {"rates": "0.1,x"}, "tiny: rates = 'x' should be a number"),
        ("cpu", {"stop": "maybe"}, "should be true or false"),
        ("cpu", {"rates": ""}, "tiny: rates is empty. Give one value or more, such as 0.1"),
        ("cpu", {"rates": " , "}, "tiny: rates is empty"),
        (
            "cpu",
            {"rates": "0.1,0.2,0.10"},
            "tiny: rates = '0.1,0.2,0.10' names 0.1 twice. Give each value once",
        ),
        ("cpu", {"rates": "0.1,nan"}, "tiny: rates = 'nan' should be a number"),
        ("cpu", {"rates": "0.1,0"}, "tiny: rates = 0 must be above 0"),
        ("cpu", {"losses": "-1"}, "tiny: losses = -1 must be at least 0"),
        ("cpu", {"span": "0.1"}, "tiny: span = '0.1' should be 2 numbers, such as 0.5,1.0"),
        ("cpu", {"kinds": "one,tow"}, "tiny: kinds has no 'tow'. Did you mean 'two'.*Choose from one, two"),
        ("cpu", {"kind": "tow"}, "tiny: kind has no 'tow'"),
    ],
)
def test_values_of__refuses(preset, changes, message):
    with pytest.raises(SettingsError, match=message):
        preset_values(TINY, preset, changes)


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid__says_at_once_what_is_wrong_with_a_list(name):
    grid = load_grid(name)
    for setting, value in grid.presets["cpu"].items():
        numbers = isinstance(value, (list, tuple)) and isinstance(value[0], float)
        bad = [("", "is empty|should be 2")] if isinstance(value, (list, tuple)) else []
        bad += [("x,y", "should be a number")] if numbers else []
        if isinstance(value, list):
            bad.append((f"{value[0]},{value[0]}", f"names {value[0]} twice"))
            bad += [] if numbers else [("nonsense", f"{setting} has no 'nonsense'")]
            bad += [("-1", "must be")] if numbers else []
        for text, message in bad:
            with pytest.raises(SettingsError, match=message) as caught:
                preset_values(grid, changes={setting: text})
            assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{name}: {setting}")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("domains", {"threshold": "high"}, "threshold = 'high' should be auto or a number"),
        ("tinted", {"colours": "red"}, "colours = red is one tint, but the arm 'two-tints' needs two"),
    ],
)
def test_arms__refuse_what_would_end_in_the_middle_of_a_grid(name, changes, message):
    grid = load_grid(name)
    with pytest.raises(SettingsError, match=message):
        cells_of_grid(grid, preset_values(grid, changes=changes), 1)


def test_follow_up__opens_an_encoder_that_was_trained():
    cells = [GridCell("untrained", seed=0), GridCell("r0.1", seed=0)]
    said = TINY.follow_up({"images": "photos"}, Path("grid"), cells)
    assert said.startswith("python -m core analyze STUDY --images photos")
    assert said.endswith("r0.1-s0.safetensors --epsilon auto")
    assert TINY.follow_up({}, Path("grid"), cells[:1]).endswith("untrained-s0.safetensors --epsilon auto")


def test_cells_of_grid__chosen_arms():
    values = preset_values(TINY, changes={"rates": "0.1,0.2"})
    assert [cell.name for cell in cells_of_grid(TINY, values, 2, arms=["r0.2"])] == ["r0.2-s0", "r0.2-s1"]
    with pytest.raises(SettingsError, match="no arm 'r2' of 'tiny'"):
        cells_of_grid(TINY, values, 2, arms=["r2"])
    with pytest.raises(SettingsError, match="--seeds 0 must be at least 1"):
        cells_of_grid(TINY, values, 0)


def test_run_named__names_the_preset_everywhere_and_refuses_to_mix_it(tmp_path):
    grid = dataclasses.replace(
        TINY,
        presets=dict.fromkeys(("cpu", "short"), TINY.presets["cpu"]),
        run=lambda job: {"top1": 0.5},
        verdicts=lambda values, table: ["It works."],
    )

    def run(preset: str):
        values = preset_values(grid, preset)
        cells = cells_of_grid(grid, values, 1)
        return run_named(grid, tmp_path, values, cells, progress=Progress.silent())

    assert preset_of(run("short")) == "preset short"
    assert json.loads((tmp_path / "grid.json").read_text())["preset"] == "short"
    text = (tmp_path / "table.md").read_text()
    assert "It works. (preset short)" in text and "1 runs, under 1 s, preset short." in text
    with pytest.raises(SettingsError, match="another preset"):
        run("cpu")


def test_load_grid__suggests_the_nearest():
    with pytest.raises(SettingsError, match="no grid 'domans'. Did you mean 'domains'"):
        load_grid("domans")


def test_summary_lines__values_differences_and_what_diverged():
    rows: list[tuple] = [(f"{arm}-s{seed}", arm, seed, top1 + seed / 100, 60.0, None)
            for arm, top1 in (("r0.1", 0.5), ("r0.2", 0.6)) for seed in range(5)]  # fmt: skip
    rows.append(("r0.3-s0", "r0.3", 0, None, 60.0, "The loss is nan"))
    table = pd.DataFrame(rows, columns=["cell", "arm", "seed", "top1", "seconds", "error"])
    lines = list(summary_lines(TINY, {}, table))
    assert lines[0] == "| arm | top-1 % | difference | compared with | seeds | minutes |"
    assert lines[2:4] == [
        "| r0.1 | 52.0 ± 2.0 |  |  | 5 | 1.0 |",
        "| r0.2 | 62.0 ± 2.0 | +10.0 ± 0.0 * | r0.1 | 5 | 1.0 |",
    ]
    assert "Diverged, left out: r0.3-s0." in lines and lines[-1] == "11 runs, 11 min."
