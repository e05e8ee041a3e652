"""The small words and numbers that every view shows."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from core.common.score_names import SCORES
from core.store import open_study
from core.study.writer import write_study
from dashboard.cache import reads
from dashboard.components import tooltips, widgets


@pytest.mark.parametrize("value", [None, math.nan, pd.NA])
def test_undefined_numbers_are_said_in_words(value):
    assert widgets.undefined(value)
    if value is not pd.NA:
        assert widgets.number(value) == "not defined"
        assert widgets.percent(value) == "not defined"


def test_interval__without_bounds_is_the_value_alone():
    assert widgets.interval(0.5, math.nan, math.nan) == "0.500"


def test_plain__markup_cannot_take_effect():
    hostile = "<b>**x**</b> $a$ :material/home: [l](u) `c` ~~s~~ # h"
    shown = widgets.plain(hostile)
    assert shown.replace("\\", "").replace(tooltips.JOINER, "") == hostile
    for sign in "<*$:[`~#":
        assert f"\\{sign}" in shown


@pytest.mark.parametrize(
    "text",
    [
        ":material/home:",
        "a :smile: b",
        ":streamlit:",
        "HTTPS://x.org",
        "www.x.org",
        "a@x.org",
        "a -> b",
        "<->",
    ],
)
def test_plain__nothing_that_streamlit_would_replace_is_left(text):
    """It replaces these in the text that Markdown has made, from which the backslashes are gone."""
    shown = widgets.plain(text).replace("\\", "")
    assert shown != text and shown.replace(tooltips.JOINER, "") == text


@pytest.mark.parametrize("text", ["16:9", "a: b", "dog/1.jpg", "x-y", "a->b", "@home", "night sky"])
def test_plain__other_texts_get_backslashes_alone(text):
    assert widgets.plain(text).replace("\\", "") == text


def test_every_score_is_explained():
    assert set(SCORES) <= set(tooltips.TEXTS)


@pytest.mark.parametrize("key", tooltips.TEXTS)
def test_explanations_are_sentences(key):
    text = tooltips.TEXTS[key]
    assert text.what.endswith(".") or ":" in text.what
    assert text.what in tooltips.help_text(key)


def test_caption__truth_first_then_what_the_probe_predicts_and_how_sure_it_is():
    fact = {"image_id": "val/1.png", "split": "val", "label": "cat", "predicted": "dog", "confidence": 0.954}
    assert widgets.caption_lines(fact) == ("cat → dog, 95 %",)
    assert widgets.caption_lines(fact | {"predicted": "cat"}) == ("cat, 95 %",)
    assert widgets.caption_lines(fact | {"predicted": pd.NA, "confidence": np.nan}) == ("cat",)


def test_caption__without_label_is_the_file_name():
    assert widgets.caption_lines({"image_id": "a/b/c.png", "label": None, "split": "val"}) == ("c.png",)


@pytest.mark.exhaustive("tests/measures/test_feature_names.py names features")
@pytest.mark.slow
def test_feature_name__holds_its_two_best_words(study_path):
    """Neither a part of the other; a group of features, and what was discarded, name nothing."""
    folder = study_path("named")
    rows = [
        *[("3", 1, "night", True), ("3", 2, "night sky", True), ("3", 3, "blue", True)],
        ("3", 4, "cat", True),
        *[("5", 1, "dog", False), ("5", 2, "bone", True), ("4+6", 1, "tree", True)],
    ]
    concepts = pd.DataFrame(rows, columns=["group", "rank", "word", "kept"])
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", concepts)
    study = open_study(folder)
    names = [reads.feature_name(study, feature) for feature in (3, 4, 5)]
    assert names == ["Feature 3 (night, blue)", "Feature 4", "Feature 5 (bone)"]


def test_fitted_table__last_columns_that_would_be_cut_are_named_below():
    def page():
        import pandas as pd  # noqa: PLC0415
        import streamlit as st  # noqa: PLC0415

        from dashboard.components import widgets  # noqa: PLC0415

        titled = st.column_config.NumberColumn("Rank (of all)", width=80)
        described = {"word": {"width": widgets.ROOM - 100}, "score": {"width": 100}, "rank": titled}
        frame = pd.DataFrame({"word": ["sea"], "score": [0.5], "rank": [1]})
        widgets.fitted_table(frame.loc[:, ["word", "score"]], described, alt="two fit")
        widgets.fitted_table(frame, described, alt="the third does not")

    app = AppTest.from_function(page).run()
    assert not app.exception
    assert [list(table.proto.column_order) for table in app.dataframe] == [["word", "score"]] * 2
    assert list(app.dataframe[1].value) == ["word", "score", "rank"]  # the menu can still show it
    (more,) = app.caption
    assert "Rank" in more.value
