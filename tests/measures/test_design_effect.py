"""Design effects: what images in groups are worth, and that intervals over them hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import t as student

from core.measures import design_effect, intervals
from core.measures.intervals import interval_of_augrc, projections
from core.measures.metrics import resample
from core.measures.placements import spreads


def loop_of_mean(values: np.ndarray, groups: np.ndarray) -> float:
    names, n, mean = sorted(set(groups)), len(values), values.mean()
    total = sum(
        sum(v - mean for v, g in zip(values, groups, strict=True) if g == name) ** 2 for name in names
    )
    of_groups = len(names) / (len(names) - 1) * total / n**2
    wider = student.ppf(0.975, len(names) - 1) / student.ppf(0.975, n - 1)
    return min(max(of_groups / (values.var(ddof=1) / n) * wider**2, 1.0), n)


def loop_of_area(score: np.ndarray, positive: np.ndarray, groups: np.ndarray) -> float:
    """Obuchowski 1997, from single pairs."""
    up, down = np.flatnonzero(positive), np.flatnonzero(~positive)
    wins = np.array([[(score[i] > score[k]) + 0.5 * (score[i] == score[k]) for k in down] for i in up])
    area, x, y = wins.mean(), wins.mean(1), wins.mean(0)
    names = sorted(set(groups))
    a = [sum(x[j] - area for j, i in enumerate(up) if groups[i] == name) for name in names]
    b = [sum(y[j] - area for j, k in enumerate(down) if groups[k] == name) for name in names]
    m, n, n_up, n_down = len(up), len(down), len(set(groups[up])), len(set(groups[down]))
    total = n_up / (n_up - 1) * np.square(a).sum() / m**2 + n_down / (n_down - 1) * np.square(b).sum() / n**2
    total += 2 * len(names) / (len(names) - 1) * np.dot(a, b) / (m * n)
    wider = student.ppf(0.975, len(names) - 1) / student.ppf(0.975, m + n - 1)
    return min(max(total / (x.var(ddof=1) / m + y.var(ddof=1) / n) * wider**2, 1.0), m + n)


def clustered(rng: np.random.Generator, n_groups: int = 30, size: int = 4) -> tuple[np.ndarray, ...]:
    """Scores, outcomes and groups: the images of a group are nearly one image."""
    groups = np.repeat(rng.permutation(n_groups), size)
    score = rng.normal(size=n_groups)[groups] + 0.3 * rng.normal(size=len(groups))
    outcome = score + rng.normal(size=n_groups)[groups] > -0.5
    return score, outcome, groups


def test_design_effects__match_loops(rng):
    score, outcome, groups = clustered(rng)
    assert_allclose(design_effect.of_mean(outcome.astype(float), groups), loop_of_mean(outcome, groups))
    assert_allclose(design_effect.of_area(score, outcome, groups), loop_of_area(score, outcome, groups))


def test_of_mean__of_copies_is_their_number_by_hand():
    values, groups = np.array([1.0, 1, 0, 0, 1, 1, 0, 0]), np.repeat([0, 1, 2, 3], 2)
    wider = student.ppf(0.975, 3) / student.ppf(0.975, 7)
    # sum over groups (2 * .5)^2 = 4; 4/3 * 4 / 64 = 1/12; s^2 / n = (2/7) / 8 = 1/28
    assert_allclose(design_effect.of_mean(values, groups), 28 / 12 * wider**2)
    assert_allclose(design_effect.of_mean(np.ones(8), groups), 2.0)  # nothing varies: as if they agreed


@pytest.mark.parametrize(
    ("values", "groups", "effect"),
    [
        ([1.0, 0.0, 1.0], None, 1.0),
        ([1.0, 0.0, 1.0], [5, 3, 9], 1.0),
        ([1.0, 0.0, 1.0], [2, 2, 2], 3.0),
        ([1.0], [0], 1.0),
        ([], [], 1.0),
        ([np.nan, 1.0, 1.0], [0, 0, 0], 2.0),
    ],
)
def test_of_mean__undefined_and_extreme_cases(values, groups, effect):
    held = None if groups is None else np.array(groups, int)
    assert design_effect.of_mean(np.array(values, float), held) == effect


def test_of_area__of_one_outcome_or_no_groups_is_1_and_of_a_perfect_score_that_of_copies():
    score, groups = np.array([1.0, 2, 3, 4, 5, 6]), np.array([0, 0, 1, 2, 2, 3])
    assert design_effect.of_area(score, np.ones(6, bool), groups) == 1.0
    assert design_effect.of_area(score, score > 3, None) == 1.0
    assert_allclose(design_effect.of_area(score, score > 3, groups), 5 / 3)


def test_intervals__without_groups_and_with_a_group_an_image_are_the_same(rng):
    score, outcome, _ = clustered(rng)
    each = np.arange(len(score))
    right = outcome.astype(float)
    assert intervals.share_bounds(right, each) == intervals.share_bounds(right)
    assert intervals.share_bounds(right) == tuple(map(float, intervals.wilson(right.sum(), len(right))))
    assert intervals.mean_interval(score, groups=each) == intervals.mean_interval(score)
    assert intervals.auroc_interval(score, outcome, each) == intervals.auroc_interval(score, outcome)
    other = score + rng.normal(size=len(score))
    assert intervals.auroc_difference(score, other, outcome, each) == intervals.auroc_difference(
        score, other, outcome
    )


def test_share_bounds__of_a_share_of_0_and_1_are_those_of_the_groups():
    groups = np.repeat(np.arange(5), 3)
    assert_allclose(intervals.share_bounds(np.ones(15), groups), intervals.wilson(5, 5))
    assert_allclose(intervals.share_bounds(np.zeros(15), groups), intervals.wilson(0, 5))


def test_resamples__draw_whole_groups(rng):
    groups = np.array([0, 0, 1, 2, 2, 2])
    counts = np.stack([resample(6, 1, number, groups) for number in range(50)])
    assert (counts[:, 0] == counts[:, 1]).all() and (counts[:, 3:] == counts[:, 3:4]).all()
    assert (counts[:, [0, 2, 3]].sum(1) == 3).all()
    values = rng.random((6, 2))
    values[1, 0] = np.nan
    drawn = intervals.resampled_means(values, resamples=50, seed=2, groups=np.array([7, 7, 4, 9, 9, 9]))
    order = np.random.default_rng(2).integers(0, 3, (50, 3))
    members = [[2], [0, 1], [3, 4, 5]]  # in the order of their codes
    expected = [np.nanmean(values[[row for group in draw for row in members[group]]], 0) for draw in order]
    assert_allclose(drawn, expected)


def covered(rng: np.random.Generator, grouped: bool, n_samples: int = 120) -> dict[str, float]:
    """How often 95 % intervals hold the truth, of 40 patients with 5 images each."""
    hits: dict[str, list[bool]] = {"share": [], "auroc": [], "augrc": [], "mean": []}
    truth = {"share": 0.6353, "auroc": 0.8433, "augrc": 0.1021, "mean": 0.0}  # of 100,000 patients
    for _ in range(n_samples):
        score, outcome, groups = clustered(rng, 40, 5)
        held = groups if grouped else None
        effect = design_effect.of_mean(projections(score, outcome), held)
        ends = {
            "share": intervals.share_bounds(outcome, held),
            "auroc": intervals.auroc_interval(score, outcome, held)[1:3],
            "augrc": interval_of_augrc(*spreads(score, outcome), effect=effect)[1:],
            "mean": intervals.mean_interval(score, groups=held)[1:3],
        }
        for name, (low, high) in ends.items():
            hits[name].append(bool(low <= truth[name] <= high))
    return {name: float(np.mean(one)) for name, one in hits.items()}


def test_coverage__of_patients_holds_and_that_of_images_does_not(rng):
    over_groups, over_images = covered(rng, True), covered(rng, False)
    assert min(over_groups.values()) > 0.9, over_groups
    assert max(over_images.values()) < 0.8, over_images
