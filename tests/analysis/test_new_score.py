"""A score of the logits is a function and two rows: step, names, exports and tooltips follow."""

from __future__ import annotations

import numpy as np

from core.analysis import baseline_scores as baselines
from core.analysis.baseline_scores import baseline_scores
from core.common.score_names import SCORES
from core.publish.export_files import COLUMNS
from core.store import open_study
from dashboard.components.tooltips import TEXTS


def test_baseline_scores__take_a_new_score_of_the_logits(monkeypatch, shared_study):
    study = open_study(shared_study)
    monkeypatch.setitem(baselines.OF_LOGITS, "peak", lambda logits: logits.max(1))
    scores = baseline_scores(study)
    expected = study.vector("val_logits").astype(float).max(1)
    assert np.array_equal(scores["peak"][study.is_val], expected)
    assert np.isnan(scores["peak"][~study.is_val]).all()


def test_every_score__is_exported_and_explained():
    assert set(SCORES) <= set(COLUMNS["quality"])
    assert set(SCORES) <= set(TEXTS)
