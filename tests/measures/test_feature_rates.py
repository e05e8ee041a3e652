"""Features of a slice against loops written from the formulas, and the undefined cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from core.measures.feature_rates import COLUMNS, MEANS, activation_moments, feature_differences
from tests.measures.worlds import N_FEATURES, World, make_world

Z = 1.959963984540054


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("features") / "study")


def sides(world: World, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    part = rng.random(len(world.raw))
    return part < 0.3, part > 0.5


def slow_wilson(k: int, n: int) -> tuple[float, float]:
    p = k / n
    centre, half = p + Z**2 / (2 * n), Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return (centre - half) / (1 + Z**2 / n), (centre + half) / (1 + Z**2 / n)


def slow_newcombe(a: int, m: int, b: int, n: int) -> tuple[float, float]:
    (low_a, high_a), (low_b, high_b), p, q = slow_wilson(a, m), slow_wilson(b, n), a / m, b / n
    below = math.sqrt((p - low_a) ** 2 + (high_b - q) ** 2)
    above = math.sqrt((high_a - p) ** 2 + (q - low_b) ** 2)
    return p - q - below, p - q + above


def slow_fisher(a: int, m: int, b: int, n: int) -> float:
    """Twice the smaller tail of the hypergeometric distribution, term by term."""

    def chance(x: int) -> float:
        return math.comb(a + b, x) * math.comb(m + n - a - b, m - x) / math.comb(m + n, m)

    possible = range(max(0, m + a + b - (m + n)), min(m, a + b) + 1)
    more, fewer = (
        sum(chance(x) for x in possible if keep(x)) for keep in (lambda x: x >= a, lambda x: x <= a)
    )
    return min(1.0, 2 * min(more, fewer))


def slow_benjamini_hochberg(p: list[float]) -> list[float]:
    """For each test, the smallest m p_j / rank_j over all p_j that are at least its own."""
    known = [value for value in p if not math.isnan(value)]
    found = []
    for own in p:
        ranks = [(value, sum(other <= value for other in known)) for value in known if value >= own]
        found.append(min([1.0, *(value * len(known) / rank for value, rank in ranks)]) if ranks else math.nan)
    return found


def slow_welch(one: list[float], other: list[float]) -> float:
    def spread(values: list[float]) -> tuple[float, float]:
        mean = math.fsum(values) / len(values)
        return mean, math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values)

    (mean, u), (mean_other, v) = spread(one), spread(other)
    t = abs(mean - mean_other) / math.sqrt(u + v)
    freedom = (u + v) ** 2 / (u**2 / (len(one) - 1) + v**2 / (len(other) - 1))
    return 2 * float(stats.t.sf(t, freedom))


def test_feature_differences__match_loops(world, rng):
    for _ in range(3):
        mask, against = sides(world, rng)
        found = feature_differences(world.study, mask, against).set_index("feature").sort_index()
        p = []
        for feature in range(N_FEATURES):
            a = sum(bool(world.firing[row, feature]) for row in range(len(mask)) if mask[row])
            b = sum(bool(world.firing[row, feature]) for row in range(len(mask)) if against[row])
            m, n, row = sum(mask), sum(against), found.loc[feature]
            assert_allclose([row["rate"], row["rate_against"]], [a / m, b / n], rtol=1e-12)
            assert_allclose(row["difference"], a / m - b / n, atol=1e-12)
            assert_allclose([row["low"], row["high"]], slow_newcombe(a, m, b, n), atol=1e-12)
            p.append(slow_fisher(a, m, b, n) if a + b else math.nan)
        assert_allclose(found["p"], p, rtol=1e-8)
        assert_allclose(found["q"], slow_benjamini_hochberg(p), rtol=1e-8)


def test_feature_differences__means_match_loops(world, rng):
    mask, against = sides(world, rng)
    found = feature_differences(world.study, mask, against, means=True).set_index("feature").sort_index()
    h = [[float(v) / math.sqrt(math.fsum(float(w) ** 2 for w in row)) for v in row] for row in world.raw]
    p = []
    for feature in range(N_FEATURES):
        one = [h[row][feature] for row in range(len(mask)) if mask[row]]
        other = [h[row][feature] for row in range(len(mask)) if against[row]]
        assert_allclose(found.loc[feature, "mean"], math.fsum(one) / len(one), rtol=1e-12)
        assert_allclose(found.loc[feature, "mean_against"], math.fsum(other) / len(other), rtol=1e-12)
        p.append(slow_welch(one, other))
    assert_allclose(found["mean_q"], slow_benjamini_hochberg(p), rtol=1e-9)


def test_feature_differences__are_in_the_order_of_the_difference_then_of_the_feature(world, rng):
    found = feature_differences(world.study, *sides(world, rng))
    keys = list(zip(-found["difference"], found["feature"], strict=True))
    assert keys == sorted(keys) and len(keys) == N_FEATURES


def test_feature_differences__turned_around(world, rng):
    mask, against = sides(world, rng)
    one, other = (
        feature_differences(world.study, *pair, means=True).set_index("feature").sort_index()
        for pair in ((mask, against), (against, mask))
    )
    assert_allclose(one["difference"], -other["difference"])
    assert_allclose(one["low"], -other["high"])
    assert_allclose(one[["p", "q", "mean_q"]], other[["p", "q", "mean_q"]])


def test_feature_differences__a_feature_that_fires_nowhere_is_no_test(world, rng):
    row = feature_differences(world.study, *sides(world, rng)).set_index("feature").loc[0]
    assert (row["rate"], row["difference"]) == (0, 0) and np.isnan([row["p"], row["q"]]).all()


def test_feature_differences__by_hand(world):
    """One image against another: a feature that fires on the first only."""
    mask, against = np.zeros((2, len(world.raw)), bool)
    feature = int(np.flatnonzero(world.firing[:, 1:].any(0))[0]) + 1
    first = int(np.flatnonzero(world.firing[:, feature])[0])
    second = int(np.flatnonzero(~world.firing[:, feature])[0])
    mask[first], against[second] = True, True
    found = feature_differences(world.study, mask, against, means=True).set_index("feature").loc[feature]
    assert (found["rate"], found["rate_against"], found["difference"], found["p"]) == (1.0, 0.0, 1.0, 1.0)
    assert np.isnan(found["mean_q"]) and found["mean"] > 0  # one value has no spread


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_feature_differences__an_empty_side_is_undefined(world, rng, empty):
    mask, against = sides(world, rng)
    if empty != 1:
        mask = np.zeros_like(mask)
    if empty != 0:
        against = np.zeros_like(against)
    found = feature_differences(world.study, mask, against, means=True)
    assert found[["difference", "low", "high", "p", "q", "mean_q"]].isna().to_numpy().all()
    assert found["feature"].tolist() == list(range(N_FEATURES))
    assert found["rate"].isna().all() == (empty != 1) and found["mean"].isna().all() == (empty != 1)


def test_feature_differences__without_firing_sets_there_are_none(tmp_path):
    from tests import small

    study = small.write_small_study(tmp_path / "study", features=False)
    mask = study.is_val
    assert list(feature_differences(study, mask, ~mask).columns) == COLUMNS
    found = feature_differences(study, mask, ~mask, means=True)
    assert found.empty and list(found.columns) == [*COLUMNS, *MEANS]


def test_feature_differences__without_representations_there_are_no_means(tmp_path, rng):
    world = make_world(tmp_path / "study")
    world.study.damage["representations"] = "representations/00000.npy is gone"
    found = feature_differences(world.study, *sides(world, rng), means=True)
    assert found[MEANS].isna().to_numpy().all() and found["difference"].notna().all()


def test_activation_moments__are_those_of_one_pass_over_all_rows(world, rng):
    mask = rng.random(len(world.raw)) < 0.7
    h = world.raw.astype(np.float64)
    h /= np.linalg.norm(h, axis=1, keepdims=True)
    found = activation_moments(world.study, mask)
    assert found.n == mask.sum()
    assert_allclose(found.mean, h[mask].mean(0), rtol=1e-12)
    assert_allclose(found.variance, h[mask].var(0, ddof=1), rtol=1e-10)
    single = np.zeros(len(h), bool)
    single[4] = True
    found = activation_moments(world.study, single)
    assert found.n == 1 and np.isnan(found.variance).all()
    assert_allclose(found.mean, h[4], rtol=1e-12)
