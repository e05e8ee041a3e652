"""Duplicates: a slow twin over all pairs, planted copies, and sets in which nearly everything is alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.analysis import picture_table
from core.analysis.picture_table import BANDS, LEAST_COSINE, MOST_BITS, NONE, find_duplicates
from core.study.chunked_array import ChunkedArray, write_whole


def stored(folder: Path, rows: np.ndarray) -> ChunkedArray:
    write_whole(folder / "rows", rows)
    return ChunkedArray(folder / "rows", [len(rows)], rows.dtype.str, rows.shape[1:])


def of_all_pairs(
    prints: np.ndarray, has_picture: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    exact, near = np.full(len(prints), NONE), np.full(len(prints), NONE)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for later in np.flatnonzero(has_picture):
        for earlier in np.flatnonzero(has_picture[:later]):
            is_same = (prints[later, :2] == prints[earlier, :2]).all()
            differ = int(prints[later, 2] ^ prints[earlier, 2])
            meets = any((differ >> band) & 0xFFFF == 0 for band in BANDS)
            is_near = (
                meets and differ.bit_count() <= MOST_BITS and unit[later] @ unit[earlier] >= LEAST_COSINE
            )
            if is_same and exact[later] == NONE:
                exact[later] = earlier
            if (is_same or is_near) and near[later] == NONE:
                near[later] = earlier
    return exact, near


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_duplicates__match_all_pairs(tmp_path, seed):
    rng = np.random.default_rng(seed)
    prints = rng.integers(0, 1 << 63, (6, 3), dtype=np.uint64)[rng.integers(0, 6, 120)]
    flips = rng.integers(0, 63, (120, 3)).astype(np.uint64)
    for flip in flips.T:  # of some hashes one, two or three bits
        prints[:, 2] ^= np.where(rng.random(120) < 0.4, np.uint64(1) << flip, np.uint64(0))
    changed = rng.random(120) < 0.8
    prints[changed, :2] = rng.integers(0, 1 << 63, (changed.sum(), 2), dtype=np.uint64)
    rows = rng.normal(size=(3, 8))[rng.integers(0, 3, 120)] + 0.12 * rng.normal(size=(120, 8))
    _, first, which = np.unique(prints[:, :2], axis=0, return_index=True, return_inverse=True)
    rows, prints[:, 2] = rows[first[which.ravel()]], prints[first[which.ravel()], 2]  # same pixels, same rows
    has_picture = rng.random(120) < 0.9
    found = find_duplicates(prints, has_picture, stored(tmp_path, rows.astype(np.float32)))
    exact, near = of_all_pairs(prints, has_picture, rows)
    assert (exact != NONE).sum() > 3 and ((near != NONE) & (exact == NONE)).sum() > 3
    assert_array_equal(found.exact, exact)
    assert_array_equal(found.near, near)


def test_near__needs_the_hash_and_the_representation(tmp_path):
    prints = np.array([[1, 1, 0b1], [2, 2, 0b1111], [3, 3, 0b111111], [4, 4, 0b1]], np.uint64)
    rows = np.array([[1, 0], [1, 0.1], [1, 0], [0, 1]], np.float32)
    found = find_duplicates(prints, np.ones(4, bool), stored(tmp_path, rows))
    assert (
        found.near.tolist() == [NONE, 0, 1, NONE] and found.exact.tolist() == [NONE] * 4
    )  # 2 differs from 0 in 5


def test_nothing__to_compare(tmp_path):
    found = find_duplicates(np.zeros((2, 3), np.uint64), np.zeros(2, bool), stored(tmp_path, np.ones((2, 2))))
    assert found.near.tolist() == found.exact.tolist() == [NONE, NONE] and found.n_cut == 0


def test_many_alike__are_cut_and_counted(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(picture_table, "WINDOW", 8)
    monkeypatch.setattr(picture_table, "PAIRS_AT_ONCE", 64)
    n = 300
    prints = np.column_stack([np.arange(n), np.arange(n), rng.integers(0, 32, n)]).astype(np.uint64)
    rows = np.ones((n, 4), np.float32)
    found = find_duplicates(prints, np.ones(n, bool), stored(tmp_path, rows))
    assert found.near[0] == NONE and (found.near[1:] != NONE).mean() > 0.9
    assert (found.near < np.arange(n)).all() and found.n_cut > 200
