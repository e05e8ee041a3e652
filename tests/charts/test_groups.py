"""Average representations: which classes and features are shown, and that every cell is the right number."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.charts import class_representations, sparsity
from core.charts.class_representations import MeanCells
from core.charts.theme import DARK, LIGHT, layout_of, paper, traces_of

NAMES = ["ant", "<bee>", "cat"]


def test_choose_classes__those_whose_smaller_group_is_largest():
    counts = np.array([[9, 0, 40, 7, 3], [2, 50, 1, 8, 3]])
    assert_array_equal(class_representations.choose_classes(counts, most=2), [3, 4])
    assert_array_equal(
        class_representations.choose_classes(counts), [0, 2, 3, 4]
    )  # class 1 has no correct image
    assert not len(class_representations.choose_classes(np.zeros((2, 0), int)))


def test_choose_features__union_of_each_class_s_best_in_the_order_of_the_classes():
    means = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.1], [0.1, 0.3, 0.7], [1.0, 1.0, 1.0], [0.5, 0.0, 0.6]])
    discriminative = np.array([True, True, True, False, True])
    assert_array_equal(
        class_representations.choose_features(means, discriminative, [0, 1, 2], fewest=3), [0, 1, 2]
    )
    assert_array_equal(class_representations.choose_features(means, discriminative, [2, 0], fewest=2), [2, 0])
    assert_array_equal(
        class_representations.choose_features(means, discriminative, [0, 1, 2], fewest=4), [0, 1, 2, 4]
    )
    assert_array_equal(
        class_representations.choose_features(means, discriminative, [0, 1, 2], fewest=4, most=2), [0, 1]
    )
    assert not len(class_representations.choose_features(means, np.zeros(5, bool), [0]))


def test_choose_features__of_many_stays_small_and_different(rng):
    means = rng.gamma(0.3, size=(2048, 100))
    chosen = class_representations.choose_features(means, rng.random(2048) < 0.4, np.arange(10))
    assert class_representations.FEWEST_COLUMNS <= len(chosen) <= class_representations.MOST_COLUMNS
    assert len(set(chosen.tolist())) == len(chosen)
    home = means[chosen][:, :10].argmax(1)
    assert (np.diff(home) >= 0).all()


@pytest.mark.parametrize("theme", [LIGHT, DARK, paper(column="double")], ids=lambda t: t.name)
def test_class_representations__cells_are_the_means(rng, theme):
    right, wrong = rng.random((3, 8)), rng.random((3, 8))
    fig = class_representations.class_representations(
        MeanCells(right, wrong, NAMES, [2, 1], [7, 0, 3]), theme=theme
    )
    cells = {
        trace.hovertemplate.split("<br>")[1].split(":")[0]: np.array(trace.z) for trace in traces_of(fig)
    }
    assert_allclose(cells["correct"], right[[2, 1]][:, [7, 0, 3]])
    assert_allclose(cells["misclassified"], wrong[[2, 1]][:, [7, 0, 3]])
    assert_allclose(cells["difference"], (right - wrong)[[2, 1]][:, [7, 0, 3]])
    assert list(layout_of(fig).yaxis.ticktext) == ["cat", "&lt;bee&gt;"]
    assert list(layout_of(fig).xaxis3.ticktext) == ["7", "0", "3"]
    assert layout_of(fig).coloraxis.cmax == max(right[1:, [7, 0, 3]].max(), wrong[1:, [7, 0, 3]].max())
    assert layout_of(fig).coloraxis2.cmin == -layout_of(fig).coloraxis2.cmax


def test_class_representations__means_below_0_are_told_apart(rng):
    right, wrong = rng.random((3, 8)) - 0.5, rng.random((3, 8)) - 0.5  # of signed features
    cells = MeanCells(right, wrong, NAMES, [0, 1, 2], np.arange(8))
    bar = layout_of(class_representations.class_representations(cells)).coloraxis
    assert (bar.cmin, bar.cmax) == (min(right.min(), wrong.min()), max(right.max(), wrong.max()))
    below = layout_of(
        class_representations.class_representations(cells._replace(correct=wrong - 1))
    ).coloraxis
    assert below.cmin < below.cmax


def test_class_representations__columns_carry_the_words_of_their_features(rng):
    right, wrong = rng.random((3, 8)), rng.random((3, 8))
    words = {7: "blue, <sky>", 3: "a very long name of a feature", 0: ""}
    cells = MeanCells(right, wrong, NAMES, [2, 1], [7, 0, 3])
    bare = class_representations.class_representations(cells, panels=["difference"])
    fig = class_representations.class_representations(cells, panels=["difference"], words=words)
    named = ["blue, &lt;sky&gt; #7", "#0", "a very long name of a f… #3"]
    assert list(layout_of(fig).xaxis.ticktext) == named
    assert layout_of(fig).xaxis.tickangle == -40
    assert layout_of(fig).height > layout_of(bare).height  # room for them
    assert layout_of(fig).xaxis.ticklabeloverflow == "allow"  # else plotly hides the first name
    assert layout_of(fig).margin.l > (layout_of(bare).margin.l or 0)
    assert traces_of(fig)[0].text[0][0] == "cat, blue, &lt;sky&gt; #7"


def test_class_representations__with_the_difference_on_top__each_scale_stands_beside_its_panels(rng):
    right, wrong = rng.random((3, 8)), rng.random((3, 8))
    cells = MeanCells(right, wrong, NAMES, [2, 1], [7, 0, 3])
    for panels in (class_representations.PANELS, ("difference", "correct", "misclassified")):
        fig = class_representations.class_representations(cells, panels=panels)
        gap, means = layout_of(fig).coloraxis2.colorbar, layout_of(fig).coloraxis.colorbar
        assert (gap.y, means.y) == ((0, 1) if panels[-1] == "difference" else (1, 0))
        assert gap.len + means.len < 1
        assert layout_of(fig).coloraxis.showscale and layout_of(fig).coloraxis2.showscale


def test_class_representations__clicks_name_class_and_feature():
    values = np.zeros((3, 4))
    fig = class_representations.class_representations(
        MeanCells(values, values, NAMES, [2, 0], [3, 1]), panels=["correct"], selectable=True
    )
    points = traces_of(fig)[1]
    assert [tuple(p) for p in points.customdata] == [(2, 3), (2, 1), (0, 3), (0, 1)]
    assert list(zip(points.x, points.y, strict=True)) == [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_class_representations__many_columns_label_only_some_of_them(rng):
    values = rng.random((100, 400))
    fig = class_representations.class_representations(
        MeanCells(values, values, [f"c{i}" for i in range(100)], range(30), range(400)), theme=paper()
    )
    assert len(layout_of(fig).xaxis3.tickvals) <= class_representations.MOST_FEATURE_TICKS
    assert layout_of(fig).xaxis3.ticktext[1] == str(layout_of(fig).xaxis3.tickvals[1])


def test_class_representations__nothing_to_compare_is_said():
    fig = class_representations.class_representations(
        MeanCells(np.empty((0, 4)), np.empty((0, 4)), [], [], [0])
    )
    assert not traces_of(fig) and "No class has both" in layout_of(fig).annotations[0].text


def test_class_representations__a_class_without_one_group_leaves_gaps():
    right, wrong = np.array([[0.1, 0.2]]), np.array([[np.nan, np.nan]])
    fig = class_representations.class_representations(MeanCells(right, wrong, ["ant"], [0], [0, 1]))
    assert np.isnan(np.array(traces_of(fig)[1].z)).all() and layout_of(fig).coloraxis.cmax == 0.2
    assert layout_of(fig).coloraxis2.cmax == 1.0


def test_sparsity__two_lines_with_their_numbers():
    def drawn(ranks, correct, misclassified, counts):
        frame = pd.DataFrame({"rank": ranks, "correct": correct, "misclassified": misclassified})
        return sparsity.sparsity(sparsity.Sorted(frame, counts))

    fig = drawn([1, 2, 512], [0.3, 0.2, 0.0], [0.2, 0.1, 0.0], [70, 30])
    assert [trace.name for trace in traces_of(fig)] == ["correct (n = 70)", "misclassified (n = 30)"]
    assert list(traces_of(fig)[1].y) == [0.2, 0.1, 0.0]
    assert layout_of(fig).xaxis.tickvals[-1] == 512
    assert len(traces_of(drawn([1], [0.3], [np.nan], [9, 0]))) == 1
    assert not traces_of(drawn([1], [np.nan], [np.nan], [0, 0]))
