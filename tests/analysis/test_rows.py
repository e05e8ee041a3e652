"""Codes by entry and the same rows stored dense give the same results to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.analysis import chunk_scan
from core.analysis.chunk_scan import ChunkRows, ChunkScan, Scanner
from core.analysis.epsilon import EpsilonCounts
from core.analysis.features_step import Activations
from core.analysis.one_pass import FeatureStatistics

N = 70
KINDS = ("distinct", "ties", "negative", "all negative")


def codes(rng: np.random.Generator, kind: str, r: int) -> np.ndarray:
    """(N, r) float32 with at most 9 entries a row; every seventh row is 0."""
    dense = np.zeros((N, r), np.float32)
    for row in dense:
        at = rng.choice(r, min(r, 9), replace=False)
        row[at] = rng.gamma(0.5, size=len(at))
    if kind == "ties":
        dense = np.round(2 * dense)
    elif kind != "distinct":
        dense[dense > 0] -= np.float32(0.3 if kind == "negative" else 100)
    dense[::7] = 0
    return dense


def by_entry(dense: np.ndarray) -> ChunkRows:
    row, column = np.nonzero(dense)
    begin = np.concatenate([[0], np.bincount(row, minlength=len(dense)).cumsum()])
    return ChunkRows(None, dense.shape[1], begin, column.astype(np.int32), dense[row, column])


def same_bits(one: np.ndarray, other: np.ndarray) -> None:
    assert_array_equal(np.ascontiguousarray(one).view(np.uint8), np.ascontiguousarray(other).view(np.uint8))


@pytest.mark.parametrize("r", [2, 64, 700])
@pytest.mark.parametrize("kind", KINDS)
def test_codes_by_entry__are_the_dense_rows(rng, monkeypatch, kind, r):
    monkeypatch.setattr(chunk_scan, "IN_CACHE", 16 * r)  # several blocks, of which the last is shorter
    dense = codes(rng, kind, r)
    sparse = by_entry(dense)
    assert len(sparse) == N
    blocks = [(here, x.copy()) for here, x in sparse.blocks()]
    assert len(blocks) == 5 and [here.stop for here, _ in blocks][-1] == N
    same_bits(np.concatenate([x for _, x in blocks]), dense)
    some = np.array([0, 1, 30, N - 1])
    taken = [x.copy() for _, x in sparse.take(some).blocks()]
    same_bits(np.concatenate(taken), dense[some])


def scanned(chunk: ChunkRows, epsilon: float, group: np.ndarray) -> tuple[ChunkScan, FeatureStatistics]:
    scan, sums = (
        Scanner(chunk.n_features, epsilon=epsilon).scan(chunk, group),
        FeatureStatistics(chunk.n_features, 4),
    )
    sums.update(scan, group)
    return scan, sums


@pytest.mark.parametrize("r", [2, 64, 700])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epsilon", [0.0, 2.0])  # at 0 entries that are 0 fire in a row of a negative mean
def test_scan__of_codes_by_entry_has_the_same_bits(rng, monkeypatch, kind, r, epsilon):
    monkeypatch.setattr(chunk_scan, "IN_CACHE", 16 * r)
    dense, group = codes(rng, kind, r), rng.integers(-1, 4, N)
    (one, sums), (other, other_sums) = (
        scanned(chunk, epsilon, group) for chunk in (ChunkRows(dense, r), by_entry(dense))
    )
    for name in ("count", "features", "values", "excess"):
        same_bits(getattr(one, name), getattr(other, name))
    for name, values in vars(one.rows).items():
        same_bits(values, getattr(other.rows, name))
    for name in ("moments", "raw_moments"):
        same_bits(getattr(sums, name).mean, getattr(other_sums, name).mean)
        same_bits(getattr(sums, name).m2, getattr(other_sums, name).m2)
    same_bits(sums.group_sums, other_sums.group_sums)
    assert_array_equal(sums.firing, other_sums.firing)
    if kind == "all negative" and epsilon == 0 and r == 64:
        assert one.count.max() > 9  # zeros fire


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("near_zero", [0.0, 0.1])
def test_activations__of_codes_by_entry_are_the_same(rng, kind, near_zero):
    dense = codes(rng, kind, 64)
    one, other = (
        Activations(64, near_zero=near_zero).update(chunk)
        for chunk in (ChunkRows(dense, 64), by_entry(dense))
    )
    assert_array_equal(one.counts, other.counts)
    assert (one.n_rows, one.n_near_zero, one.n_negative) == (N, other.n_near_zero, other.n_negative)


@pytest.mark.parametrize("kind", KINDS)
def test_levels__of_codes_by_entry_are_the_same(rng, kind):
    dense, train = codes(rng, kind, 64), rng.random(N) < 0.8
    counts = []
    for chunk in (ChunkRows(dense, 64), by_entry(dense)):
        counts.append(EpsilonCounts(64, (0.0, 0.05, 1.0, 3.0)))
        counts[-1].update(chunk, train)
    assert_array_equal(counts[0].firing, counts[1].firing)
    assert_array_equal(counts[0].firing_images, counts[1].firing_images)
    assert counts[0].firing.any()
