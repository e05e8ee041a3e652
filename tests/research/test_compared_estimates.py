"""Accuracy without labels in a comparison: differences are paired only where the images are the same."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.compare.images import shared_images
from core.research.transfer_learning_estimates import (
    METHODS,
    estimate_sentences,
    estimate_table,
    estimates_by_method,
)
from core.research.transfer_learning_own_probe import ENDS
from core.store import open_study
from core.study.writer import write_study
from tests import small
from tests.sentences import numbers
from tests.tables import rows_where

FACTS = {"source_name": "labelled", "n_images": 6, "by": "atc", "error": 0.04, "error_assumed": 0.09}
TESTS = {
    "margin": 0.2,
    "noise": 0.03,
    "n_slices": 12,
    "n_copies": 15,
    "noise_slices": 0.04,
    "noise_copies": 0.02,
}
NAMES = [end[1:] or "estimate" for end in ENDS]


def keep(folder, estimates, draws, *, known="k", new="n", seed=0):
    table = pd.DataFrame(np.nan, index=range(len(METHODS)), columns=NAMES)
    table.insert(0, "method", METHODS)
    table["estimate"], table["margin"] = estimates, 0.1
    table["error_slices"], table["gain_slices"] = 0.05, 0.02
    table["gain_slices_low"], table["gain_slices_high"] = 0.005, 0.041
    settings = {"source": "labelled", "resamples": len(draws), "seed": seed}
    with write_study(folder) as writer, writer.step("accuracy", settings, ("representations",)) as out:
        out.table("accuracy_estimates", table)
        out.table("accuracy_draws", pd.DataFrame(draws, columns=list(METHODS)))
        out.summary = {**FACTS, **TESTS, "truth": None, "of_images": {"known": known, "new": new}}
    return open_study(folder)


@pytest.fixture
def two(tmp_path):
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        small.write_small_study(folder)
    return folders


def test_difference__is_that_of_the_same_resamples(two, rng):
    shared_part = rng.normal(scale=0.1, size=(80, 1))
    draws = [0.7 + shared_part + rng.normal(scale=0.01, size=(80, len(METHODS))) for _ in two]
    points = [np.array([0.8, 0.7, 0.75, 0.6, 0.65]), np.array([0.8, 0.74, 0.7, 0.61, 0.6])]
    studies = [keep(*each) for each in zip(two, points, draws, strict=True)]
    table = estimate_table(shared_images(studies))
    first, second = (rows_where(table, table["study"] == name) for name in ("one", "other"))
    assert set(first["against"]) == {""} and first["difference"].isna().all()
    assert set(second["against"]) == {"one"}
    for number, row in enumerate(second.to_dict("records")):
        gaps = sorted(float(b - a) for a, b in zip(draws[0][:, number], draws[1][:, number], strict=True))
        ends = np.percentile(gaps, [2.5, 97.5])
        assert (row["method"], row["difference"]) == (METHODS[number], points[1][number] - points[0][number])
        assert (row["difference_low"], row["difference_high"]) == pytest.approx(tuple(ends))
    assert (second["difference_high"] - second["difference_low"]).max() < 0.1  # .4 if the draws were no pairs
    alone, paired = estimate_sentences(table)
    assert "paired" not in alone
    assert numbers(alone)[:7] == ["70.0", "50.0", "90.0", "6", "12", "15", "4.0"]
    assert "+4.0" in numbers(paired) and "against one" in paired
    assert first["low"].tolist() == pytest.approx(
        points[0] - 0.1
    )  # of a method that is not the chosen one, too
    formatted = estimates_by_method(table)
    assert set(formatted["Error on slices, points"]) == {"5.0 (−4.1 to −0.5)"}
    assert formatted["Accuracy, %"].tolist()[1] == "70.0 (60.0 to 80.0)"
    assert set(formatted["By chance alone, points"]) == {"4.0 and 2.0"}


@pytest.mark.parametrize("other", [{"known": "x"}, {"new": "x"}, {"seed": 1}])
def test_difference__is_not_given_for_other_images(two, other):
    draws = np.full((9, len(METHODS)), 0.5)
    studies = [keep(two[0], 0.7, draws), keep(two[1], 0.7, draws, **other)]
    table = estimate_table(shared_images(studies))
    assert set(table["against"]) == {""} and table["difference"].isna().all()
    assert not any("paired" in line for line in estimate_sentences(table))


def test_study_of_before__has_no_draws_and_opens(two):
    for folder in two:
        table = pd.DataFrame({"method": METHODS, "estimate": 0.7, "low": 0.6, "high": 0.8})
        table = table.assign(error_slices=0.04, error_copies=np.nan)
        with write_study(folder) as writer, writer.step("accuracy", {}, ("representations",)) as out:
            out.table("accuracy_estimates", table)
            out.summary = {**FACTS, "truth": None}
    table = estimate_table(shared_images([open_study(folder) for folder in two]))
    assert len(table) == 2 * len(METHODS) and set(table["against"]) == {""}
    formatted = estimates_by_method(table)
    assert set(formatted["Error on slices, points"]) == {"4.0"} and set(formatted["Accuracy, %"]) == {"70.0"}
    assert "right on 70.0 % of 6 images" in estimate_sentences(table)[0]  # no margin was kept
