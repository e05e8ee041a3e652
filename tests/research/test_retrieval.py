"""Precision of the nearest images against loops, and images without a partner."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.errors import SettingsError, ShapeError
from core.research.fourier_figures import precision_at_k


def by_loops(raw: np.ndarray, groups: np.ndarray, k: int) -> tuple[list[float], list[float]]:
    """Precision at k and average precision of each image."""

    def cosine(a, b) -> float:
        lengths = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
        return round(sum(x * y for x, y in zip(a, b, strict=True)) / lengths, 12) if lengths else 0.0

    precisions, averages = [], []
    for i, query in enumerate(raw):
        others = [j for j in range(len(raw)) if j != i]
        others.sort(key=lambda j: (-cosine(query, raw[j]), j))
        right = [groups[j] == groups[i] and groups[i] >= 0 for j in others]
        if not any(right):
            precisions.append(math.nan)
            averages.append(math.nan)
            continue
        precisions.append(sum(right[:k]) / k)
        gained = [sum(right[: rank + 1]) / (rank + 1) for rank, hit in enumerate(right) if hit]
        averages.append(sum(gained) / len(gained))
    return precisions, averages


@pytest.mark.parametrize("n_groups", [2, 5, 25])
def test_precision_at_k__matches_loop(rng, n_groups):
    raw = rng.normal(size=(30, 6)).astype(np.float32)
    raw[3] = 0
    raw[7] = raw[8]  # equal cosines: the lower row first
    groups = rng.integers(-1, n_groups, 30)
    found = precision_at_k(raw, groups, ks=(1, 4))
    for k in (1, 4):
        precision, average = by_loops(raw.tolist(), groups, k)
        assert_allclose(found.precision[k], precision, rtol=1e-12)
        assert_allclose(found.average_precision, average, rtol=1e-12)
    assert found.n_undefined == np.isnan(found.average_precision).sum()


def test_precision_at_k__by_hand():
    angles = np.radians([0, 10, 25, 90, 100])
    raw = np.stack([np.cos(angles), np.sin(angles)], 1)
    found = precision_at_k(raw, np.array([0, 1, 0, 1, 2]), ks=(1, 2))
    # the first: 10 (1), 25 (0), 90 (1), 100 (2) degrees away
    assert found.precision[1][0] == 0 and found.precision[2][0] == 0.5
    assert found.average_precision[0] == 0.5
    assert np.isnan(found.precision[1][4]) and found.n_undefined == 1
    assert found.chance == 0.25  # one partner among four others
    assert found.row()["precision_2"] == pytest.approx(np.nanmean(found.precision[2]))


def test_precision_at_k__nobody_has_a_partner():
    found = precision_at_k(np.eye(4), np.array([0, 1, 2, -1]), ks=(1,))
    assert found.n_undefined == 4 and np.isnan(found.chance)
    assert all(np.isnan(value) for value in found.row().values())


def test_precision_at_k__scale_and_order_change_nothing(rng):
    raw, groups = rng.normal(size=(20, 5)), rng.integers(0, 3, 20)
    found = precision_at_k(raw, groups)
    order = rng.permutation(20)
    moved = precision_at_k(raw[order] * rng.uniform(1, 5, (20, 1)), groups[order])
    assert_allclose(moved.precision[4], found.precision[4][order])
    assert_allclose(moved.average_precision, found.average_precision[order])


def test_precision_at_k__errors(rng):
    raw = rng.normal(size=(5, 3))
    with pytest.raises(SettingsError, match="5.*between.*1.*4.*5"):
        precision_at_k(raw, np.zeros(5, int), ks=(1, 5))
    with pytest.raises(ShapeError, match="raw rows"):
        precision_at_k(raw, np.zeros(4, int), ks=(1,))
