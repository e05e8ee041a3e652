"""Exact cosine neighbours against loops, in blocks, and with too few rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis import neighbours
from core.analysis.definitions import normalise_rows
from core.errors import ShapeError
from core.store import open_study
from tests import reference

SINGLE = 1e-5  # float32 products


@pytest.mark.parametrize("entries", [1, 1 << 25], ids=["many blocks", "one block"])
def test_nearest_rows__matches_loop(rng, monkeypatch, entries):
    monkeypatch.setattr(neighbours, "TRAIN_ENTRIES", entries)
    val, train = rng.gamma(0.5, size=(9, 12)), rng.gamma(0.5, size=(31, 12))
    where, cosine = neighbours.nearest_rows(normalise_rows(val), normalise_rows(train), k=4)
    expected, similarity = reference.nearest(val, train, 4)
    assert_array_equal(where, expected)
    assert_allclose(cosine, similarity, rtol=SINGLE)


def test_nearest_rows__by_hand():
    train = normalise_rows(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    where, cosine = neighbours.nearest_rows(np.array([[1.0, 0.0]]), train, k=2)
    assert_array_equal(where, [[0, 1]])
    assert_allclose(cosine, [[1.0, np.sqrt(0.5)]], rtol=SINGLE)


def test_nearest_rows__too_few_rows_leave_holes():
    where, cosine = neighbours.nearest_rows(np.zeros((1, 3)), np.eye(3)[:2], k=4)
    assert_array_equal(np.sort(where[0]), [-1, -1, 0, 1])
    assert_allclose(cosine, [[0.0, 0.0, np.nan, np.nan]])


def test_nearest_rows__widths_must_agree():
    with pytest.raises(ShapeError, match="queries.*3.*2"):
        neighbours.nearest_rows(np.ones((1, 3)), np.ones((1, 2)))


def test_seeded_rows__sorted_seeded_and_limited():
    rows = np.arange(10, 60)
    assert_array_equal(neighbours.sample_rows(rows, 50, 0), rows)
    found = neighbours.sample_rows(rows, 20, 0)
    assert_array_equal(found, np.unique(found))
    assert len(found) == 20 and set(found) <= set(rows)
    assert not np.array_equal(found, neighbours.sample_rows(rows, 20, 1))


@pytest.mark.parametrize("entries", [1, 1 << 25], ids=["many blocks", "one block"])
def test_largest_of_others__matches_loop(rng, monkeypatch, entries):
    monkeypatch.setattr(neighbours, "TRAIN_ENTRIES", entries)
    rows = normalise_rows(rng.gamma(0.5, size=(30, 6)))
    against, units = np.arange(20), torch.from_numpy(rng.integers(0, 6, 30))
    found = neighbours.largest_of_others(rows.float(), rows[against].float(), units, units[against])
    for row in range(30):
        others = [one for one in against if units[one] != units[row]]
        expected = max(float(rows[row] @ rows[one]) for one in others)
        assert float(found[row]) == pytest.approx(expected, rel=SINGLE)
    alone = torch.zeros(30, dtype=torch.int64)
    assert neighbours.largest_of_others(rows, rows, alone, alone).isnan().all()


def test_compute_neighbours__distance_to_the_nearest_train_image(shared_study):
    study = open_study(shared_study)
    raw = study.array("representations")[:].astype(float)
    train, val = np.flatnonzero(~study.is_val), np.flatnonzero(study.is_val)
    table = study.table("nearest_train")
    assert list(table["image_id"]) == list(study.images["image_id"])
    _, cosine = reference.nearest(raw[val[:5]], raw[train], 1)
    assert_allclose(table["nearest_train"][val[:5]], 1 - cosine[:, 0], atol=SINGLE)
    _, cosine = reference.nearest(raw[train[:5]], raw[train], 2)  # the first is the image itself
    assert_allclose(table["nearest_train"][train[:5]], 1 - cosine[:, 1], atol=SINGLE)


def test_compute_neighbours__stored_rows_are_the_nearest_train_rows(shared_study):
    study = open_study(shared_study)
    raw = study.array("representations")[:].astype(float)
    train, val = np.flatnonzero(~study.is_val), np.flatnonzero(study.is_val)
    where, cosine = reference.nearest(raw[val[:5]], raw[train], 10)
    assert_array_equal(study.array("neighbours")[:5], train[where])
    assert_allclose(study.array("neighbour_similarity")[:5], cosine, rtol=SINGLE)
    summary = study.summary("neighbours")
    assert summary["n_train_used"] == len(train)
    assert_allclose(summary["rankme"], reference.rankme(raw), rtol=1e-6)
