"""Distinctiveness and soft Q against loops, by hand, and where undefined."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.analysis.quality.label_free.distinctiveness import distinctiveness, raw_distinctiveness, soft_q
from core.errors import ShapeError
from tests import reference_scores as reference

RTOL = 1e-9  # float64 sums in another order


@pytest.mark.parametrize("shape", [(1, 3), (7, 16), (33, 200)], ids=str)
def test_scores__match_loops(rng, shape):
    train, rows = rng.gamma(0.3, size=(40, shape[1])), rng.gamma(0.3, size=shape)
    train[:, 0] = 0.25  # a feature without spread
    moments = reference.column_moments(train)
    mean, std = np.array(moments[0]), np.array(moments[1])
    assert_allclose(distinctiveness(rows, mean, std), reference.distinctiveness(rows, *moments), rtol=RTOL)
    found = raw_distinctiveness(rows, mean, std)
    assert_allclose(found, reference.distinctiveness(rows, *moments), rtol=RTOL)
    for threshold in (0.0, 1.0, 4.0):
        expected = reference.soft_q(rows, *moments, threshold)
        assert_allclose(soft_q(rows, mean, std, threshold=threshold), expected, rtol=RTOL, atol=1e-15)


def test_by_hand():
    # z = (3, -1) and no spread in the third feature: mean of 9 and 1; excess over 1 is 2, of two features
    rows, mean, std = np.array([[7.0, 0.0, 5.0]]), np.array([1.0, 1.0, 0.0]), np.array([2.0, 1.0, 0.0])
    assert_allclose(distinctiveness(rows, mean, std), [5.0])
    assert_allclose(soft_q(rows, mean, std), [1.0])


def test_distinctiveness__is_1_on_average_over_train(rng):
    train = rng.gamma(0.3, size=(60, 20))
    assert_allclose(float(distinctiveness(train, train.mean(0), train.std(0)).mean()), 1.0, rtol=RTOL)


def test_scores__do_not_depend_on_the_scale_of_a_feature(rng):
    train, rows, scale = rng.gamma(0.3, size=(30, 9)), rng.gamma(0.3, size=(5, 9)), rng.uniform(1, 9, 9)
    for score in (distinctiveness, soft_q):
        plain = score(rows, train.mean(0), train.std(0))
        scaled = score(rows * scale, (train * scale).mean(0), (train * scale).std(0))
        assert_allclose(scaled, plain, rtol=1e-8)


def test_no_feature_varies__is_undefined():
    for score in (distinctiveness, soft_q):
        assert score(np.ones((2, 3)), np.ones(3), np.zeros(3)).isnan().all()


def test_lengths_must_agree():
    with pytest.raises(ShapeError, match="row columns: 4, but means: 3"):
        distinctiveness(np.ones((2, 4)), np.ones(3), np.ones(3))
