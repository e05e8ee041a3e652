"""Mean representations of a slice: equal to a loop over its images, undefined where it has none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.measures.feature_rates import group_means
from core.measures.slice import Slice
from core.store import open_study
from tests import reference

SINGLE = 1e-6  # results are float32


@pytest.mark.parametrize("where", ["split=val", "split=train label=ant,bee", "correct=false", "label=cat"])
def test_slice__matches_a_loop_over_its_images(where, shared_study):
    study = open_study(shared_study)
    mask = Slice.parse(where).mask(study)
    means = group_means(study, mask)
    raw = study.array("representations")[:][mask]
    code = np.array([study.class_names.index(name) for name in study.images["label"]])[mask]
    correct = study.table("probe")["correct"].to_numpy(bool)[mask]
    assert_allclose(means.class_means(), reference.group_means(raw, code, correct, 4), rtol=SINGLE)
    counts = [[np.sum((correct == verdict) & (code == c)) for c in range(4)] for verdict in (1, 0)]
    assert_array_equal(means.class_counts(), counts)
    for group, chosen in zip(means.sparsity_curves(), (correct, ~correct), strict=True):
        if chosen.any():
            whole = np.array(reference.sparsity_curve(raw[chosen]))
            assert_allclose(group, whole[means.ranks - 1], rtol=SINGLE)
        else:
            assert np.isnan(group).all()


def test_all_evaluation_images__are_what_the_step_stores(shared_study):
    study = open_study(shared_study)
    means = group_means(study, study.is_val)
    right, wrong = means.class_means()
    assert_allclose(right, study.vector("class_means_correct"), rtol=SINGLE)
    assert_allclose(wrong, study.vector("class_means_misclassified"), rtol=SINGLE)
    assert_array_equal(means.class_counts(), study.vector("group_counts"))


def test_empty_slice__is_undefined(shared_study):
    study = open_study(shared_study)
    means = group_means(study, np.zeros(study.n_images, bool))
    assert np.isnan(means.class_means()).all() and not means.class_counts().any()
    assert np.isnan(means.sparsity_curves()).all()


def test_images_without_labels__have_no_groups(study_path):
    study = open_study(study_path(labels=False, pictures=False, n_train=40, n_val=20))
    means = group_means(study, study.is_val)
    assert means.class_counts().shape == (2, 0) and np.isnan(means.sparsity_curves()).all()
