"""The directions of Kalibhat 2024, A.11 to A.14."""

from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from core.research.published_figures_sheets import (
    class_top_features,
    lowly_activating_features,
    pca_directions,
    random_features,
)


def test_features_of_classes__hand_computed():
    means = np.array([[0.0, 0.5, np.nan], [0.3, 0.1, np.nan], [0.2, 0.0, np.nan], [0.9, 0.9, np.nan]])
    inside = np.array([True, True, True, False])
    assert_array_equal(class_top_features(means, inside), [1, 0, -1])
    assert_array_equal(class_top_features(means, np.zeros(4, bool)), [-1, -1, -1])
    assert_array_equal(lowly_activating_features(means), [2, 1, -1])
    assert_array_equal(lowly_activating_features(np.zeros((3, 1))), [-1])
    assert_array_equal(lowly_activating_features(np.array([[-0.4, -1], [0.3, 0], [0.1, -1]])), [2, -1])


def test_random_features__seeded_and_different():
    first = random_features(50, 10, seed=3)
    assert len(set(first)) == 10 and set(first) <= set(range(50))
    assert_array_equal(first, random_features(50, 10, seed=3))
    assert set(first) != set(random_features(50, 10, seed=4))
    assert sorted(random_features(4, 10)) == [0, 1, 2, 3]


def test_pca__is_scikit_learns(rng):
    from sklearn.decomposition import PCA

    raw = rng.gamma(0.5, size=(40, 7)) * np.arange(1, 8)
    ours, theirs = pca_directions(raw, 3), PCA(3, svd_solver="full").fit(raw).components_
    assert_allclose(np.abs(np.sum(ours * theirs, axis=1)), 1, atol=1e-6)
    assert (np.take_along_axis(ours, np.abs(ours).argmax(1)[:, None], 1) > 0).all()
    assert pca_directions(raw[:2], 5).shape == (2, 7)
