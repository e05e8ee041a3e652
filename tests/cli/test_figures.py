"""The command `figure`: lists, draws, and refuses what cannot be drawn in one line."""

from __future__ import annotations

import base64
import json

import numpy as np
import pandas as pd
import pytest

from core.charts.catalogue import NAMES
from core.charts.chart import folder_charts
from core.charts.registry import GUESTS, WORKBENCH


@pytest.mark.parametrize("words", [(), ("--list",), ("nowhere",)])
def test_without_a_name__lists_every_figure(run, words):
    said = run("figure", *words)
    assert said.code == 0
    own, _, research = said.out.partition("\nResearch:\n")
    of_workbench = [line.split()[0] for line in own.splitlines()]
    assert of_workbench == list(NAMES)[: len(WORKBENCH)]
    listed = [line.split()[0] for line in research.partition("\n\n")[0].splitlines()]
    assert [*of_workbench, *listed[: len(GUESTS)]] == list(NAMES)
    assert listed[len(GUESTS) :] == list(folder_charts())


def test_list__names_the_paper_of_each_figure(run):
    lines = {line.split()[0]: line for line in run("figure", "--list").out.splitlines() if line}
    assert "(Kalibhat 2024, Fig. 1)" in lines["sorted_activation"]
    assert "(Kalibhat's dissertation, Fig. 2.3)" in lines["ddm_features"]


def test_writes_the_figure_and_says_where(run, shared_study, tmp_path):
    out = tmp_path / "new" / "fig4.json"
    said = run(
        "figure", shared_study, "q_distribution", "-o", out, "--score", "norm", "--style", "paper-double"
    )
    assert said.code == 0 and said.out.strip() == str(out)
    figure = json.loads(out.read_text())
    assert figure["layout"]["xaxis"]["title"]["text"] == "Raw norm" and figure["layout"]["width"] == 696


def test_classes_and_features_are_lists(run, shared_study, tmp_path):
    out = tmp_path / "fig3.json"
    words = ("--classes", "bee,ant", "--features", "3, 1,2")
    assert run("figure", shared_study, "class_representations", "-o", out, *words).code == 0
    layout = json.loads(out.read_text())["layout"]
    assert layout["yaxis"]["ticktext"] == ["bee", "ant"] and layout["xaxis3"]["ticktext"] == ["3", "1", "2"]


@pytest.mark.parametrize(("words", "message"), [
    (("rocs", "-o", "x.json"), "no figure 'rocs'. Did you mean 'roc'?"),
    (("roc",), "which file? Give -o FILE"),
    (("roc", "-o", "x.gif"), "a figure can be written as .html, .svg, .png, .pdf, .json"),
    (("roc", "-o", "x.json", "--score", "norms"), "Did you mean 'norm'?"),
    (("roc", "-o", "x.json", "--with", "nowhere"), "no study at 'nowhere'"),
    (("roc", "-o", "x.json", "--features", "a,b"), "'a,b' is not a list of feature numbers"),
    (("roc", "-o", "x.json", "--style", "papers"), "Did you mean 'paper'?"),
    (("heatmaps", "-o", "x.json"), "no figure 'heatmaps'"),
    (("transferred_features", "-o", "x.json"), "--with STUDY2"),
])  # fmt: skip
def test_wrong_words__one_line_and_no_file(run, shared_study, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    try:
        said = run("figure", shared_study, *words)
    except SystemExit as stopped:  # argparse's own complaints
        assert stopped.code == 2 and message in capsys.readouterr().err
    else:
        assert message in said.error
    assert not list(tmp_path.iterdir())


def test_unknown_study__one_line(run, tmp_path):
    assert "study" in run("figure", tmp_path / "nothing", "roc", "-o", tmp_path / "x.json").error


def test_csv__the_numbers_of_the_figure(run, shared_study, tmp_path):
    out = tmp_path / "roc.csv"
    assert run("figure", shared_study, "roc", "-o", out, "--score", "norm").code == 0
    table = pd.read_csv(out)
    assert set(table["score"]) == {"norm"} and set(table["curve"]) == {"roc"}
    drawn = tmp_path / "roc.json"
    run("figure", shared_study, "roc", "-o", drawn, "--score", "norm")
    values = json.loads(drawn.read_text())["data"][0]["y"]
    shown = np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"])
    np.testing.assert_allclose(shown, 100 * table["y"])


def test_csv__a_figure_of_pictures_has_none(run, shared_study, tmp_path):
    said = run("figure", shared_study, "fda_examples", "-o", tmp_path / "x.csv")
    assert "table" in said.error and not (tmp_path / "x.csv").exists()
