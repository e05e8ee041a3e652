"""Figures of groups: what is counted, drawn and said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.charts import concept_groups as figures
from core.charts.theme import layout_of, traces_of
from tests.tables import rows_where

GROUPS = pd.DataFrame(
    {
        "n_images": [1, 1, 2, 12, 30, 31],
        "n_features": [1, 2, 3, 2, 1, 2],
        "interpretable": [False, False, False, True, False, True],
        "large": [False, False, False, True, True, True],
    }
)
UNITS = pd.DataFrame(
    {
        "group": ["3", "1+2", "4+5", "9"],
        "n_features": [1, 2, 2, 1],
        "n_images": [40, 12, 15, 11],
        "clip_cosine": [0.5, 0.9, 0.7, np.nan],
    }
)


@pytest.mark.parametrize("top", [1, 2, 9, 10, 11, 47, 1000])
def test_size_classes__every_size_is_in_the_class_that_names_it(top):
    edges, names = figures.size_classes(np.arange(1, top + 1))
    assert len(names) == len(edges) - 1
    for size in range(1, top + 1):
        at = int(np.searchsorted(edges, size, side="right")) - 1
        ends = [int(end) for end in names[at].split(" to ")]
        assert ends[0] <= size <= ends[-1]
        assert len(ends) == 2 or size <= 10


@pytest.mark.parametrize("size", ["n_images", "n_features"])
def test_count_by_size__adds_up_and_matches_a_loop(size):
    counts = figures.count_by_size(GROUPS, size)
    parts = counts["n_interpretable"] + counts["n_other"] + counts["n_small"]
    assert parts.tolist() == counts["n_groups"].tolist()
    assert counts[["n_interpretable", "n_other", "n_small"]].sum().tolist() == [2, 1, 3]
    row: Any
    for _, row in counts.iterrows():
        ends = [int(end) for end in row["size"].split(" to ")]
        low, high = ends[0], ends[-1]
        inside = GROUPS[(GROUPS[size] >= low) & (GROUPS[size] <= high)]
        assert row["n_groups"] == len(inside)
        assert row["n_interpretable"] == inside["interpretable"].sum()


def test_group_sizes__bars_are_stacked_and_kinds_without_groups_left_out():
    counts = figures.count_by_size(rows_where(GROUPS, GROUPS["n_images"] < 5), "n_images")
    bars = [trace for trace in traces_of(figures.group_sizes(counts, size="n_images")) if trace.type == "bar"]
    assert [bar.name for bar in bars] == ["too few images"]
    assert list(bars[0].y) == [2, 1]


def test_group_sizes__says_that_there_are_none():
    counts = figures.count_by_size(GROUPS.iloc[:0], "n_images")
    figure = figures.group_sizes(counts, size="n_images")
    assert layout_of(figure).annotations[0].text == figures.NO_GROUPS


def test_interpretability__points_say_which_group_they_are():
    names = ["a", "<b>b</b>", "c", "d"]
    figure = figures.interpretability(UNITS, gamma=0.8, names=names, selected="4+5")
    single, joint, ring = traces_of(figure)
    assert [custom[0] for custom in joint.customdata] == ["1+2", "4+5"]
    assert list(joint.y) == [0.9, 0.7] and list(joint.x) == [12, 15]
    assert "&lt;b&gt;" in joint.hovertext[0]
    assert [custom[0] for custom in single.customdata] == ["3"]  # NaN is not drawn
    assert (list(ring.x), list(ring.y)) == ([15], [0.7])
    assert layout_of(figure).shapes[0].y0 == 0.8


def test_interpretability__nothing_to_compare():
    figure = figures.interpretability(UNITS.iloc[3:], gamma=0.8, names=["d"])
    assert layout_of(figure).annotations[0].text == figures.NO_COSINES


CONCEPTS = pd.DataFrame(
    [
        ("1+2", "yellow cat", 0.4, True),
        ("1+2", "yellow", 0.6, True),
        ("1", "yellow", 0.7, True),
        ("1", "tree", 0.3, True),
        ("2", "grass", 0.9, False),
        ("2", "<i>snow</i>", 0.5, True),
        ("8", "other", 0.9, True),
    ],
    columns=["group", "word", "score", "kept"],
)


def test_word_table__the_joint_words_first_then_the_members_own():
    table = figures.word_table(CONCEPTS, ["1+2", "1", "2"])
    assert list(table.index) == ["yellow", "yellow cat", "<i>snow</i>", "tree"]
    assert list(table.columns) == ["1+2", "1", "2"]
    expected = [[0.6, 0.7, np.nan], [0.4, np.nan, np.nan], [np.nan, np.nan, 0.5], [np.nan, 0.3, np.nan]]
    np.testing.assert_array_equal(table.to_numpy(), expected)
    assert len(figures.word_table(CONCEPTS, ["1+2", "1", "2"], most=2)) == 2


def test_word_table__a_member_without_words_keeps_its_column():
    assert figures.word_table(CONCEPTS, ["1+2", "77"])["77"].isna().all()


def test_word_matrix__text_is_text_and_the_joint_column_is_framed():
    names = {"1+2": "together", "1": "1 alone", "2": "2 alone"}
    table = figures.word_table(CONCEPTS, ["1+2", "1", "2"])
    figure = figures.word_matrix(table, names, joint="1+2")
    assert "&lt;i&gt;snow&lt;/i&gt;" in layout_of(figure).yaxis.ticktext
    assert list(traces_of(figure)[0].text[1]) == ["0.40", "", ""]
    assert (layout_of(figure).shapes[0].x0, layout_of(figure).shapes[0].x1) == (-0.5, 0.5)
    assert "not among its words" in traces_of(figure)[0].hovertext[1][1]
