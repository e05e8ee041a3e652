"""Overlap by class and by correctness of a slice: equal to loops, and to what the step stores of all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.common.statistics.intervals import mean_interval
from core.slices.inspection.overlap_groups import class_means, class_overlaps, group_overlaps
from core.slices.slice import Slice
from core.store import open_study
from tests.synthetic import make_seen_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return open_study(make_seen_study(tmp_path_factory.mktemp("seen") / "seen"))


def test_class_means__match_loops(rng):
    labels, values = rng.integers(0, 5, 60), rng.random(60)
    labels[labels == 3] = 2
    labels[0], values[:5] = 3, np.nan  # class 3 has one image, without a value
    labels[7] = 4
    found = class_means(labels, values, 6)
    for number in range(6):
        mean, low, high, n = mean_interval(values[labels == number])
        expected = mean, np.clip(low, 0, 1), np.clip(high, 0, 1), n
        assert_allclose([column[number] for column in found], expected, rtol=1e-12)


def test_class_means__no_interval_from_a_single_image():
    mean, low, high, n = class_means(np.array([1, 1, 0]), np.array([0.2, 0.4, 0.7]), 3)
    assert_allclose(mean, [0.7, 0.3, np.nan])
    assert_allclose(high[1], 1.0)  # 12.7 standard errors, clipped
    assert np.isnan(low[[0, 2]]).all() and n.tolist() == [1, 2, 0]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["paper", "binary", "soft", "energy"])
def test_all_images__are_the_means_that_the_step_stores(study, variant):
    everything = np.ones(study.n_images, bool)
    keys = ["images", "mask", "group"]
    stored = study.table("overlap_summary").query("split == 'all' and variant == @variant").set_index(keys)
    found = group_overlaps(study, everything, variant).set_index(keys)
    assert_allclose(found["mean"], stored.loc[found.index, "mean"])
    assert_array_equal(found["n"], stored.loc[found.index, "n"])
    keys = ["label", "mask", "group"]
    stored = study.table("overlap_by_class").query("variant == @variant and n > 0").set_index(keys)
    found = class_overlaps(study, everything, variant).set_index(keys)
    assert sorted(found.index) == sorted(stored.index)
    assert_allclose(found["mean"], stored.loc[found.index, "mean"])


def test_intervals__stay_between_0_and_1():
    mean, low, high, _ = class_means(np.array([0, 0, 0, 1, 1]), np.array([0.0, 0.0, 0.3, 1.0, 0.9]), 2)
    assert low[0] == 0 < mean[0] and high[1] == 1 > mean[1]


def test_slice__only_its_images(study):
    mask = Slice.parse("label=ant,bee split=train").mask(study)
    table = study.table("overlap")
    table = table[mask[table["row"].to_numpy()]]
    found = class_overlaps(study, mask, "soft")
    assert set(found["label"]) == {"ant", "bee"}
    for row in found.to_dict("records"):
        part = table.query("label == @row['label'] and mask == @row['mask']")
        if row["group"] != "all":
            part = part[part["correct"] == (row["group"] == "correct")]
        mean, low, high, n = mean_interval(part["soft"].to_numpy())
        expected = mean, np.clip(low, 0, 1), np.clip(high, 0, 1), n
        assert_allclose([row[name] for name in ("mean", "low", "high", "n")], expected)


def test_empty_slice__has_no_classes_and_undefined_groups(study):
    nothing = np.zeros(study.n_images, bool)
    assert class_overlaps(study, nothing, "paper").empty
    found = group_overlaps(study, nothing, "paper")
    assert found["mean"].isna().all() and (found["n"] == 0).all()


def test_study_without_masks__has_empty_tables(shared_study):
    bare = open_study(shared_study)
    everything = np.ones(bare.n_images, bool)
    for found in (class_overlaps(bare, everything, "paper"), group_overlaps(bare, everything, "paper")):
        assert isinstance(found, pd.DataFrame) and found.empty and "mean" in found
