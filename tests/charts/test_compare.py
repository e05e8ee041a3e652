"""Figures of several studies: what is drawn are the numbers given, names are text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.charts.catalogue import draw
from core.charts.compared_studies import class_changes, concept_matrix, score_distributions, score_table
from core.charts.theme import DARK, LIGHT, layout_of, paper, traces_of
from core.compare.measures import class_accuracy_changes
from core.store import open_study
from tests.tables import rows_where

Q = np.array([0.0, 0.1, 0.2, 0.0, 0.4, np.nan])
CORRECT = np.array([1, 1, 1, 0, 0, 1.0])


def test_score_table__by_hand():
    table = score_table({"a": (Q, CORRECT), "b": (Q + 0.1, CORRECT)}, n_bins=4)
    a = rows_where(table, (table["study"] == "a") & (table["group"] == "correct"))
    assert_allclose(a["left"], [0.1, 0.2, 0.3, 0.4])  # common bins, from the least to the largest of both
    assert_allclose(a["share"], [100 / 3, 100 / 3, 0, 0])  # of three with a score; one of them is 0
    assert a["n"].iat[0] == 3 and a["zero_share"].iat[0] == pytest.approx(100 / 3)
    wrong = rows_where(table, (table["study"] == "b") & (table["group"] == "misclassified"))
    assert_allclose(wrong["share"], [50, 0, 0, 50])
    assert wrong["zero_share"].iat[0] == 0


def test_score_table__a_score_whose_0_is_like_any_other_is_binned_whole():
    table = score_table({"a": (Q, CORRECT)}, score="confidence", n_bins=4)
    assert rows_where(table, table["group"] == "correct")["share"].sum() == pytest.approx(100)


@pytest.mark.parametrize(
    "theme", [LIGHT, DARK, paper(), paper(column="double")], ids=lambda one: str(one.width)
)
def test_score_distributions__a_panel_a_study(theme):
    table = score_table({"<b>x": (Q, CORRECT), "y": (Q, CORRECT)}, n_bins=4)
    fig = score_distributions(table, theme=theme)
    assert [trace.name for trace in traces_of(fig)] == ["correct", "misclassified"] * 2
    assert [trace.showlegend for trace in traces_of(fig)] == [True, True, False, False]
    assert traces_of(fig)[0].yaxis != traces_of(fig)[2].yaxis
    for trace in traces_of(fig):  # the first and the last bin stand on the axis, closed at their sides
        assert (
            trace.y[0] == trace.y[-1] == 0 and trace.x[0] == trace.x[1] and len(trace.x) == len(trace.y) == 6
        )
    titles = [note.text for note in layout_of(fig).annotations]
    assert titles[0].startswith("<b>&lt;b&gt;x</b>") and "33 % of correct" in titles[0]


def test_score_distributions__a_study_without_zeros_says_nothing_of_them():
    table = score_table({"x": (Q, CORRECT), "y": (np.maximum(Q, 0.1), CORRECT)}, n_bins=4)
    first, second = (note.text for note in layout_of(score_distributions(table)).annotations)
    assert "not drawn" in first and second == "<b>y</b>"


def test_score_distributions__a_title_fits_half_of_a_narrow_page():
    values, correct = np.array([0.0, 0.0, 0.4, 0.6]), np.array([1.0, 0.0, 1.0, 0.0])
    (title,) = (
        note.text
        for note in layout_of(score_distributions(score_table({"x": (values, correct)}))).annotations
    )
    assert "misclassified" in title and max(len(line) for line in title.split("<br>")) < 40


def test_class_changes__the_last_accuracy_is_apart_from_the_first_change():
    """Their labels touched in a chart of half a page."""
    table = class_accuracy_changes(
        np.array([[1.0, 0.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0]]), np.array(["p", "p", "q", "q"]), ("a", "b")
    )
    layout = layout_of(class_changes(table, "a", "b"))
    assert layout.xaxis2.domain[0] - layout.xaxis.domain[1] >= 0.08 and not layout.xaxis.ticksuffix


def test_score_distributions__nothing_to_draw_says_why():
    fig = score_distributions(score_table({"a": (np.zeros(3), np.ones(3))}))
    assert not traces_of(fig) and "0 or undefined" in layout_of(fig).annotations[0].text


def test_class_changes__in_order_of_gain_and_coloured_where_clear():
    correct = np.zeros((2, 160))
    labels = np.repeat(np.array(["ant", "<i>", "cat", "dog"], object), 40)
    correct[1, :30] = 1  # ant gains 75 points
    correct[0, 80:82], correct[1, 81:83] = 1, 1  # cat: one image each way
    correct[0, 120:140] = 1  # dog loses 50
    table = class_accuracy_changes(correct, labels, ["a", "b"], resamples=200)
    fig = class_changes(table, "a", "b")
    before, after, better, worse, chance, same = traces_of(fig)
    assert list(layout_of(fig).yaxis.ticktext)[-1] == "ant" and "&lt;i&gt;" in layout_of(fig).yaxis.ticktext
    assert_allclose(after.x, 100 * correct[1].reshape(4, 40).mean(1)[[3, 1, 2, 0]])
    assert list(better.x) == [75] and list(worse.x) == [-50] and list(chance.x) == list(same.x) == [0]
    assert (better.marker.color, worse.marker.color) == (LIGHT.correct, LIGHT.misclassified)
    assert [one.name for one in traces_of(fig)[2:]] == ["better", "worse", "could be chance", "the same"]
    assert_allclose(np.array(before.x), 100 * correct[0].reshape(4, 40).mean(1)[[3, 1, 2, 0]])
    assert set(before.customdata[:, 0]) == {"40 images"}


def test_class_changes__many_classes_shows_those_that_changed_most(rng):
    labels = np.repeat([f"c{n:02d}" for n in range(50)], 10).astype(object)
    correct = (rng.random((2, 500)) < 0.5).astype(float)
    table = class_accuracy_changes(correct, labels, ["a", "b"], resamples=20)
    fig = class_changes(table, "a", "b", most=10)
    size = np.sort(np.abs(rows_where(table, table["study"] == "b")["difference"]))[-10:]
    drawn = np.abs(np.concatenate([trace.x for trace in traces_of(fig)[2:]]))
    assert_allclose(np.sort(drawn), 100 * size)


def test_class_changes__without_verdicts_says_so():
    fig = class_changes(class_accuracy_changes(np.empty((2, 0)), np.empty(0, object), ["a", "b"]), "a", "b")
    assert not traces_of(fig) and "No class" in layout_of(fig).annotations[0].text


def test_concept_matrix__cells_and_hover():
    matrix = pd.DataFrame([[4, 1], [1, 2]], index=["<x>", "y"], columns=["<x>", "y"])
    (cells,) = traces_of(concept_matrix(matrix))
    assert np.array(cells.z).tolist() == [[4, 1], [1, 2]]
    assert cells.hovertext[0][1] == "&lt;x&gt; and y share 1 words (25 % of &lt;x&gt;'s)"
    assert not traces_of(concept_matrix(pd.DataFrame()))


@pytest.mark.exhaustive("tests/contract/test_one_number.py draws it")
@pytest.mark.slow
def test_catalogue__q_of_two_studies_is_a_panel_each(shared_study, study_path):
    other = open_study(study_path("other"))
    fig = draw([open_study(shared_study), other], "q_distribution")
    assert len(traces_of(fig)) == 4
    assert [note.text.partition("</b>")[0] for note in layout_of(fig).annotations] == [
        "<b>shared",
        "<b>other",
    ]
