"""The dense pass against the pure functions: the same sets and numbers from float32 and float16 chunks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis import chunk_scan
from core.analysis.chunk_scan import ChunkRows, RowStatistics, Scanner
from core.analysis.definitions import highly_activating, normalise_rows
from core.analysis.one_pass import FeatureStatistics, rows_by_feature
from core.analysis.tensors import row_moments
from core.errors import StudyError
from tests import reference, reference_scores

RTOL = 1e-9  # float64 sums in another order
STORED = 1e-6  # values stored in float32


def raw_rows(rng: np.random.Generator, n: int, r: int, dtype: str = "float32") -> np.ndarray:
    raw = (3.0 * rng.gamma(0.3, size=(n, r))).astype(dtype)
    raw[0] = 0.0
    raw[1] = 0.1
    raw[2] = 1000.0 + np.arange(r) % 2 * 0.25  # nearly flat: the one-pass variance would lose its digits
    return raw


def scan(raw: np.ndarray, epsilon: float = 2.0, group: np.ndarray | None = None) -> chunk_scan.ChunkScan:
    group = np.zeros(len(raw), int) if group is None else group
    return Scanner(raw.shape[1], epsilon=epsilon).scan(ChunkRows(raw, raw.shape[1]), group)


def dense(scanned: chunk_scan.ChunkScan, r: int) -> np.ndarray:
    mask = np.zeros((len(scanned.count), r), bool)
    mask[np.repeat(np.arange(len(scanned.count)), scanned.count), scanned.features] = True
    return mask


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("epsilon", [0.0, 2.0, 4.0])
def test_scan__same_sets_as_the_loop(rng, monkeypatch, dtype, epsilon):
    monkeypatch.setattr(chunk_scan, "BLOCK_ENTRIES", 600)
    monkeypatch.setattr(chunk_scan, "BLOCK_ENTRIES", 600)
    raw = raw_rows(rng, 40, 64, dtype)
    scanned = scan(raw, epsilon)
    h = reference.normalise_rows(raw)
    expected = reference.highly_activating(raw, epsilon)
    assert_array_equal(dense(scanned, 64), expected)
    mean = h.mean(1)
    assert_allclose(scanned.excess, (h - mean[:, None])[expected], rtol=STORED, atol=1e-8)
    assert_allclose(scanned.values, h[expected], rtol=STORED)
    assert_allclose(scanned.rows.mean, mean, rtol=RTOL)
    std = [reference.row_moments(row)[1] for row in h]
    assert_allclose(scanned.rows.std, std, rtol=1e-7, atol=1e-15)
    assert_allclose(scanned.rows.max_activation, h.max(1), rtol=RTOL)
    assert_allclose(scanned.rows.norm, np.linalg.norm(raw.astype(float), axis=1), rtol=RTOL)
    assert_allclose(scanned.rows.hoyer, [reference.hoyer(row) for row in h], rtol=RTOL, atol=RTOL)


@pytest.mark.slow
@pytest.mark.parametrize("offset", [-2, -1, 0, 1, 2])
def test_scan__decides_in_double_at_the_threshold(rng, offset):
    raw = raw_rows(rng, 60, 512)[3:]
    for row in raw:  # put an entry within a few float32 steps of its own row's threshold
        for _ in range(60):
            mean, std = reference.row_moments(row)
            row[7] = np.float32(mean + 2.0 * std)
        for _ in range(abs(offset)):
            row[7] = np.nextafter(row[7], np.float32(np.inf * offset))
    assert_array_equal(dense(scan(raw, 2.0), 512), reference.highly_activating(raw, 2.0))


def special_rows(rng: np.random.Generator, kind: str, r: int) -> np.ndarray:
    """ChunkRows on which a compiled loop and tensor arithmetic could part."""
    raw = rng.gamma(0.3, size=(30, r))
    match kind:
        case "tied":
            raw = np.round(2.0 * raw)
        case "zero":
            raw[::2] = 0.0
        case "constant":
            raw[::2] = rng.random((15, 1)) * 10.0 ** rng.integers(-20, 20, (15, 1))
        case "minus zero":
            raw[raw < 0.1] = -0.0
        case "negative":
            raw = -1.0 - raw
        case "dense":
            raw = 50.0 + rng.normal(size=raw.shape)
    return raw.astype(np.float32)


@pytest.mark.parametrize("r", [1, 5, 64, 130])  # shorter than, as long as, and no multiple of a span
@pytest.mark.parametrize("kind", ["random", "tied", "zero", "constant", "minus zero", "negative", "dense"])
@pytest.mark.parametrize("epsilon", [0.0, 1.5, 4.0])
def test_scan__equals_the_pure_functions_and_the_loop(rng, kind, r, epsilon):
    raw = special_rows(rng, kind, r)
    scanned = scan(raw, epsilon)
    fires = highly_activating(raw, epsilon=epsilon).numpy()
    assert_array_equal(fires, reference.highly_activating(raw, epsilon))
    assert_array_equal(dense(scanned, r), fires)
    h = normalise_rows(raw.astype(np.float64))
    mean, std = (part[:, 0].numpy() for part in row_moments(h))
    assert_allclose(scanned.rows.mean, mean, rtol=RTOL)
    assert_allclose(scanned.rows.std, std, rtol=1e-7, atol=1e-12)
    assert_allclose(scanned.rows.max_activation, h.amax(1), rtol=RTOL)
    assert_allclose(scanned.rows.hoyer, [reference.hoyer(row) for row in raw], rtol=RTOL, atol=1e-9)
    assert_allclose(scanned.values, h.numpy()[fires], rtol=STORED)
    assert_allclose(scanned.excess, (h.numpy() - mean[:, None])[fires], rtol=STORED, atol=1e-8)
    assert_allclose(scanned.columns.sums[0], h.sum(0), rtol=RTOL)
    assert_allclose(scanned.columns.squares, h.square().sum(0), rtol=RTOL)


def test_row_statistics__of_a_zero_row_are_zero():
    rows = RowStatistics.of_moments(np.zeros((5, 1)), 3)
    assert rows.norm == rows.mean == rows.std == rows.max_activation == 0 and np.isnan(rows.hoyer)


def test_scan__negative_entries(rng):
    raw = rng.normal(size=(10, 50)).astype(np.float32)
    scanned = scan(raw, 1.0)
    assert_array_equal(dense(scanned, 50), reference.highly_activating(raw, 1.0))
    assert_allclose(scanned.rows.hoyer, [reference.hoyer(row) for row in raw], rtol=STORED)
    assert_allclose(scanned.rows.max_activation, reference.normalise_rows(raw).max(1), rtol=STORED)


def test_scan__rows_of_very_different_size_in_one_block(rng):
    raw = raw_rows(rng, 50, 64) * (10.0 ** rng.integers(-6, 6, (50, 1))).astype(np.float32)
    assert_array_equal(dense(scan(raw), 64), reference.highly_activating(raw, 2.0))


def test_scan__entries_at_the_threshold_do_not_fire():
    # one of 17 equal-but-one entries lies exactly 4 standard deviations above the mean
    for scale in np.array([1.0, 0.1, 3.3e-5, 7e6], np.float32):
        assert not scan(scale * np.eye(17, dtype=np.float32)[:1], 4.0).count.any()
        assert scan(scale * np.eye(18, dtype=np.float32)[:1], 4.0).count[0] == 1


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scan__refuses_what_is_not_finite(rng, bad):
    raw = raw_rows(rng, 5, 16)
    raw[3, 2] = bad
    with pytest.raises(StudyError, match="infinity.*3"):
        scan(raw)


def statistics(
    raw: np.ndarray, group: np.ndarray, cuts: list[int], epsilon: float = 2.0
) -> FeatureStatistics:
    """Statistics of all rows, updated by chunks that end at `cuts`, the last half of them merged in."""
    sides = [FeatureStatistics(raw.shape[1], 4), FeatureStatistics(raw.shape[1], 4)]
    for number, (start, stop) in enumerate(zip([0, *cuts], [*cuts, len(raw)], strict=True)):
        part = group[start:stop]
        sides[number > len(cuts) // 2].update(scan(raw[start:stop], epsilon, part), part)
    sides[0].merge(sides[1])
    return sides[0]


@pytest.mark.parametrize("seed", range(4))
def test_statistics__do_not_depend_on_sharding(rng, seed):
    raw = raw_rows(rng, 60, 40)
    group = rng.integers(-1, 4, 60)
    whole = statistics(raw, group, [])
    cuts = np.sort(np.random.default_rng(seed).choice(61, 5, replace=False)).tolist()
    parts = statistics(raw, group, cuts)
    assert_array_equal(parts.firing, whole.firing)
    assert parts.moments.n == whole.moments.n == int((group >= 0).sum())
    assert_allclose(parts.moments.mean, whole.moments.mean, rtol=1e-12)
    assert_allclose(parts.moments.m2, whole.moments.m2, rtol=1e-12)
    assert_allclose(parts.raw_moments.mean, whole.raw_moments.mean, rtol=1e-12)
    assert_allclose(parts.raw_moments.m2, whole.raw_moments.m2, rtol=1e-9)
    assert_allclose(parts.group_sums, whole.group_sums, rtol=1e-12)


def test_statistics__match_loops(rng):
    raw, group = raw_rows(rng, 30, 24), rng.integers(-1, 4, 30)
    sums = statistics(raw, group, [7, 20])
    member, h = group >= 0, reference.normalise_rows(raw)
    fires = reference.highly_activating(raw, 2.0)
    assert_array_equal(sums.firing, reference.firing_by_class(fires[member], group[member], 4))
    assert_allclose(sums.moments.mean, h[member].mean(0), rtol=RTOL)
    assert_allclose(sums.moments.std, h[member].std(0), rtol=RTOL)
    raw_mean, raw_std = reference_scores.column_moments(raw[member])
    assert_allclose(sums.raw_moments.mean, raw_mean, rtol=RTOL)
    assert_allclose(sums.raw_moments.std, raw_std, rtol=1e-7)  # squares of 1000 are in the sums
    for code in range(4):
        assert_allclose(sums.group_sums[code], h[group == code].sum(0), rtol=RTOL, atol=1e-15)


def test_rows_by_feature__is_the_transpose(rng):
    fires = rng.random((30, 12)) < 0.2
    fires[:, 5] = False
    parts = [fires[:11], fires[11:11], fires[11:]]
    by_feature = [
        (np.append(0, part.sum(0).cumsum()), np.nonzero(part.T)[1].astype(np.int32)) for part in parts
    ]
    pointer, rows = rows_by_feature(by_feature, [part.sum(1) for part in parts], 12)
    for j in range(12):
        assert_array_equal(rows[pointer[j] : pointer[j + 1]], np.flatnonzero(fires[:, j]))
