"""Errors among the first images looked at: by hand, against all orders of ties, and the chart of a study."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.charts.errors_found import ERRORS_FOUND, at_shares
from core.charts.options import FigureOptions
from core.measures.score_verdicts import errors_among_first, errors_found
from core.store import open_study


def test_errors_among_first__by_hand():
    values, wrong = np.array([0.1, 0.4, 0.2, np.nan, 0.3]), np.array([True, True, False, True, False])
    assert_allclose(
        errors_among_first(values, wrong, np.arange(6)), [0, 1, 1, 1, 2, 3]
    )  # without a score: last


@pytest.mark.parametrize("seed", range(5))
def test_errors_among_first__is_the_mean_over_all_orders_of_ties(seed):
    rng = np.random.default_rng(seed)
    values, wrong = rng.integers(0, 3, 6).astype(float), rng.random(6) < 0.5
    values[rng.integers(6)] = np.nan
    key = np.nan_to_num(values, nan=9.0)
    orders = [order for order in permutations(range(6)) if (np.diff(key[list(order)]) >= 0).all()]
    mean = np.mean([np.append(0, np.cumsum(wrong[list(order)])) for order in orders], 0)
    assert_allclose(errors_among_first(values, wrong, np.arange(7)), mean)


def test_errors_found__orders_and_the_rows_asked_for(rng):
    correct = (rng.random(400) < 0.8).astype(float)
    score = rng.normal(size=400) + correct
    correct[:20] = np.nan
    frame = errors_found({"norm": score}, correct, at=33).set_index("order")
    n, n_errors = 380, int((correct == 0).sum())
    assert {4, 8, 19, 33, 38, 76, n} <= set(frame.loc["norm", "n_looked"])
    random, perfect = frame.loc["at random"], frame.loc["perfect"]
    assert_allclose(random["found"], random["n_looked"] * n_errors / n)
    assert_array_equal(perfect["found"], np.minimum(perfect["n_looked"], n_errors))
    between = frame.loc["norm", "found"].to_numpy()
    assert (between <= perfect["found"].to_numpy()).all() and between[-1] == n_errors
    assert_allclose(frame["share_found"], frame["found"] / n_errors)


@pytest.mark.parametrize(
    "correct", [np.ones(5), np.full(5, np.nan), np.empty(0)], ids=["right", "unknown", "none"]
)
def test_errors_found__nothing_to_find(correct):
    assert errors_found({"norm": np.arange(len(correct))}, correct).empty


def test_chart__counts_the_errors_of_the_images_that_are_looked_at(shared_study):
    study = open_study(shared_study)
    table = study.table("quality").loc[study.is_val]
    lowest = table.sort_values("confidence", kind="stable")["correct"].to_numpy(float)
    shown = ERRORS_FOUND.read([study], FigureOptions(images=12))
    found, n_errors = int((lowest[:12] == 0).sum()), int((lowest == 0).sum())
    start = (
        "Looking at the 12 images where the classifier's confidence is lowest "
        f"finds {found} of {n_errors} errors"
    )
    assert ERRORS_FOUND.finding(shown).startswith(f"{start}; at random {12 * n_errors / len(lowest):,.0f}")
    assert at_shares(shown)["n_looked"].is_monotonic_increasing
    of_slice = ERRORS_FOUND.read([study.where("split=train")], FigureOptions(against=("norm",)))
    assert of_slice.first == "norm" and of_slice.frame["n_looked"].max() == int((~study.is_val).sum())
