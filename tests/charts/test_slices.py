"""Figures of the features of a slice: points where the numbers say, names as text, notes where nothing is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.charts import slices as figures
from core.charts.theme import DARK, LIGHT, layout_of, traces_of
from tests.charts.test_features import points, texts

MARKUP = "<b>sky</b>"


@pytest.fixture
def rates() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "feature": [3, 1, 0, 7, 5],
            "name": [MARKUP, "", "red", "", ""],
            "rate": [0.5, 0.1, 0.0, 0.0, 0.02],
            "rate_against": [0.1, 0.12, 0.3, 0.0, 0.01],
            "difference": [0.4, -0.02, -0.3, 0.0, 0.01],
            "q": [0.001, 0.9, 0.002, np.nan, 0.8],
            "tail": ["middle", "upper", "lower", "lower", "middle"],
        }
    )


def test_rates_against__points_in_percent_by_significance(rates):
    fig = figures.rates_against(rates, here="bird", elsewhere="other classes")
    drawn = {feature: (x, y) for x, y, feature in points(fig)}
    assert set(drawn) == {3, 1, 0, 5}  # 7 never fires on either side
    assert_allclose(drawn[3], (10, 50))
    kinds = {trace.name: [one[0] for one in trace.customdata] for trace in traces_of(fig)}
    assert kinds == {"could be chance": [1, 5], "more often on bird": [3], "less often on bird": [0]}


def test_rates_against__names_are_text(rates):
    fig = figures.rates_against(rates, here="<i>x</i>", elsewhere="y")
    assert "&lt;b&gt;sky&lt;/b&gt; #3" in texts(fig)
    assert "&lt;i&gt;x&lt;/i&gt;" in layout_of(fig).yaxis.title.text


def test_rates_against__names_do_not_overlap(rates):
    crowd = pd.concat([rates.iloc[:1].assign(feature=n, rate=0.5 - n / 1000) for n in range(20)])
    crowd["difference"] = crowd["rate"] - crowd["rate_against"]
    notes = layout_of(figures.rates_against(crowd, here="a", elsewhere="b")).annotations
    assert [note.xanchor for note in notes if "#" in note.text] == ["left", "right"]  # one on each side


def test_rates_against__a_name_stands_on_the_side_where_it_covers_no_point_or_nowhere(rates):
    def crowded(*against: float) -> list[str]:
        """The anchors of the name of #3, with further points of its height."""
        others = [
            rates.iloc[2:3].assign(feature=10 + n, rate=0.5, rate_against=x) for n, x in enumerate(against)
        ]
        fig = figures.rates_against(pd.concat([rates, *others]), here="a", elsewhere="b")
        return [note.xanchor for note in layout_of(fig).annotations if "#3" in note.text]

    assert crowded() == ["left"]
    assert crowded(0.12, 0.14) == ["right"]
    assert crowded(0.12, 0.14, 0.04, 0.06) == []


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_nothing_to_draw__gives_a_note(rates, theme):
    silent = rates.assign(rate=0.0, rate_against=0.0)
    fig = figures.rates_against(silent, here="a", elsewhere="b", theme=theme)
    assert not traces_of(fig) and texts(fig)
