"""Figures of concepts and failures: what is drawn is what the tables say, and text stays text."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.testing import assert_array_equal

from core.charts import confusions, word_bars
from core.charts.theme import DARK, LIGHT, layout_of, traces_of

PAIRS = pd.DataFrame(
    [("cat", "dog", 7), ("dog", "cat", 2), ("ant", "<b>", 3)], columns=["true", "predicted", "n_images"]
)
CLASSES = ["ant", "<b>", "cat", "dog", "elk"]


def test_word_bars__kept_first_then_by_score_and_text_stays_text():
    frame = pd.DataFrame(
        {"word": ["sky", "<i>", "red"], "kind": "word", "score": [0.1, 0.2, 0.9], "kept": [True, True, False]}
    )
    bar = traces_of(fig := word_bars.word_bars(frame))[0]
    assert list(layout_of(fig).yaxis.ticktext) == ["&lt;i&gt;", "sky", "red"]
    assert list(bar.x) == [0.2, 0.1, 0.9]
    assert list(bar.marker.color) == [LIGHT.discriminative, LIGHT.discriminative, LIGHT.neutral]
    assert "discarded" in bar.hovertext[2]
    assert "No word" in layout_of(word_bars.word_bars(frame.head(0))).annotations[0].text
    assert len(traces_of(fig)) == 1 and layout_of(fig).xaxis.title.text == "word score"


def test_word_bars__of_names_by_majority_mark_the_other_images():
    frame = pd.DataFrame(
        {"word": ["sky", "sea"], "kind": "word", "score": [0.5, 0.9], "elsewhere": [0.1, 0.2], "kept": True}
    )
    fig = word_bars.word_bars(frame)
    assert list(layout_of(fig).yaxis.ticktext) == ["sea", "sky"]
    assert (list(traces_of(fig)[1].x), list(traces_of(fig)[1].y)) == ([0.2, 0.1], [0, 1])
    assert layout_of(fig).xaxis.title.text == word_bars.SHARES


def test_contribution_bars__two_features_of_one_name_stay_apart():
    frame = pd.DataFrame({"feature": [7, 7], "contribution": [0.5, 0.25], "words": ["sky", ""]})
    bar = traces_of(word_bars.contribution_bars(frame, colour="#123456", theme=DARK))[0]
    assert list(bar.x) == [0.5, 0.25]
    assert list(bar.y) == [0, 1]


def test_confused_classes__most_confused_in_the_order_of_the_study():
    assert confusions.confused_classes(PAIRS, CLASSES) == ["ant", "<b>", "cat", "dog"]
    assert confusions.confused_classes(PAIRS, CLASSES, most=2) == ["cat", "dog"]


def test_confusion_matrix__counts_and_a_point_on_every_cell_that_holds_any():
    fig = confusions.confusion_matrix(PAIRS, CLASSES, selected=("cat", "dog"))
    grid = np.full((5, 5), np.nan)
    grid[2, 3], grid[3, 2], grid[0, 1] = 7, 2, 3
    assert_array_equal(np.array(traces_of(fig)[0].z, float), grid)
    points = traces_of(fig)[1]
    cells = list(zip(points.customdata, points.y, points.x, strict=True))
    assert {(*names, CLASSES[y], CLASSES[x]) for names, y, x in cells} == {
        (*pair, *pair) for pair in PAIRS[["true", "predicted"]].itertuples(index=False, name=None)
    }
    assert points.marker.opacity == points.unselected.marker.opacity == points.selected.marker.opacity == 0
    framed = layout_of(fig).shapes[-1]
    assert (framed.x0, framed.x1, framed.y0, framed.y1) == (2.5, 3.5, 1.5, 2.5)
    assert layout_of(fig).xaxis.ticktext[1] == "&lt;b&gt;"


def test_confusion_matrix__its_scale_has_no_halves_of_images():
    few = PAIRS.assign(n_images=PAIRS["n_images"].clip(upper=2))
    assert traces_of(confusions.confusion_matrix(few, CLASSES))[0].colorbar.dtick == 1
    assert traces_of(confusions.confusion_matrix(PAIRS, CLASSES))[0].colorbar.dtick is None


def test_confusion_matrix__a_hundred_classes_stay_legible():
    names = [f"class {number}" for number in range(100)]
    at = np.arange(100)
    pairs = pd.DataFrame({"true": names, "predicted": np.roll(names, 1), "n_images": 1 + at})
    drawn = confusions.confused_classes(pairs, names)
    assert len(drawn) == confusions.MOST_CLASSES
    assert set(drawn) <= set(names[70:] + ["class 0"])
    fig = confusions.confusion_matrix(pairs, drawn)
    assert layout_of(fig).height < 900
    assert "no" in layout_of(confusions.confusion_matrix(pairs, names[:1])).annotations[0].text.lower()


def test_confusion_matrix__of_many_pairs_has_no_row_without_a_cell():
    pairs = pd.DataFrame({"true": [f"t{n}" for n in range(40)], "predicted": [f"p{n}" for n in range(40)]})
    pairs = pairs.assign(n_images=1)
    rows, columns = confusions.sides(pairs, confusions.confused_classes(pairs, list(pairs["true"])))
    assert len(rows) == len(columns) == confusions.MOST_CLASSES / 2
    assert set(pairs.loc[pairs["true"].isin(rows), "predicted"]) == set(columns)
