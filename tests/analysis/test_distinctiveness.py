"""Distinctiveness and soft Q against loops, by hand, and where undefined."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.analysis.baseline_scores import scaling
from core.analysis.kernels import score_deviations
from core.common.dataframes import safe_divide
from tests import reference_scores as reference

RTOL = 2e-5  # float32 rows


def scores(rows: np.ndarray, mean: np.ndarray, std: np.ndarray, threshold: float = 1.0) -> np.ndarray:
    """Distinctiveness, raw distinctiveness and soft Q of rows that need no normalising."""
    (inverse, shift), sums = scaling(mean, std), np.empty((3, len(rows)))
    scale, least = np.ones(len(rows), np.float32), np.float32(threshold)
    judged = rows.astype(np.float32), scale, inverse, shift, inverse, shift, least, sums
    score_deviations(*judged)
    return safe_divide(sums, np.count_nonzero(inverse))


@pytest.mark.parametrize("shape", [(1, 3), (7, 16), (33, 200)], ids=str)
def test_scores__match_loops(rng, shape):
    train, rows = rng.gamma(0.3, size=(40, shape[1])), rng.gamma(0.3, size=shape)
    train[:, 0] = 0.25  # a feature without spread
    moments = reference.column_moments(train)
    expected = reference.distinctiveness(rows, *moments)
    for threshold in (0.0, 1.0, 4.0):
        distinct, raw, soft = scores(rows, np.array(moments[0]), np.array(moments[1]), threshold)
        assert_allclose(distinct, expected, rtol=RTOL)
        assert_allclose(raw, expected, rtol=RTOL)
        assert_allclose(soft, reference.soft_q(rows, *moments, threshold), rtol=RTOL, atol=1e-6)


def test_by_hand():
    # z = (3, -1) and no spread in the third feature: mean of 9 and 1; excess over 1 is 2, of two features
    rows, mean, std = np.array([[7.0, 0.0, 5.0]]), np.array([1.0, 1.0, 0.0]), np.array([2.0, 1.0, 0.0])
    assert scores(rows, mean, std).tolist() == [[5.0], [5.0], [1.0]]


def test_distinctiveness__is_1_on_average_over_train(rng):
    train = rng.gamma(0.3, size=(60, 20))
    assert_allclose(scores(train, train.mean(0), train.std(0))[0].mean(), 1.0, rtol=RTOL)


def test_scores__do_not_depend_on_the_scale_of_a_feature(rng):
    train, rows, scale = rng.gamma(0.3, size=(30, 9)), rng.gamma(0.3, size=(5, 9)), rng.uniform(1, 9, 9)
    plain = scores(rows, train.mean(0), train.std(0))
    assert_allclose(scores(rows * scale, (train * scale).mean(0), (train * scale).std(0)), plain, rtol=RTOL)


def test_no_feature_varies__is_undefined():
    assert np.isnan(scores(np.ones((2, 3)), np.ones(3), np.zeros(3))).all()
