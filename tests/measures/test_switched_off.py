from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from core.analysis.removal import AT_RANDOM, DRAWS, WITHOUT, SwitchedOff, switched_off_table, train_means
from core.errors import SettingsError
from core.pictures.of_image import without_features
from core.store import open_study


def test_switched_off__is_the_answer_to_each_changed_vector(shared_study):
    """The slow way: a vector with the means in place of its features, one image after another."""
    study = open_study(shared_study)
    rows, off = np.flatnonzero(study.is_val), [3, 0, 7]
    asked, made = without_features(study, rows, off)
    weights, bias = study.vector("probe_weights").astype(float), study.vector("probe_bias").astype(float)
    means = train_means(study)
    for row, before, after in zip(rows.tolist(), made.before, made.after, strict=True):
        raw = study.array("representations")[row].astype(float)
        assert before == np.argmax(weights @ raw + bias)
        raw[off] = means[off]
        assert after == np.argmax(weights @ raw + bias)
    table = switched_off_table(made).set_index("features")
    assert table["accuracy"].iat[0] == pytest.approx(study.summary("probe")["top1"])
    assert table.loc[WITHOUT, "flipped"] == pytest.approx(made.flipped.mean())
    assert made.random.shape == (DRAWS, len(rows))
    assert list(asked.names) == study.class_names
    for features in ([], [99_999]):
        with pytest.raises(SettingsError):
            without_features(study, rows, features)


def test_train_means__are_stored_and_cost_no_pass(shared_study, monkeypatch):
    study = open_study(shared_study)
    raw, has = study.array("representations")[:].astype(float), study.has
    assert has("raw_moments")
    monkeypatch.setattr(study, "has", lambda item: item != "feature_means" and has(item))
    monkeypatch.delattr(type(study.array("representations")), "chunks")
    np.testing.assert_allclose(train_means(study), raw[~study.is_val].mean(0), rtol=1e-6)


def test_table__by_hand():
    """Four images: right, wrong, of no known class, right; the second gets right, the last one wrong."""
    before, after = np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1])
    true = np.array([0.0, 0.0, np.nan, 2.0])
    table = switched_off_table(SwitchedOff(before, after, np.stack([before, after]), true))
    assert_array_equal(table["n_judged"], [3, 3, 3])
    np.testing.assert_allclose(table["accuracy"], [2 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(table["flipped"], [0, 0.5, 0.25])
    np.testing.assert_allclose(table[["fixed", "broken"]], [[0, 0], [1, 1], [0.5, 0.5]])
    assert (table["accuracy_low"] < table["accuracy"]).all()
    nothing = SwitchedOff(np.empty(0), np.empty(0), np.empty((DRAWS, 0)), np.empty(0))
    empty = switched_off_table(nothing).set_index("features")
    assert np.isnan(empty.loc[AT_RANDOM, "accuracy"]) and empty["n"].sum() == 0
