"""Histograms of activations against numpy's, and the shares behind the premise check."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis import activations
from core.analysis.activations import bin_edges, measure_activations, sampled_rows
from tests import reference


@pytest.mark.parametrize("signed", [False, True], ids=["sparse", "signed"])
def test_measure_activations__equals_numpy(rng, monkeypatch, signed):
    monkeypatch.setattr(activations, "BLOCK_ENTRIES", 100)
    raw = rng.normal(size=(50, 7)) if signed else rng.gamma(0.3, size=(50, 7))
    raw[3] = 0
    found = measure_activations(raw.astype(np.float32), near_zero=0.1)
    h = reference.normalise_rows(raw.astype(np.float32))
    assert (found.counts.sum(1) == 50).all() and found.n_rows == 50
    inner = found.edges[1:-1]
    # values nearer to an edge than float32 can tell may lie on either side
    clear = np.abs(h[..., None] - inner).min(2) > 1e-6
    for j in range(7):
        counted, _ = np.histogram(h[clear[:, j], j].clip(*found.edges[[0, -1]]), found.edges)
        assert np.abs(counted - found.counts[j]).sum() == (~clear[:, j]).sum()
    assert_allclose(found.near_zero, reference.near_zero_share(raw, 0.1).mean(), rtol=1e-6)
    assert_allclose(found.negative, (raw < 0).mean())


def test_bin_edges__narrow_near_zero_or_even():
    assert_allclose(bin_edges(0.0, 0.16, 4), [0, 0.01, 0.04, 0.09, 0.16])
    assert_allclose(bin_edges(-1.0, 1.0, 4), [-1, -0.5, 0, 0.5, 1])
    assert_allclose(bin_edges(0.0, 0.0, 1), [0, 1])


def test_sampled_rows__even_and_limited(monkeypatch):
    monkeypatch.setattr(activations, "SAMPLE_ENTRIES", 40)
    assert_array_equal(sampled_rows(np.arange(5), 8), np.arange(5))
    assert_array_equal(sampled_rows(np.arange(11), 8), [0, 3, 6, 9])


def test_measure_activations__without_rows():
    found = measure_activations(np.empty((0, 3), np.float32))
    assert found.counts.sum() == 0 and np.isnan(found.near_zero)
