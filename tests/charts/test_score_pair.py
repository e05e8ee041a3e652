"""Risk against two scores, by a loop over the images."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from core.charts import score_pair as figures
from core.charts.options import FigureOptions
from core.charts.theme import traces_of
from core.measures.intervals import wilson


def slow_part(values: list[float], value: float, bins: int) -> int:
    below = sum(other < value for other in values)
    same = sum(other == value for other in values)
    return min(int((below + same / 2) / len(values) * bins), bins - 1)


@pytest.mark.parametrize("bins", [2, 4])
def test_pair_table__matches_loop(rng, bins):
    first, second = np.round(rng.normal(size=(2, 90)), 1)
    correct = (rng.random(90) < 0.6).astype(float)
    first[:5], second[5:8], correct[8:10] = np.nan, np.nan, np.nan
    known = [i for i in range(90) if i >= 10]
    cells: dict[tuple[int, int], list[bool]] = {}
    for i in known:
        row, col = (slow_part([float(s[k]) for k in known], float(s[i]), bins) for s in (first, second))
        cells.setdefault((row, col), []).append(correct[i] == 0)
    table = figures.pair_table(first, second, correct, bins=bins)
    assert len(table) == bins**2 and table["n"].sum() == 80
    for row in table.to_dict("records"):
        errors = cells.get((row["first"], row["second"]), [])
        assert (row["n"], row["n_errors"]) == (len(errors), sum(errors))
        if errors:
            low, high = wilson(sum(errors), len(errors))
            assert row["risk"] == pytest.approx(sum(errors) / len(errors))
            assert (row["low"], row["high"]) == pytest.approx((float(low), float(high)))
        else:
            assert np.isnan(row["risk"])


def test_pair_heat__cells_are_those_of_the_table(rng):
    first, second = rng.normal(size=(2, 400))
    correct = (rng.random(400) < 1 / (1 + np.exp(-first - second))).astype(float)
    table = figures.pair_table(first, second, correct)
    cells = np.array(traces_of(figures.pair_heat(table, figures.PAIR))[0].z, float)
    risk = table["risk"].to_numpy().reshape(4, 4)
    enough = table["n"].to_numpy().reshape(4, 4) >= figures.FEWEST
    np.testing.assert_allclose(cells[enough], 100 * risk[enough])
    assert np.isnan(cells[~enough]).all()
    said = figures.pair_finding(table, figures.PAIR)
    assert (
        said.startswith(f"{100 * risk[0, 0]:.0f} % errors") and f"{100 * risk[3, 3]:.0f} % where both" in said
    )


def test_few_images__say_nothing_of_a_corner_that_the_chart_leaves_empty():
    first = np.arange(32.0)
    table = figures.pair_table(first, (first + 6) % 32, np.ones(32))
    assert table["n"].iloc[[0, -1]].tolist() == [2, 2] and figures.FEWEST > 2
    assert figures.pair_finding(table, figures.PAIR).startswith("Share of errors by")


def test_no_images__says_so():
    nothing = figures.pair_table(np.full(3, np.nan), np.ones(3), np.ones(3))
    assert nothing.empty and not traces_of(figures.pair_heat(nothing, figures.PAIR))
    assert "no images with both scores" in figures.pair_finding(nothing, figures.PAIR)


def test_without_held_out_images__the_pair_has_confidence_in_place_of_the_similarity_to_train_images(
    monkeypatch,
):
    quality = pd.DataFrame(
        {"distinctiveness": [0.1, 0.2], "knn_similarity": [np.nan] * 2, "confidence": [0.9, 0.4]}
    )
    study: Any = SimpleNamespace(kept=lambda _: quality.assign(correct=[1.0, 0.0]))
    monkeypatch.setattr("core.charts.chart.shown_images", lambda _: np.ones(2, bool))
    data: Any = figures.SCORE_PAIR.table(study, FigureOptions())
    assert data.scores == ("distinctiveness", "confidence") and data.frame["n"].sum() == 2
