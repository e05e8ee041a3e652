"""Figures that are kept in a folder: all of them come back as they were, in their order."""

from __future__ import annotations

import json
from pathlib import Path

import plotly.graph_objects as go
import pytest

from core.charts import kept_figures
from core.charts.kept_figures import KeptFigure, kept_figure
from core.charts.theme import paper


def figure(number: int = 1) -> KeptFigure:
    drawn = go.Figure(go.Scatter(x=[1, 2], y=[number, 0.5]), layout={"width": 336, "height": 242})
    return kept_figure(drawn, "demo_roc", f"ROC {number}.", b"x,y\r\n1,2\r\n")


def test_figures__come_back_in_their_order(tmp_path: Path):
    for number in range(12):
        kept_figures.add_figure(tmp_path, figure(number))
    back = kept_figures.read_figures(tmp_path)
    assert list(back.values()) == [figure(number) for number in range(12)]
    assert kept_figures.count_figures(tmp_path) == 12
    assert list(back.values())[3].figure.to_plotly_json()["data"][0]["y"] == [3, 0.5]


def test_figures__keep_their_size_in_print():
    one = figure()
    assert (one.width, one.height, one.inches) == (336, 242, 3.5)
    theme = paper(column="double")
    double = kept_figure(go.Figure(layout={"width": theme.width, "height": 100}), "a", "", b"")
    assert double.inches == 7.25


def test_figure__is_removed_and_captioned_alone(tmp_path: Path):
    for number in range(3):
        kept_figures.add_figure(tmp_path, figure(number))
    first, second, third = kept_figures.read_figures(tmp_path)
    kept_figures.remove_figure(tmp_path, second)
    kept_figures.set_caption(tmp_path, third, " A  caption\nof two lines ")
    kept_figures.set_caption(tmp_path, second, "of none")
    back = kept_figures.read_figures(tmp_path)
    assert list(back) == [first, third] and back[third].caption == "A caption of two lines"
    kept_figures.add_figure(tmp_path, figure(7))
    assert list(kept_figures.read_figures(tmp_path).values())[-1] == figure(7)


def test_figure__moved_takes_the_place_of_its_neighbour(tmp_path: Path):
    for number in range(3):
        kept_figures.add_figure(tmp_path, figure(number))
    first, second, third = kept_figures.read_figures(tmp_path)
    kept_figures.move_figure(tmp_path, third, kept_figures.EARLIER)
    assert list(kept_figures.read_figures(tmp_path).items())[1] == (third, figure(2))
    kept_figures.move_figure(tmp_path, first, kept_figures.LATER)
    assert list(kept_figures.read_figures(tmp_path)) == [third, first, second]
    for name, step in ((third, kept_figures.EARLIER), (second, kept_figures.LATER), ("000009", 1)):
        kept_figures.move_figure(tmp_path, name, step)
    assert list(kept_figures.read_figures(tmp_path)) == [third, first, second]
    kept_figures.remove_figure(tmp_path, third)
    kept_figures.add_figure(tmp_path, figure(7))  # it stands last, whatever names were there before
    assert list(kept_figures.read_figures(tmp_path).values()) == [figure(0), figure(1), figure(7)]


@pytest.mark.parametrize("name", ["../outside", "", "a", "000001/../../outside"])
def test_figure__of_another_name_is_not_touched(tmp_path: Path, name: str):
    outside = tmp_path / "outside.json"
    outside.write_text("{}")
    folder = tmp_path / "figures"
    kept_figures.add_figure(folder, figure())
    kept_figures.remove_figure(folder, name)
    kept_figures.set_caption(folder, name, "mine")
    assert outside.read_text() == "{}" and list(kept_figures.read_figures(folder).values()) == [figure()]


def test_file_that_cannot_be_read__is_left_out(tmp_path: Path):
    kept_figures.add_figure(tmp_path, figure())
    for number, text in enumerate(("", "[]", json.dumps({"stem": "a"}), '{"drawing": 1')):
        (tmp_path / f"{90 + number}.json").write_text(text)
    assert list(kept_figures.read_figures(tmp_path).values()) == [figure()]


def test_folder_that_is_not_there__holds_none(tmp_path: Path):
    assert (
        kept_figures.read_figures(tmp_path / "none") == {}
        and kept_figures.count_figures(tmp_path / "none") == 0
    )
