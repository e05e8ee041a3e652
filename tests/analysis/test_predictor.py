from __future__ import annotations

import numpy as np
import pytest

from core.analysis.predictor import without_features
from core.analysis.removal import DRAWS, WITHOUT, switched_off_table, train_means
from core.errors import SettingsError
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
