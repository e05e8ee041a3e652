from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.charts import activation_rates
from core.charts.feature_points import Rates
from core.charts.theme import DARK, LIGHT, layout_of, traces_of


def points(fig) -> list[tuple[float, float, int]]:
    """(x, y, feature) of every drawn feature, the selection's ring left out."""
    traces = [t for t in traces_of(fig) if t.name != "selected"]
    return [(x, y, c[0]) for t in traces for x, y, c in zip(t.x, t.y, t.customdata, strict=True)]


def texts(fig) -> str:
    return " | ".join(note.text for note in layout_of(fig).annotations)


def test_sorted_activation__draws_every_feature_in_rising_order(features):
    drawn = points(activation_rates.sorted_activation(Rates(features)))
    ordered = features.sort_values("activation_rate")
    assert [p[2] for p in drawn] == list(ordered["feature"])
    assert_allclose([p[1] for p in drawn], ordered["activation_rate"])
    assert [p[0] for p in drawn] == list(range(1, 11))


def test_sorted_activation__of_a_slice_has_names_and_no_bands(features):
    named = features.assign(name=["<i>sky</i>", *[""] * (len(features) - 1)])
    fig = activation_rates.sorted_activation(Rates(named, "images of the slice"))
    assert not layout_of(fig).shapes and layout_of(fig).showlegend
    facts = {point[0]: point[2] for trace in traces_of(fig) for point in trace.customdata}
    assert facts[features["feature"].iloc[0]].startswith("<br>&lt;i&gt;sky")
    assert all("of the images of the slice" in trace.hovertemplate for trace in traces_of(fig))


def test_sorted_activation__bands_and_percentiles_are_where_they_belong(features):
    fig = activation_rates.sorted_activation(Rates(features))
    bands = [(s.x0, s.x1) for s in layout_of(fig).shapes if s.type == "rect"]
    assert bands == [(0.5, 5.5), (5.5, 9.5), (9.5, 10.5)]
    lines = [s.y0 for s in layout_of(fig).shapes if s.type == "line"]
    assert_allclose(lines, np.percentile(features["activation_rate"], [50, 95]))
    assert "50th percentile: 2.25 %" in texts(fig) and "95th percentile: 33 %" in texts(fig)
    assert "discriminative</b> 4" in texts(fig)


def test_sorted_activation__log_axis_keeps_features_that_never_fire(features):
    fig = activation_rates.sorted_activation(Rates(features), log=True)
    drawn = {feature: y for _, y, feature in points(fig)}
    assert drawn[7] == 0.25  # half of the smallest rate above 0
    assert len(drawn) == 10 and min(drawn.values()) > 0
    assert "1 never fire" in texts(fig)
    notes = {n.text: n.y for n in layout_of(fig).annotations}
    assert_allclose(notes["50th percentile: 2.25 %"], np.log10(2.25))


def test_sorted_activation__marks_the_selected_feature(features):
    def rings(selected: int) -> list:
        fig = activation_rates.sorted_activation(Rates(features), selected=selected)
        return [t for t in traces_of(fig) if t.name == "selected"]

    (ring,) = rings(6)
    assert [c[0] for c in ring.customdata] == [6] and list(ring.y) == [8.0]
    assert not rings(99)


def test_sorted_activation__uses_webgl_only_for_many_points(features, rng):
    many = pd.DataFrame({"feature": range(4096), "activation_rate": rng.gamma(1, 1, 4096), "tail": "middle"})
    assert {t.type for t in traces_of(activation_rates.sorted_activation(Rates(many)))} == {"scattergl"}
    assert {t.type for t in traces_of(activation_rates.sorted_activation(Rates(features)))} == {"scatter"}


def test_purity_scatter__leaves_out_features_without_purity(features):
    drawn = {feature: (x, y) for x, y, feature in points(activation_rates.purity_scatter(Rates(features)))}
    assert 7 not in drawn and len(drawn) == 9
    assert_allclose(drawn[3], (0.5, 90))


def test_purity_scatter__says_that_labels_are_missing(features):
    fig = activation_rates.purity_scatter(Rates(features.assign(purity=np.nan)))
    assert not traces_of(fig) and "needs class labels" in texts(fig)


def test_class_names_that_are_markup_stay_text(features):
    fig = activation_rates.purity_scatter(Rates(features.assign(top_class="<i>x</i>")))
    assert "of them &lt;i&gt;x" in traces_of(fig)[0].customdata[0][2]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_nothing_to_draw__gives_a_note(features, theme):
    empty = features.iloc[:0]
    for fig in (
        activation_rates.sorted_activation(Rates(empty), theme=theme),
        activation_rates.purity_scatter(Rates(empty), theme=theme),
    ):
        assert not traces_of(fig) and texts(fig)
        assert layout_of(fig).annotations[0].font.color == theme.muted


def test_all_rates_zero__still_draws(features):
    flat = features.assign(activation_rate=0.0, tail="lower", purity=np.nan)
    for log in (False, True):
        assert len(points(activation_rates.sorted_activation(Rates(flat), log=log))) == 10
