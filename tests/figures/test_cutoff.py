from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.figures.cutoff import apply_cutoff, cutoff_curve, cutoff_table, threshold_for

VALUES = np.array([0.1, 0.2, 0.2, 0.3, 0.4, 0.5, np.nan])
CORRECT = np.array([0, 1, 0, 1, 1, 1, 0])


def test_apply_cutoff__by_hand():
    result = apply_cutoff(VALUES, CORRECT, 0.2)
    assert (result.n_images, result.n_errors, result.n_flagged, result.n_caught) == (6, 2, 3, 2)
    assert_allclose([result.flagged, result.caught, result.precision], [50, 100, 200 / 3])
    assert_allclose([result.accuracy_rest, result.accuracy_all], [100, 400 / 6])


def test_apply_cutoff__nothing_flagged_and_everything_flagged():
    nothing, everything = apply_cutoff(VALUES, CORRECT, 0.0), apply_cutoff(VALUES, CORRECT, 1.0)
    assert nothing.n_flagged == 0 and np.isnan(nothing.precision)
    assert everything.flagged == 100 and np.isnan(everything.accuracy_rest)


def test_threshold_for__flags_the_percent_asked_for(rng):
    values = rng.random(1000)
    for percent in (0, 1, 25, 100):
        assert (values <= threshold_for(values, percent)).mean() * 100 == percent
    assert threshold_for(np.array([0.0, 0.0, 1.0]), 34) == 0.0  # a tie is flagged whole
    assert np.isnan(threshold_for(np.array([np.nan]), 10))


def test_cutoff_table__agrees_with_apply_cutoff(rng):
    values, correct = rng.integers(0, 30, 400) / 10, rng.random(400) < 0.8
    table = cutoff_table(values, correct)
    assert len(table) == len(np.unique(values))
    for _, row in table.iterrows():
        result = apply_cutoff(values, correct, row["threshold"])
        assert result.n_flagged == row["n_flagged"]
        found = result.flagged, result.caught, result.precision, result.accuracy_rest
        assert_allclose(row[["flagged", "caught", "precision", "accuracy_rest"]].astype(float), found)


def test_cutoff_table__stays_small(rng):
    assert len(cutoff_table(rng.random(100_000), rng.random(100_000) < 0.9)) <= 200


@pytest.mark.parametrize("correct", [np.ones(5), np.zeros(5)], ids=["all right", "all wrong"])
def test_cutoff_curve__says_why_there_is_none(correct):
    fig = cutoff_curve(cutoff_table(np.arange(5.0), correct))
    assert not fig.data and "no misclassified images" in fig.layout.annotations[0].text


def test_cutoff_curve__draws_the_table_and_the_choice():
    table = cutoff_table(VALUES, CORRECT)
    fig = cutoff_curve(table, flagged=50)
    assert_allclose(fig.data[0].y, table["caught"])
    assert_allclose(fig.data[1].y, table["precision"])
    assert [s.x0 for s in fig.layout.shapes] == [50]
