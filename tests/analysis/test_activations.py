"""Histograms of activations against numpy's, and the shares behind the premise check."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis import features_step
from core.analysis.chunk_scan import ChunkRows
from core.analysis.features_step import Activations, sampled_rows
from tests import reference


def rows_of(raw: np.ndarray) -> ChunkRows:
    return ChunkRows(raw, raw.shape[1])


@pytest.mark.parametrize("signed", [False, True], ids=["sparse", "signed"])
def test_activations__equal_numpy(rng, signed):
    raw = (rng.normal(size=(50, 7)) if signed else rng.gamma(0.3, size=(50, 7))).astype(np.float32)
    raw[3] = 0
    activations = Activations(7, near_zero=0.1).update(rows_of(raw))
    counts, edges = activations.histogram()
    h = reference.normalise_rows(raw)
    assert (counts.sum(1) == 50).all() and activations.n_rows == 50
    assert (edges[0] == 0) != signed and np.all(np.diff(edges) > 0)
    # values nearer to an edge than float32 can tell may lie on either side; 0 is exact
    clear = (np.abs(h[..., None] - edges).min(2) > 1e-6) | (h == 0)
    for j in range(7):
        counted, _ = np.histogram(h[clear[:, j], j], edges)
        assert np.abs(counted - counts[j]).sum() == (~clear[:, j]).sum()
    assert_allclose(activations.near_zero_share, reference.near_zero_share(raw, 0.1).mean(), rtol=1e-6)
    assert_allclose(activations.negative_share, (raw < 0).mean())


def test_histogram__by_hand_and_cropped():
    activations = Activations(2, bins=4).update(rows_of(np.array([[3.0, 4.0], [1.0, 0.0]], np.float16)))
    counts, edges = activations.histogram()
    assert_allclose(edges, [0, 1 / 16, 1 / 4, 9 / 16, 1])
    assert_array_equal(counts, [[0, 0, 0, 2], [1, 0, 0, 1]])  # 0.6 and 1; 0.8 and 0
    low = Activations(1, bins=4)
    low.counts[0, 5] = 3
    assert_allclose(low.histogram()[1], [0, 1 / 16, 1 / 4])


def test_activations__merge_is_update(rng):
    raw = rng.normal(size=(30, 5)).astype(np.float32)
    whole, part = Activations(5).update(rows_of(raw)), Activations(5).update(rows_of(raw[:11]))
    part.merge(Activations(5).update(rows_of(raw[11:])))
    assert_array_equal(part.counts, whole.counts)
    assert part.near_zero_share == whole.near_zero_share and part.n_rows == 30


def test_sampled_rows__even_and_limited(monkeypatch):
    monkeypatch.setattr(features_step, "SAMPLE_ENTRIES", 40)
    assert_array_equal(sampled_rows(np.arange(5), 8), np.arange(5))
    assert_array_equal(sampled_rows(np.arange(11), 8), [0, 3, 6, 9])


def test_activations__without_rows():
    activations = Activations(3).update(rows_of(np.empty((0, 3), np.float32)))
    assert activations.histogram()[0].sum() == 0 and np.isnan(activations.near_zero_share)
