"""The scale of mIoU: every number stands where it belongs, and no label lies on another."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from core.charts.miou_scale import CONTROL_NAMES, Place, label_places, miou_scale
from core.charts.theme import DARK, LIGHT, layout_of, paper, traces_of

CROWDED = {"noise": 0.2, "uniform": 0.21, "centre": 0.22, "ceiling": 0.23}
LOW = {"noise": 0.0, "uniform": 0.005, "centre": 0.01, "ceiling": 0.03}
HIGH = {"noise": 0.9, "uniform": 0.95, "centre": 0.99, "ceiling": 1.0}
SPREAD = {"noise": 0.18, "uniform": 0.2, "centre": 0.5, "ceiling": 0.79}


def scale(controls: dict[str, float], encoder: float = 0.36, masks=("core", "spurious")) -> pd.DataFrame:
    rows = [
        (mask, name, value, value - 0.02, value + 0.02, 40)
        for mask in masks
        for name, value in {"encoder": encoder, **controls}.items()
    ]
    return pd.DataFrame(rows, columns=["mask", "heatmap", "value", "low", "high", "n"])


@pytest.mark.parametrize(
    "theme", [LIGHT, DARK, paper(column="double"), paper()], ids=lambda t: f"{t.name}{t.width}"
)
@pytest.mark.parametrize("controls", [CROWDED, SPREAD, LOW, HIGH], ids=["crowded", "spread", "low", "high"])
def test_labels_never_overlap__and_no_line_runs_through_one(controls, theme):
    places = label_places(scale(controls, masks=("core",)), theme)
    assert set(places) == set(controls)
    for one, other in combinations(places.values(), 2):
        assert not one.clashes(other), (one, other)


def test_labels__rows_by_hand():
    one, other = Place("a", 0, "center", 50, 20, 80), Place("b", 0, "center", 120, 90, 150)
    assert not one.clashes(other) and one.clashes(replace(other, left=85))
    below = Place("c", 1, "center", 60, 20, 100)
    assert below.clashes(one) and one.clashes(below)  # its line runs through the first label
    assert not below.clashes(other)


def test_labels__far_apart_stand_in_one_row_below_their_marks():
    apart = {"noise": 0.1, "uniform": 0.33, "centre": 0.57, "ceiling": 0.86}
    places = label_places(scale(apart, masks=("core",)), LIGHT).values()
    assert {(place.row, place.anchor) for place in places} == {(0, "center")}


def test_labels__two_close_marks_stand_on_either_side_of_them():
    places = label_places(scale(SPREAD, masks=("core",)), LIGHT)
    assert {place.row for place in places.values()} == {0}
    assert places["noise"].right <= places["uniform"].left


def test_marks_and_labels__are_the_numbers():
    fig = miou_scale(scale(SPREAD))
    marks, point = traces_of(fig)[0], traces_of(fig)[1]
    assert list(marks.x) == sorted(SPREAD.values())
    assert list(point.x) == [0.36] and point.error_x.array[0] == pytest.approx(0.02)
    said = [note.text for note in layout_of(fig).annotations]
    for name, value in SPREAD.items():
        assert f"{CONTROL_NAMES[name]} {value:.2f}" in said
    assert "<b>encoder 0.36</b> (0.34 to 0.38)" in said
    places = {note.text: note.x for note in layout_of(fig).annotations}
    assert places["best possible 0.79"] == 0.79
    assert len(traces_of(fig)) == 4 and len(layout_of(fig).yaxis.ticktext) == 2


def test_only_core_masks__one_scale():
    fig = miou_scale(scale(SPREAD, masks=("core",)))
    assert len(traces_of(fig)) == 2 and "core mask" in layout_of(fig).yaxis.ticktext[0]
    assert layout_of(fig).height < layout_of(miou_scale(scale(SPREAD))).height


def test_values_that_are_not_known__are_left_out():
    table = scale(SPREAD)
    table.loc[table["heatmap"] == "ceiling", "value"] = np.nan
    assert len(traces_of(miou_scale(table))[0].x) == 3
    table["value"] = np.nan
    assert "no overlap to draw" in layout_of(miou_scale(table)).annotations[0].text


@pytest.mark.parametrize(("value", "anchor"), [(0.02, "left"), (0.5, "center"), (0.97, "right")])
def test_label_of_the_encoder__stays_on_the_page(value, anchor):
    notes = layout_of(miou_scale(scale(SPREAD, encoder=value))).annotations
    assert {note.xanchor for note in notes if "encoder" in note.text} == {anchor}
