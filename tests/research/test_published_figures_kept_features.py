"""Curves of kept features ([Q] Figs 2, A.5, A.7)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from core.charts.theme import layout_of
from core.research.published_figures_kept_features import kept_features


def curves() -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "curve": ["discriminative", "discriminative", "random", "random"],
            "removed": [50.0, 0.0, 0.0, 50.0],
            "n_kept": [5, 10, 10, 5],
            "accuracy": [0.8, 0.9, 0.9, 0.6],
        }
    )
    spread = np.where(table["curve"] == "random", 0.05, 0.0)
    return table.assign(accuracy_low=table["accuracy"] - spread, accuracy_high=table["accuracy"] + spread)


def test_kept_features__orders_points_and_bands_what_was_drawn_often():
    figure: Any = kept_features({"study": curves()})
    own, band, random = figure.data
    assert list(own.x) == [0.0, 50.0] and list(own.y) == [90.0, 80.0] and list(own.customdata) == [10, 5]
    assert random.name == "equally many at random" and list(random.y) == [90.0, 60.0]
    assert band.fill == "toself" and np.isclose(max(band.y), 95.0) and np.isclose(min(band.y), 55.0)


def test_kept_features__a_panel_a_study_and_one_legend():
    figure: Any = kept_features({"before": curves(), "after <b>": curves()})
    assert [note.text for note in layout_of(figure).annotations] == ["before", "after &lt;b&gt;"]
    assert sum(bool(trace.showlegend) for trace in figure.data) == 2


def test_kept_features__says_below_what_a_reader_should_know():
    plain: Any = kept_features({"study": curves()}, notes={"study": []})
    assert not layout_of(plain).annotations
    notes = {"before": ["2 of 4 never fire.", "P_50(A) = 0 <b>"], "after": []}
    two: Any = kept_features({"before": curves(), "after": curves()}, notes=notes)
    texts = [note.text for note in layout_of(two).annotations]
    assert texts == ["before", "after", "before: 2 of 4 never fire.<br>before: P_50(A) = 0 &lt;b&gt;"]
    one: Any = kept_features({"before": curves()}, notes={"before": notes["before"]})
    assert [note.text for note in layout_of(one).annotations] == [
        "2 of 4 never fire.<br>P_50(A) = 0 &lt;b&gt;"
    ]
    assert layout_of(one).margin.b > 60 and layout_of(one).height > layout_of(plain).height


def test_kept_features__without_curves():
    assert not kept_features({"study": curves().iloc[:0]}).data


def test_figure__of_a_probe_without_curves_names_the_command(run, shared_study, tmp_path):
    said = run("figure", shared_study, "kept_features", "-o", tmp_path / "a.json")
    assert said.error.endswith(f"Run: python -m core probe {shared_study} --curves")
