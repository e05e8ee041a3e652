"""Figures of grids: each shows the numbers of its table, says when there is nothing, and has a command."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.charts.chart import folder_charts
from core.charts.options import FigureOptions
from core.charts.theme import LIGHT, layout_of
from core.errors import SettingsError
from core.research.shortcuts.figures.grid_bars import (
    loss_readout_figure,
    suppression_figure,
    tradeoff_figure,
    variants_figure,
)

FACTORS = ("shape", "colour", "texture")


def rows(settings: list[tuple[str, dict[str, Any]]], n_seeds: int) -> pd.DataFrame:
    rng, table = np.random.default_rng(0), []
    for place, (arm, own) in enumerate(settings):
        for seed in range(n_seeds):
            read = {name: 0.3 + 0.1 * number + 0.02 * place for number, name in enumerate(FACTORS)}
            read = {name: value + rng.normal(0, 0.01) for name, value in read.items()}
            plain = {"temperature": 0.2, "ifm_epsilon": 0.0, "hard_beta": 0.0}
            loss = {"held_out_loss": 3.0 - 0.2 * place + rng.normal(0, 0.01)}
            mean = {"mean": float(np.mean(list(read.values())))}
            table.append(
                {"cell": f"{arm}-s{seed}", "arm": arm, "seed": seed, **plain, **own, **read, **mean, **loss}
            )
    return pd.DataFrame(table)


HARD = [(f"tau{t:g}-beta0", {"temperature": t}) for t in (0.05, 0.1, 0.2, 0.5, 1.0)]
HARD += [(f"tau0.5-beta{b:g}", {"temperature": 0.5, "hard_beta": b}) for b in (0.5, 1.0)]


def test_variants__a_bar_an_arm_with_intervals_only_of_enough_runs():
    settings = [("plain", {}), ("ifm", {"ifm_epsilon": 0.1}), ("norm", {"ifm_epsilon": 0.1})]
    table = rows(settings, 5)
    figure: Any = variants_figure(table)
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [bar.name for bar in bars] == ["InfoNCE", "IFM", "+norm"]
    assert list(bars[0].x) == [*FACTORS, "mean"]
    own = 100 * table[table["arm"] == "ifm"]["colour"]
    assert bars[1].y[1] == pytest.approx(own.mean()) and bars[1].error_y.array[1] > 0
    assert layout_of(figure).title.text.startswith("Mean readout, above InfoNCE: IFM, +norm<br>")
    known: Any = variants_figure(table.assign(chance_shape=0.1, chance_colour=0.2, chance_texture=0.3))
    assert [line.y0 for line in layout_of(known).shapes] == pytest.approx([10, 20, 30, 20])  # and their mean
    few: Any = variants_figure(rows(settings, 3))
    bar = next(trace for trace in few.data if trace.type == "bar")
    assert not bar.error_y.visible and "not enough runs to tell" in bar.customdata[0]
    dots = [trace for trace in few.data if trace.type == "scatter"]
    assert sum(len(trace.y) for trace in dots) == 3 * 4 * 3  # each run once


def test_suppression__a_panel_a_temperature():
    settings = [("untrained", {})]
    settings += [(f"{t}-{e}", {"temperature": t, "ifm_epsilon": e}) for t in (0.05, 0.5) for e in (0.0, 0.1)]
    figure: Any = suppression_figure(rows(settings, 5))
    assert [note.text for note in layout_of(figure).annotations] == ["temperature 0.05", "temperature 0.5"]
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert [(bar.name, bar.showlegend) for bar in bars[:3]] == [
        ("InfoNCE", True), ("IFM, epsilon 0.1", True), ("InfoNCE", False),
    ]  # fmt: skip
    assert any(trace.name == "untrained" for trace in figure.data)
    assert "Mean readout with IFM, higher: temperature 0.05, temperature 0.5" in layout_of(figure).title.text


def test_tradeoff__lines_along_temperature_and_along_hardness():
    figure: Any = tradeoff_figure(rows(HARD, 3))
    lines = [trace for trace in figure.data if trace.name == "shape"]
    assert list(lines[0].x) == [0.05, 0.1, 0.2, 0.5, 1.0] and list(lines[1].x) == [0.0, 0.5, 1.0]
    assert lines[0].y[4] > lines[0].y[0]
    assert not tradeoff_figure(rows(HARD[:1], 3)).data
    with_ifm = rows([*HARD, ("tau0.05-eps0.1", {"temperature": 0.05, "ifm_epsilon": 0.1})], 3)
    both: Any = tradeoff_figure(with_ifm)  # runs with IFM are no further seeds of InfoNCE
    assert both.data[0].customdata == lines[0].customdata and both.data[0].y == lines[0].y
    enough: Any = tradeoff_figure(rows(HARD, 5))
    assert layout_of(enough).title.text.startswith(
        "Temperature 1 to 0.05, falls: shape, colour, texture; hardness"
    )


def test_loss_readout__correlates_and_says_when_it_cannot():
    figure: Any = loss_readout_figure(rows(HARD, 3))
    whole = next(trace for trace in figure.data if trace.name == "all settings")
    assert list(whole.x) == list(FACTORS) and all(value > 0.9 for value in whole.y)
    assert [trace.name for trace in figure.data if len(trace.x)] == ["all settings", "temperatures alone"]
    few: Any = loss_readout_figure(rows(HARD[:3], 3))
    assert not few.data and "3 settings, but it takes 5" in layout_of(few).annotations[0].text


@pytest.mark.parametrize("name", ["suppression", "tradeoff", "loss_readout", "ifm_table3"])
def test_figure__is_written_from_the_folder_of_a_grid(run, tmp_path, name):
    rows(HARD, 3).to_csv(tmp_path / "cells.csv", index=False)
    said = run("figure", tmp_path, name, "-o", tmp_path / "figure.json")
    assert said.code == 0 and (tmp_path / "figure.json").exists()


def test_read_grid__names_what_is_missing(run, tmp_path):
    with pytest.raises(SettingsError, match="no tradeoff in .* Run: python -m core grid hard"):
        folder_charts()["tradeoff"].draw(tmp_path, FigureOptions(), LIGHT)
    (tmp_path / "manifest.json").touch()
    with pytest.raises(SettingsError, match="which is a study. Give the folder of a grid: domains or tinted"):
        folder_charts()["ddm_table"].draw(tmp_path, FigureOptions(), LIGHT)
    (tmp_path / "manifest.json").unlink()
    (tmp_path / "cells.csv").write_text("cell,arm\na,b\n")
    with pytest.raises(SettingsError, match="is not a table of a tradeoff \\(no columns seed, temperature"):
        folder_charts()["tradeoff"].draw(tmp_path, FigureOptions(), LIGHT)
    listed = run("figure", "--list")
    assert all(f"{name} " in listed.out for name in folder_charts())
