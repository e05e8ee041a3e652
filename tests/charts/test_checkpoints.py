"""Charts of a training: a colour has one meaning, and pictures have a column per feature, a row per study."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from core.charts.checkpoints import FEATURES, PANELS, FeaturesAlong, checkpoint_numbers, picture_features
from core.charts.heat_panels import Shown
from core.charts.theme import DARK, LIGHT
from core.compare.checkpoints import DISCRIMINATIVE, TITLES

STUDIES = ["epoch1", "epoch2"]


def test_numbers__a_colour_has_one_name_and_the_legend_stands_in_the_gap() -> None:
    columns = ["value", "low", "high", "by_chance"]
    rows = [
        {"measure": measure, "study": study} | dict.fromkeys(columns, 0.5)
        for _, measures in PANELS
        for measure in measures
        for study in STUDIES
    ]
    data: Any = SimpleNamespace(frame=pd.DataFrame(rows), names=STUDIES)
    for theme in (LIGHT, DARK):
        fig: Any = checkpoint_numbers(data, theme=theme)
        named = [(one.line.color, one.name) for one in fig.data if "markers" in one.mode]
        assert len(named) == 7
        assert len(set(named)) == len({colour for colour, _ in named})
        assert fig.layout.legend.x > 0.5 and fig.layout.legend.y < 1 / 3  # five panels in two columns
        titles = [str(note.text) for note in fig.layout.annotations]
        assert TITLES[DISCRIMINATIVE] in titles  # whatever images the rest is measured on


def test_pictures__columns_of_features_and_rows_of_studies() -> None:
    shown = Shown(np.zeros((8, 8, 3), np.uint8))
    rows = [
        (
            feature,
            "blue night sky, on truck",
            [(shown if feature else None, f"#{feature + 90}, 40 %"), (shown, "")],
        )
        for feature in range(FEATURES + 2)
    ]
    fig: Any = picture_features(FeaturesAlong(pd.DataFrame(), rows, STUDIES), "inferno")
    places = [(image.x, image.y) for image in fig.layout.images]
    assert len(places) == 2 * len(rows) - 1  # the first feature is not in the first study
    heights = sorted({y for _, y in places})
    assert [sum(y == height for _, y in places) for height in heights] == [FEATURES - 1, FEATURES, 2, 2]
    texts = [note.text for note in fig.layout.annotations]
    assert [texts.count(name) for name in STUDIES] == [2, 2]
    assert "#91, 40 %" in texts and "<b>#1</b><br>blue night sky<br>on truck" in texts
