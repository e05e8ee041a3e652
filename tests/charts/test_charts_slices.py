"""Figures of slices and of confusions at their edges: no mark is clipped, none stands out for nothing."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from core.charts import confusions, slices
from core.charts.causes import by_cause
from core.charts.shared_rows import LONGEST_NAME, cut_name
from core.charts.theme import layout_of, paper, traces_of

ROWS = pd.DataFrame(
    {
        "name": ["all wrong", "half"],
        "n": [10, 20],
        "errors": [10, 10],
        "error_rate": [1.0, 0.5],
        "low": [0.72, 0.3],
        "high": [1.0, 0.7],
        "rest": [0.2, 0.25],
    }
)


def test_worst__a_rate_of_100_percent_is_drawn_whole():
    fig = slices.worst(ROWS, overall=0.3)
    dots = traces_of(fig)[0]
    assert list(dots.x) == [100.0, 50.0] and dots.cliponaxis is False
    assert layout_of(fig).xaxis.range[1] > 100


def test_worst__every_slice_has_the_colour_of_the_legend():
    dots = traces_of(slices.worst(ROWS, overall=0.3))[0]
    assert isinstance(dots.marker.color, str)


def test_confusion_matrix__class_names_stand_upright_in_their_columns():
    pairs = pd.DataFrame({"true": ["cat"], "predicted": ["dog"], "n_images": [7]})
    assert layout_of(confusions.confusion_matrix(pairs, ["cat", "dog"])).xaxis.tickangle == -90


def test_confusion_matrix__numbers_only_where_there_is_room():
    names = [f"c{number}" for number in range(20)]
    pairs = pd.DataFrame({"true": names[:-1], "predicted": names[1:], "n_images": 1})
    assert not traces_of(confusions.confusion_matrix(pairs, names))[0].texttemplate
    assert traces_of(confusions.confusion_matrix(pairs.head(3), names[:4]))[0].texttemplate


def test_confusion_matrix__only_the_true_classes_asked_for():
    pairs = pd.DataFrame({"true": ["cat", "cat"], "predicted": ["ant", "dog"], "n_images": [7, 2]})
    fig = confusions.confusion_matrix(pairs, ["ant", "cat", "dog"], truths=["cat"], selected=("cat", "dog"))
    assert traces_of(fig)[0].z.tolist()[0][::2] == [7, 2] and len(traces_of(fig)[0].z) == 1
    assert list(layout_of(fig).yaxis.ticktext) == ["cat"]
    assert list(layout_of(fig).xaxis.ticktext) == ["ant", "cat", "dog"]
    assert [list(one) for one in traces_of(fig)[1].customdata] == [["cat", "ant"], ["cat", "dog"]]
    framed = layout_of(fig).shapes[-1]
    assert (framed.x0, framed.x1, framed.y0, framed.y1) == (1.5, 2.5, -0.5, 0.5)


@pytest.mark.parametrize("n", [3, 23])
def test_by_cause__names_of_scores_are_read_from_left_to_right(n):
    scores = [f"score {at}" for at in range(n)]
    table = pd.DataFrame(
        {"cause": "small", "score": scores, "n_errors": 9, "auroc": 0.5, "low": 0.4, "high": 0.6}
    )
    fig = by_cause(table)
    assert len(traces_of(fig)[0].y) == n and list(traces_of(fig)[0].x) == ["small<br>n = 9"]
    assert layout_of(fig).xaxis.tickangle == 0 and traces_of(fig)[0].text[0][0] == "0.50"
    column = layout_of(by_cause(table, theme=replace(paper(), width=256)))
    assert column.xaxis.tickangle == -90 and column.yaxis.dtick == 1  # every name, over no other


def test_cut_name__keeps_what_stands_behind_a_comma():
    name = "trees at night, with hide = yes and a small object"
    assert cut_name(name) == f"{name[: LONGEST_NAME - 1]}…" and len(name) > LONGEST_NAME
