"""Accuracy against the number of kept features (Kalibhat 2024, Fig. 2)."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.research.published_figures_kept_features import curves_notes, notes_on_curves
from core.research.published_figures_sparsity_curves import (
    Kept,
    curve_table,
    feature_subsets,
    leading_components,
    principal_axes,
)
from core.store import open_study
from tests.sentences import numbers


def kept(rate: np.ndarray) -> dict[tuple[str, float, float, int], np.ndarray]:
    return {(k.curve, k.low, k.high, k.run): k.mask for k in feature_subsets(rate)}


def test_kept_features__the_bands_of_the_paper(rng):
    rate = rng.permutation(1001).astype(float)
    masks = kept(rate)
    assert masks["discriminative", 0.0, 100.0, 0].all()
    band = masks["discriminative", 50.0, 95.0, 0]  # 55 % removed
    assert_array_equal(band, (rate >= 500) & (rate <= 950))
    assert_array_equal(masks["lower", 0.0, 45.0, 0], rate <= 450)
    assert_array_equal(masks["upper", 55.0, 100.0, 0], rate >= 550)
    draws = [masks["random", 50.0, 95.0, run] for run in range(4)]
    assert {int(mask.sum()) for mask in draws} == {int(band.sum())}
    assert not np.array_equal(draws[0], draws[1])


def test_kept_features__hold_features_that_never_fire():
    assert kept(np.array([0.0, 0.0, 1.0, 2.0]))["discriminative", 0.0, 100.0, 0].all()


def test_leading_components__as_many_as_the_band(rng):
    points = feature_subsets(rng.gamma(0.5, size=50))
    bands = [int(k.mask.sum()) for k in points if k.curve == "discriminative"]
    masks = [k.mask for k in leading_components(points, 50)]
    assert [int(m.sum()) for m in masks] == bands
    assert all(m[: int(m.sum())].all() for m in masks)


def test_principal_axes__equal_a_decomposition(rng):
    import torch

    raw = rng.normal(size=(90, 6)) * np.array([9, 5, 3, 2, 1, 0.5])
    axes = principal_axes(lambda p: torch.from_numpy(raw[p]), 90, 6, raw.mean(0)).numpy()
    _, _, expected = np.linalg.svd(raw - raw.mean(0))
    assert_allclose(np.abs((axes * expected.T).sum(0)), np.ones(6), rtol=1e-9)


def test_curve_table__mean_and_band_over_runs():
    mask = np.array([True, False, False, True])
    table = curve_table([Kept("random", 0, 50, mask, run) for run in range(2)], np.array([0.5, 0.75]))
    row = table.iloc[0]
    assert len(table) == 1
    assert (row["accuracy"], row["accuracy_low"], row["accuracy_high"]) == (0.625, 0.5, 0.75)
    assert (row["runs"], row["n_kept"], row["removed"]) == (2, 2, 50.0)


@pytest.mark.parametrize("n_silent", [0, 1, 8, 21, 40, 41, 81])
def test_curves_notes__name_the_last_band_that_holds_every_silent_feature(rng, n_silent):
    rate = np.concatenate([np.zeros(n_silent), rng.uniform(0.5, 40, 81 - n_silent)])
    notes = curves_notes(rate, epsilon=3.5)
    bands = [k for k in feature_subsets(rate) if k.curve == "discriminative"]
    whole = [k.low for k in bands[1:] if n_silent and k.mask[rate == 0].all()]
    if not whole:
        assert notes == []
        return
    assert numbers(notes[0]) == [f"{n_silent}", "81", "3.5"]
    assert numbers(notes[1]) == [f"{max(whole):g}"]
    assert (len(notes) == 3) == (np.percentile(rate, 50) == 0)
    assert len(curves_notes(rate, epsilon=3.5, low=0)) == 3  # P_0 is 0 as soon as one is silent


@pytest.fixture
def curves(study_path):
    options = {"curves": True, "epochs": 4, "lr": 0.1, "n_train": 60, "n_val": 30, "pictures": False}
    return open_study(study_path(**options))


@pytest.mark.slow
def test_write_curves__all_features_give_the_probes_accuracy(curves):
    table = curves.table("probe_curves").set_index(["curve", "low", "high"])
    assert set(table.index.get_level_values("curve")) == {"discriminative", "random", "pca", "lower", "upper"}
    assert table["accuracy"].between(0, 1).all()
    for curve in ("discriminative", "random", "lower", "upper"):
        assert_allclose(table.loc[(curve, 0.0, 100.0), "accuracy"], curves.summary("probe")["top1"])
    assert table.loc[("random", 50.0, 95.0), "runs"] == 4


@pytest.mark.slow
def test_notes_on_curves__are_those_at_the_studys_epsilon(curves):
    rate = curves.table("features", ["activation_rate"])["activation_rate"].to_numpy()
    assert notes_on_curves(curves) == curves_notes(rate, epsilon=curves.summary("features")["epsilon"])
