"""The recipe for a new chart in CONTRIBUTING.md: its file and its row are all that a chart needs."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from core.charts.options import FigureOptions
from core.charts.registry import CHARTS, charts_of
from core.store import open_study
from tests.test_architecture import ROOT

ROW = '"core.charts.firing_count:FIRING_COUNT"'


@pytest.fixture
def recipe(tmp_path, monkeypatch) -> str:
    """The name of the recipe's chart: its file lies in another package, and its row is in the table."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## A new chart")[2]
    assert ROW in text
    file = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert file is not None
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "firing_count.py").write_text(file[1], encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    (chart,) = charts_of([ROW.strip('"').replace("core.charts", "recipes")]).values()
    monkeypatch.setitem(CHARTS, chart.name, chart)
    return chart.name


def test_recipe__the_command_lists_draws_and_tabulates_it(recipe, run, shared_study, tmp_path):
    listed = next(line for line in run("figure", "--list").out.splitlines() if line.startswith(recipe))
    assert "by correctness" in listed and listed.endswith("needs quality")
    out = tmp_path / "chart.json"
    assert run("figure", shared_study, recipe, "-o", out, "--style", "paper").code == 0
    figure = json.loads(out.read_text(encoding="utf-8"))
    assert [trace["name"] for trace in figure["data"]] == ["correct", "misclassified"]
    assert figure["layout"]["width"] == 336
    numbers = tmp_path / "chart.csv"
    assert run("figure", shared_study, recipe, "-o", numbers).out.strip() == str(numbers)
    table, study = pd.read_csv(numbers), open_study(shared_study)
    assert list(table) == ["n_firing_discriminative", "correct", "n_images", "study", "answer", "slice"]
    judged = study.table("quality").loc[study.is_val].dropna(subset=["correct"])
    assert table["n_images"].sum() == len(judged) > 0
    few = judged.loc[judged["n_firing_discriminative"] == 0, "correct"]
    assert_array_equal(table.loc[table["n_firing_discriminative"] == 0, "n_images"].sum(), len(few))


def test_recipe__a_slice_has_numbers_of_its_own(recipe, run, shared_study, tmp_path):
    study = open_study(shared_study)
    label = study.class_names[0]
    out = tmp_path / "slice.csv"
    assert run("figure", shared_study, recipe, "-o", out, "--where", f"label={label}").code == 0
    table, images = pd.read_csv(out), study.images
    inside = (images["label"] == label).to_numpy() & study.is_val
    judged = study.table("quality").loc[inside, "correct"].notna()
    assert table["n_images"].sum() == judged.sum() > 0
    assert set(table["slice"]) == {f"split=val label={label}"}


@pytest.mark.slow
def test_recipe__states_its_finding(recipe, pictured):
    shown = CHARTS[recipe].read([pictured], FigureOptions())
    assert CHARTS[recipe].finding(shown)
