"""Figures of one feature: numbers where they belong, names as text, notes where there is nothing to draw."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.charts import one_feature as figures
from core.charts.theme import DARK, LIGHT, layout_of, traces_of
from tests.charts.test_features import texts


def test_class_shares__are_percent_of_each_class(rng):
    """Most images first, also where another class is small and all of it."""
    table = figures.class_shares(np.array([1, 8, 0]), np.array([1, 10, 0]), ["ant", "zebra", "gone"])
    assert list(table["class"]) == ["zebra", "ant", "gone"]
    assert_allclose(table["share"], [80, 100, np.nan])
    assert_allclose(table["part"], [800 / 9, 100 / 9, 0])


def test_class_bars__show_the_top_classes_and_the_rest_together():
    names = [f"c{i:02d}" for i in range(30)]
    counts = np.arange(30, 0, -1)
    bar = traces_of(figures.class_share_bars(figures.class_shares(counts, np.full(30, 50), names)))[0]
    assert list(bar.y) == [*names[:12], "18 other classes"]
    assert_allclose(bar.x[:12], 100 * counts[:12] / counts.sum())
    assert_allclose(bar.x[12], 100 * counts[12:].sum() / counts.sum())


def test_class_bars__one_class_only():
    bar = traces_of(figures.class_share_bars(figures.class_shares(np.array([4]), np.array([8]), ["zebra"])))[
        0
    ]
    assert list(bar.y) == ["zebra"] and list(bar.x) == [100.0]


def test_activation_histogram__area_is_the_share_of_images():
    counts, edges = np.array([0, 6, 3, 1, 0]), np.array([-0.1, 0.0, 0.1, 0.4, 0.8, 1.0])
    bar = traces_of(figures.activation_histogram(counts, edges))[0]
    assert_allclose(np.array(bar.y) * np.array(bar.width), [0.6, 0.3, 0.1])
    assert_allclose(np.array(bar.x) - np.array(bar.width) / 2, [0.0, 0.1, 0.4])  # empty outer bins are cut


def test_activation_histogram__shades_the_thresholds():
    fig = figures.activation_histogram(np.ones(4), np.linspace(0, 1, 5), threshold=(0.2, 0.3))
    assert [(s.x0, s.x1) for s in layout_of(fig).shapes] == [(0.2, 0.3)]
    assert layout_of(fig).shapes[0].line.width >= 1  # in sparse codes all thresholds lie within a pixel


def test_activation_histogram__marks_single_images():
    fig = figures.activation_histogram(
        np.ones(4), np.linspace(0, 1, 5), marked=np.array([0.3, 0.7]), marked_name="<b>x</b>"
    )
    assert list(traces_of(fig)[1].x) == [0.3, 0.7]
    assert traces_of(fig)[1].name == "&lt;b&gt;x&lt;/b&gt;"


def test_class_bars__selected_classes_stand_out():
    shares = figures.class_shares(np.array([4, 3]), np.array([8, 8]), ["ant", "<b>bee</b>"])
    bar = traces_of(figures.class_share_bars(shares, selected=["<b>bee</b>"], images="evaluation images"))[0]
    assert list(bar.marker.color) == [LIGHT.discriminative, LIGHT.accent]


def test_push_bars__both_ends():
    push = pd.DataFrame({"label": list("abcdef"), "push": [3.0, 2.0, 1.0, -1.0, -2.0, -3.0]})
    bar = traces_of(figures.push_bars(push, most=2, selected=["b"]))[0]
    assert list(bar.x) == [3, 2, -2, -3]
    assert list(bar.text) == ["+3.00", "+2.00", "\N{MINUS SIGN}2.00", "\N{MINUS SIGN}3.00"]
    assert list(bar.marker.color) == [LIGHT.correct, LIGHT.accent, LIGHT.misclassified, LIGHT.misclassified]
    assert len(traces_of(figures.push_bars(push, most=3))[0].x) == 6
    assert len(traces_of(figures.push_bars(push, most=2, also=["b"]))[0].x) == 4  # it has a bar already
    middle = str(push["label"].iat[len(push) // 2])
    assert len(traces_of(figures.push_bars(push, most=2, also=[middle]))[0].x) == 5


def test_heat_lifts__with_intervals():
    rows = pd.DataFrame(
        {
            "mask": ["core", "spurious"],
            "n": [20, 12],
            "lift": [1.4, 0.9],
            "lift_low": [1.2, 0.8],
            "lift_high": [1.7, np.nan],
        }
    )
    fig = figures.heat_lifts(rows)
    assert_allclose(traces_of(fig)[0].error_x.array, [0.3, 0.0])
    assert_allclose(traces_of(fig)[0].error_x.arrayminus, [0.2, 0.1])
    assert "uniform heatmap" in texts(fig)


def test_class_names_that_are_markup_stay_text():
    table = figures.class_shares(np.array([4]), np.array([8]), ["<b>R&D</b>"])
    assert list(traces_of(figures.class_share_bars(table))[0].y) == ["&lt;b&gt;R&amp;D&lt;/b&gt;"]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_nothing_to_draw__gives_a_note(theme):
    nothing = pd.DataFrame({"label": ["a"], "push": [np.nan], "mask": ["core"], "lift": [np.nan]})
    for fig in (
        figures.class_share_bars(figures.class_shares(np.zeros(3), np.ones(3), list("abc")), theme=theme),
        figures.activation_histogram(np.zeros(3), np.arange(4.0), theme=theme),
        figures.push_bars(nothing, theme=theme),
        figures.heat_lifts(nothing, theme=theme),
    ):
        assert not traces_of(fig) and texts(fig)
        assert layout_of(fig).annotations[0].font.color == theme.muted


def test_class_names_that_are_long_are_their_first_synonym():
    names = ["thresher, thrasher, threshing machine", "n01440764"]
    shares = figures.class_shares(np.array([4, 3]), np.array([8, 8]), names)
    fig = figures.class_share_bars(shares)
    assert list(layout_of(fig).yaxis.ticktext) == ["thresher", "tench"]
    push = pd.DataFrame({"label": names, "push": [3.0, -2.0]})
    assert list(layout_of(figures.push_bars(push)).yaxis.ticktext) == ["thresher", "tench"]
