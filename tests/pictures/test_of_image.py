"""What the features of one image do, against sums by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.analysis.predictor import predictor_of_images
from core.pictures.look import Look
from core.pictures.of_image import look_at
from core.store import Study, open_study


def looked(study: Study, row: int) -> Look:
    return look_at(study, predictor_of_images(study), row)


def test_pushes__add_up_to_the_lead_of_the_answer(shared_study):
    study = open_study(shared_study)
    probe = study.table("probe")
    weights, bias = study.vector("probe_weights"), study.vector("probe_bias")
    names = study.class_names
    wrong = 0
    for row in range(0, study.n_images, 7):
        raw = study.array("representations")[row].astype(float)
        logits = [
            sum(w * x for w, x in zip(weights[c], raw, strict=True)) + bias[c] for c in range(len(names))
        ]
        ranked = sorted(range(len(names)), key=lambda c: -logits[c])
        found = looked(study, row)
        assert found.answer == names[ranked[0]] == probe["predicted"].iat[row]
        label = study.images["label"].iat[row]
        rival = names[ranked[1]] if label == found.answer else label
        wrong += label != found.answer
        assert found.rival == rival
        assert found.lead == pytest.approx(logits[ranked[0]] - logits[names.index(rival)], rel=1e-4, abs=1e-5)
        table, beside = found.features, bias[ranked[0]] - bias[names.index(rival)]
        assert table["push"].sum() + beside == pytest.approx(found.lead, rel=1e-4, abs=1e-5)
        assert table["push"].abs().is_monotonic_decreasing and table["feature"].is_unique
    assert wrong  # both kinds of rivals were seen


def test_features__fire_as_the_firing_sets_say(shared_study):
    study = open_study(shared_study)
    ends = np.cumsum(study.vector("firing_count"))
    fired = study.vector("firing_features")
    for row in (0, 5, study.n_images - 1):
        table = looked(study, row).features
        wanted = fired[ends[row - 1] if row else 0 : ends[row]]
        assert sorted(table.loc[table["fires"], "feature"]) == sorted(wanted.tolist())
        raw = study.array("representations")[row].astype(float)
        np.testing.assert_allclose(
            table["activation"], raw[table["feature"]] / np.linalg.norm(raw), rtol=1e-6
        )


def test_without_labels__no_pushes_and_the_most_active_first(study_path):
    study = open_study(study_path(labels=False))
    look = looked(study, 0)
    assert not look.answer and not look.pushes
    table = look.features
    assert table["push"].isna().all() and table["fires"].all()
    assert table["activation"].is_monotonic_decreasing
