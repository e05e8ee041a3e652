"""NNGuide against the train images of a study: chunk by chunk, and never more at a time than that."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.analysis import baseline_scores
from core.store import open_study


@pytest.mark.parametrize("pieces", [1, 7])
def test_largest_guidance__memory_does_not_grow_with_the_images(shared_study, monkeypatch, pieces):
    study, heights = open_study(shared_study), []
    energy = study.table("probe")["energy"].to_numpy(float)
    val, n_features = np.flatnonzero(study.is_val), study.array("representations").shape[1]
    whole = baseline_scores.largest_guidance(study, val, energy, "cpu")
    rows_of = baseline_scores.stored_unit_rows

    def counted(array, rows, device):
        heights.append(len(rows))
        return rows_of(array, rows, device)

    monkeypatch.setattr(baseline_scores, "stored_unit_rows", counted)
    monkeypatch.setattr(baseline_scores, "CHUNK_ROWS", pieces)
    monkeypatch.setattr(baseline_scores, "GUIDED_ENTRIES", 3 * n_features)
    found = baseline_scores.largest_guidance(study, val, energy, "cpu")
    assert max(heights) <= max(3, pieces) < min(len(val), int((~study.is_val).sum()))
    assert_allclose(found, whole, rtol=1e-5)
    assert (np.diff(whole, axis=1) <= 0).all()  # the largest first


def test_largest_guidance__of_fewer_train_images_than_asked_for_is_undefined(shared_study, monkeypatch):
    study = open_study(shared_study)
    monkeypatch.setattr(baseline_scores, "sample_rows", lambda rows, limit, seed: rows[:3])
    energy = study.table("probe")["energy"].to_numpy(float)
    found = baseline_scores.largest_guidance(study, np.flatnonzero(study.is_val)[:2], energy, "cpu")
    assert np.isfinite(found[:, :3]).all() and np.isnan(found[:, 3:]).all()
