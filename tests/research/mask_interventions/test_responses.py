"""Responses of features to altered pictures: loops, planted features, and undefined cases."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from core.common.statistics.intervals import wilson
from core.research.mask_interventions import responses
from core.research.mask_interventions.alterations import ALTERATIONS, alterations
from core.research.mask_interventions.responses import (
    CALLED,
    CONTRASTS,
    MEASURES,
    FiringPairs,
    accuracy_table,
    agreement_table,
    contrasts_table,
    feature_responses,
    groups_table,
    responses_table,
)

N, K = 40, 7


def planted_pairs(rng, n: int = N, k: int = K) -> tuple[np.ndarray, np.ndarray, np.ndarray, FiringPairs]:
    """fires (n, k), before (n, k), after (n, k, A), and the same as pairs, in another order."""
    fires = rng.random((n, k)) < 0.6
    fires[:, 5] = False  # never fires
    fires[:, 6] = False
    fires[3, 6] = True  # fires once
    before = rng.gamma(2.0, size=(n, k))
    after = before[..., None] * rng.uniform(0, 1.1, (n, k, len(ALTERATIONS)))
    image, feature = np.nonzero(fires)
    order = rng.permutation(len(image))
    image, feature = image[order], feature[order]
    return (
        fires,
        before,
        after,
        FiringPairs(image, 10 * feature, before[image, feature], after[image, feature]),
    )


def measures_by_loop(fires, before, after, scale, areas, j: int) -> tuple[np.ndarray, np.ndarray]:
    """(n_firing, M) measures of one feature, and (A,) what is kept."""
    mine = [i for i in range(len(fires)) if fires[i, j]]
    area = sum(areas[i] for i in mine) / len(mine)
    rows = []
    for i in mine:
        change = {a: (after[i, j, n] - before[i, j]) / scale for n, a in enumerate(ALTERATIONS)}
        difference = change["background removed"] - change["object removed"]
        control = change["background removed, other mask"] - change["object removed, other mask"]
        per_area = change["background removed"] / (1 - area) - change["object removed"] / area
        rows.append([*change.values(), difference, control, difference - control, per_area])
    kept = [
        sum(after[i, j, n] for i in mine) / sum(before[i, j] for i in mine) for n in range(len(ALTERATIONS))
    ]
    return np.array(rows), np.array(kept)


@pytest.mark.parametrize("block", [1 << 21, 1], ids=["one block", "feature by feature"])
def test_feature_responses__match_loops_over_pictures(rng, monkeypatch, block):
    monkeypatch.setattr(responses, "BLOCK", block)
    fires, before, after, pairs = planted_pairs(rng)
    areas, scales = rng.uniform(0.1, 0.4, N), rng.uniform(0.5, 2.0, K)
    called = np.array(["core", "core", "spurious", "undecided", "", "core", "core"], object)
    given = {"areas": areas, "resamples": 200, "seed": 3}
    found = feature_responses(pairs, 10 * np.arange(K), called, scales, **given)
    assert_array_equal(found.n, fires.sum(0))

    draws = np.random.default_rng(3).integers(0, N, (200, N))  # the resamples of all features
    resampled = np.full((200, K, len(MEASURES)), np.nan)
    for j in range(5):
        values, kept = measures_by_loop(fires, before, after, scales[j], areas, j)
        assert_allclose(found.mean[j], values.mean(0), rtol=1e-9)
        assert_allclose(found.kept[j], kept, rtol=1e-9)
        place = np.full(N, -1)
        place[fires[:, j]] = np.arange(len(values))
        for number, draw in enumerate(draws):
            taken = place[draw][place[draw] >= 0]
            resampled[number, j] = values[taken].mean(0)
        around = stats.ttest_1samp(values, 0.0, axis=0).confidence_interval(0.95)
        assert_allclose([found.low[j], found.high[j]], around, rtol=1e-9)

    n_features, mean, low, high = found.groups["core"]
    assert n_features == 2  # those that fire never and once are left out
    assert_allclose(mean, found.mean[:2].mean(0), rtol=1e-9)
    assert_allclose(low, np.percentile(resampled[:, :2].mean(1), 2.5, axis=0), rtol=1e-9)
    assert_allclose(high, np.percentile(resampled[:, :2].mean(1), 97.5, axis=0), rtol=1e-9)


def test_feature_responses__undefined(rng):
    fires, _, _, pairs = planted_pairs(rng)
    scales = np.ones(K)
    scales[0] = np.nan  # constant over the train images
    called = np.full(K, "core", object)
    found = feature_responses(pairs, 10 * np.arange(K), called, scales, areas=np.full(N, 0.3), resamples=50)
    assert np.isnan(found.mean[[0, 5]]).all() and np.isnan(found.kept[5]).all()
    assert np.isfinite(found.kept[0]).all()
    assert np.isfinite(found.mean[6]).all() and np.isnan(found.low[6]).all()  # a single picture
    assert found.groups["core"][0] == 4 and set(found.groups) == {"core"}
    table = contrasts_table(found, called, np.ones(K, bool), scales)
    assert table["n"].tolist() == fires.sum(0).tolist()
    assert table["responds_to"].iloc[[0, 5, 6]].tolist() == ["undecided"] * 3
    agreement = agreement_table(found, called, scales).set_index(["called", "measure"])
    assert (agreement.loc["core", "n_features"] == 4).all()
    assert (agreement.loc["spurious", "n_features"] == 0).all()
    assert agreement.loc["spurious", ["agree", "low", "high", "clearly"]].isna().all(axis=None)


def test_feature_responses__nothing_fires_at_all():
    empty = FiringPairs(np.empty(0, int), np.empty(0, int), np.empty(0), np.empty((0, len(ALTERATIONS))))
    features, called = np.arange(3), np.full(3, "core", object)
    found = feature_responses(empty, features, called, np.ones(3), areas=np.full(4, 0.5), resamples=20)
    assert np.isnan(found.mean).all() and found.groups == {} and not found.n.any()
    assert len(groups_table(found)) == 0 and len(responses_table(found)) == 3 * len(ALTERATIONS)


def halves(pixels: np.ndarray) -> np.ndarray:
    """Three features of (n, H, W, 3): brightness of the left half, of the right half, of everything."""
    grey = pixels.astype(float).mean(-1)
    middle = grey.shape[2] // 2
    return np.stack(
        [grey[:, :, :middle].mean((1, 2)), grey[:, :, middle:].mean((1, 2)), grey.mean((1, 2))], 1
    )


def test_planted__a_feature_that_reads_one_half_answers_to_that_half_alone(rng):
    """Objects are left halves: feature 0 reads objects only, feature 1 backgrounds only."""
    n, size = 24, 12
    mask = np.zeros((size, size), bool)
    mask[:, : size // 2] = True
    shifted = np.roll(mask, 3, axis=1)
    pictures = rng.integers(100, 256, (n, size, size, 3)).astype(np.uint8)
    raw = []
    for number, picture in enumerate(pictures):
        lent = {"donor": pictures[number - 1], "donor_mask": mask, "other_mask": shifted}
        made = alterations(picture, mask, **lent, fill=np.zeros(3, np.uint8))
        raw.append(halves(np.concatenate([picture[None], made])))
    raw = np.array(raw)  # (n, 1 + A, 3)
    image, feature = (part.ravel() for part in np.indices((n, 3)))
    pairs = FiringPairs(image, feature, raw[image, 0, feature], raw[image, 1:, feature])
    called = np.array(["core", "spurious", "undecided"], object)
    found = feature_responses(pairs, np.arange(3), called, np.ones(3), areas=np.full(n, 0.5), resamples=100)
    table = responses_table(found).set_index(["feature", "alteration"])
    on_background = [f"background {what}" for what in ("blurred", "removed", "swapped")]
    on_object = [f"object {what}" for what in ("blurred", "removed")]
    assert (table.loc[[(0, name) for name in on_background], "change"] == 0).all()
    assert (table.loc[[(1, name) for name in on_object], "change"] == 0).all()
    assert (table.loc[[(0, name) for name in on_background], ["low", "high"]] == 0).all(axis=None)
    assert table.loc[(0, "object removed"), "kept"] == 0 == table.loc[(1, "background removed"), "kept"]
    assert table.loc[(0, "object removed"), "change"] < -100

    contrasts = contrasts_table(found, called, np.ones(3, bool), np.ones(3))
    assert contrasts["responds_to"].tolist()[:2] == ["object", "background"]
    assert contrasts["difference"].iloc[0] > 100 and contrasts["difference"].iloc[1] < -100
    assert abs(contrasts["difference"].iloc[2]) < 5
    agreement = agreement_table(found, called, np.ones(3))
    assert (agreement.loc[agreement["measure"] != "control", ["agree", "clearly"]] == 1).all(axis=None)
    swapped = agreement_table(found, np.array(["spurious", "core", ""], object), np.ones(3))
    assert (swapped.loc[swapped["measure"] == "difference", "against"] == 1).all()


def test_agreement__wilson_by_hand(rng):
    *_, pairs = planted_pairs(rng, n=60)
    called = np.array(["core"] * 3 + ["spurious"] * 4, object)
    found = feature_responses(
        pairs, 10 * np.arange(K), called, np.ones(K), areas=np.full(60, 0.2), resamples=50
    )
    table = agreement_table(found, called, np.ones(K)).set_index(["called", "measure"])
    for measure in CONTRASTS:
        column = MEASURES.index(measure)
        above, below = int((found.mean[:3, column] > 0).sum()), int((found.mean[3:5, column] < 0).sum())
        for name, count, n in (("core", above, 3), ("spurious", below, 2)):
            line = table.loc[(name, measure)]
            assert (line["n_features"], line["agree"]) == (n, count / n)
            assert_allclose([line["low"], line["high"]], wilson(count, n))
    assert set(groups_table(found)["called"]) <= set(CALLED)


def test_accuracy_table__by_hand():
    n_columns = 1 + len(ALTERATIONS)
    predicted = np.zeros((5, n_columns), int)
    true = np.array([0, 0, 1, 0, -1])  # the last has no label
    predicted[:, 2] = [1, 0, 1, 0, 0]
    table = accuracy_table(predicted, true).set_index("alteration")
    assert table.index.tolist() == ["none", *ALTERATIONS] and (table["n"] == 4).all()
    assert table.loc["none", ["accuracy", "change", "change_low", "change_high", "same"]].tolist() == [
        *(0.75, 0, 0, 0, 1)
    ]
    second = table.loc[ALTERATIONS[1]]
    assert (second["accuracy"], second["change"], second["same"]) == (0.75, 0.0, 0.5)
    assert second["change_low"] < 0 < second["change_high"]
    assert isinstance(table, pd.DataFrame)
