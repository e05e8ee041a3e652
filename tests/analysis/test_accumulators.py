"""Moments and top images: exact under any merging."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis.chunk_scan import ByFeature, Moments, TopImages
from tests import reference


def test_moments__of_rows_of_sums_and_merged_agree(rng):
    rows = rng.normal(size=(40, 6)) + 5.0
    whole = Moments.of_rows(rows)
    assert_allclose(whole.mean, rows.mean(0), rtol=1e-12)
    assert_allclose(whole.std, rows.std(0), rtol=1e-12)
    sums = Moments.from_sums(40, rows.sum(0), np.square(rows).sum(0))
    assert_allclose(sums.std, whole.std, rtol=1e-10)
    merged = Moments.of_rows(rows[:13]).merge(Moments.of_rows(rows[13:]))
    assert_allclose(merged.std, whole.std, rtol=1e-12)


def test_moments__nothing_is_neutral_and_undefined(rng):
    some, none = Moments.of_rows(rng.normal(size=(5, 3))), Moments.empty(3)
    assert_array_equal(none.merge(some).m2, some.m2)
    assert_array_equal(some.merge(none).mean, some.mean)
    assert none.merge(none).n == 0 and np.isnan(none.std).all()
    assert_array_equal(Moments.of_rows(np.empty((0, 3))).mean, none.mean)


def offer(top: TopImages, h: np.ndarray, start: int = 0) -> None:
    row, feature = np.nonzero(h > 0)
    add(top, row, feature, h, start)


def add(top: TopImages, row: np.ndarray, feature: np.ndarray, h: np.ndarray, start: int = 0) -> None:
    entries = feature.astype(np.int32), h[row, feature].astype(np.float32), row.astype(np.int32)
    top.add(ByFeature.of_entries(*entries, h.shape[1]), start)


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_top_images__match_loop(rng, ties):
    h = rng.normal(size=(60, 9)).astype(np.float32)
    h = np.round(h) if ties else h
    h[:, 4] = 0
    top = TopImages(9, 5)
    for start in range(0, 60, 7):
        offer(top, h[start : start + 7], start)
    rows, values = top.descending()
    assert_array_equal(rows, reference.top_images(h, 5))
    held = rows >= 0
    assert_array_equal(values[held], h[rows, np.arange(9)[:, None]][held])


def test_top_images__restart_finds_the_same_again(rng):
    h = np.round(rng.normal(size=(60, 9)).astype(np.float32), 1)
    top = TopImages(9, 5)
    offer(top, h)
    again = np.array([0, 3, 8])
    top.restart(again)
    row, feature = np.nonzero(h > top.least)
    is_again = np.isin(feature, again)
    add(top, row[is_again], feature[is_again], h)
    assert_array_equal(top.descending()[0], reference.top_images(h, 5))
