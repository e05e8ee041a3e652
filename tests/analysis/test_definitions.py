"""Firing sets, activation rates and discriminative features against loops, by hand, and where undefined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis import definitions
from core.errors import NoDiscriminativeFeatures, SettingsError, ShapeError
from tests import reference

RTOL = 1e-9  # float64 sums in another order


def sparse(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.gamma(0.3, size=shape)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_normalise_rows__matches_loop(rng, dtype):
    raw = sparse(rng, (9, 17)).astype(dtype)
    normalised = definitions.normalise_rows(raw)
    assert normalised.dtype == torch.from_numpy(raw).dtype
    assert_allclose(normalised, reference.normalise_rows(raw), rtol=1e-6 if dtype == np.float32 else RTOL)


def test_normalise_rows__zero_row_stays_zero_and_has_a_gradient():
    raw = torch.zeros(1, 4, requires_grad=True)
    h = definitions.normalise_rows(raw)
    h.sum().backward()
    assert_array_equal(h.detach(), np.zeros((1, 4)))
    assert raw.grad is not None and bool(torch.isfinite(raw.grad).all())


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("shape", [(1, 3), (7, 16), (33, 512)], ids=str)
def test_highly_activating__matches_loop(rng, shape, epsilon):
    h = sparse(rng, shape)
    assert_array_equal(
        definitions.highly_activating(h, epsilon=epsilon), reference.highly_activating(h, epsilon)
    )


def test_highly_activating__by_hand():
    # mean 0.2, variance 0.16, std 0.4: the threshold at eps 1 is 0.6
    h = np.array([[1.0, 0.0, 0.0, 0.0, 0.0], [0.2, 0.2, 0.2, 0.2, 0.2]])
    expected = [[True, False, False, False, False], [False] * 5]
    assert_array_equal(definitions.highly_activating(h, epsilon=1.0), expected)
    assert not definitions.highly_activating(h, epsilon=2.0).any()  # 1.0 > 0.2 + 2 * 0.4 is false: equal


@pytest.mark.parametrize("value", [0.0, 0.1, 1.0 / 3.0, 1e6])
@pytest.mark.parametrize("epsilon", [0.0, 4.0])
def test_highly_activating__flat_row_fires_nothing(value, epsilon):
    assert not definitions.highly_activating(np.full((2, 37), value), epsilon=epsilon).any()


def test_highly_activating__ignores_scale_and_follows_row_order(rng):
    h = np.vstack([sparse(rng, (20, 64)), np.eye(64)[:3], np.arange(192.0).reshape(3, 64)])
    first = definitions.highly_activating(h, epsilon=1.0)
    for scale in (1e-8, 3.7, 1e8):
        assert_array_equal(definitions.highly_activating(scale * h, epsilon=1.0), first)
    order = rng.permutation(len(h))
    assert_array_equal(definitions.highly_activating(h[order], epsilon=1.0), first[order])


def test_highly_activating__wants_a_matrix():
    with pytest.raises(ShapeError, match=r"shape.*\(4,\)"):
        definitions.highly_activating(np.ones(4))


@pytest.mark.parametrize(("low", "high"), [(50, 95), (0, 100), (25, 75)])
def test_discriminative_features__matches_loop(rng, low, high):
    rate = rng.gamma(0.5, size=101)
    rate[rng.random(101) < 0.2] = 0.0
    discriminative = definitions.discriminative_features(rate, low=low, high=high)
    assert_array_equal(discriminative, reference.discriminative_features(rate, low, high))


def test_discriminative_features__by_hand_with_ties():
    # percentiles of 0..4 at 50 and 75 are 2 and 3; ties at both ends are in
    discriminative = definitions.discriminative_features(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), low=50, high=75)
    assert_array_equal(discriminative, [False, False, True, True, False])
    ties = definitions.discriminative_features(np.array([1.0, 2.0, 2.0, 2.0, 3.0]), low=50, high=50)
    assert_array_equal(ties, [False, True, True, True, False])


def test_discriminative_features__never_holds_a_silent_feature():
    discriminative = definitions.discriminative_features(np.array([0.0] * 9 + [1.0]), low=0, high=100)
    assert_array_equal(np.flatnonzero(discriminative), [9])


def test_discriminative_features__none_says_what_to_try():
    with pytest.raises(NoDiscriminativeFeatures, match="0.*--epsilon"):
        definitions.discriminative_features(np.zeros(8))


def test_discriminative_features__checks_percentiles():
    with pytest.raises(SettingsError, match="0.*100"):
        definitions.discriminative_features(np.arange(8.0), low=90, high=10)


def test_tails__partition_the_features(rng):
    rate = np.where(rng.random(200) < 0.3, 0.0, rng.gamma(0.5, size=200))
    tail = definitions.tails(rate)
    discriminative = definitions.discriminative_features(rate).numpy()
    assert_array_equal(tail == "middle", discriminative)
    assert rate[tail == "upper"].min() > rate[discriminative].max()
    assert rate[tail == "lower"].max() < rate[discriminative].min()
    assert set(tail[rate == 0]) == {"lower"}


def test_class_purity__by_hand():
    purity, top = definitions.class_purity(np.array([[3, 1], [0, 0], [2, 2]]))
    assert_allclose(purity, [0.75, np.nan, 0.5])
    assert_array_equal(top, [0, -1, 0])
    assert_array_equal(definitions.class_purity(np.zeros((2, 0)))[1], [-1, -1])
