"""Neighbours of moved embeddings: against a loop, without a move, far away, and undefined."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.errors import SettingsError, ShapeError
from core.research.changed_inputs_moved import draw_pairs, kept_share, moved, perturbed_neighbours


def units(rng, n: int, d: int = 5) -> np.ndarray:
    rows = rng.normal(size=(n, d))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("kind", ["positive", "negative"])
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 3.0])
def test_perturbed_neighbours__match_a_loop(rng, epsilon, kind):
    bank, anchors, points = units(rng, 30), units(rng, 6), units(rng, 6)
    found, cosines = perturbed_neighbours(points, anchors, bank, epsilon=epsilon, kind=kind, k=3)
    for row in range(6):
        point = [
            p + (epsilon if kind == "negative" else -epsilon) * a
            for p, a in zip(points[row], anchors[row], strict=True)
        ]
        length = math.sqrt(sum(value**2 for value in point))
        all_cosines = [sum(b * p for b, p in zip(one, point, strict=True)) / length for one in bank]
        nearest = sorted(range(30), key=lambda place: -all_cosines[place])[:3]
        assert found[row].tolist() == nearest
        np.testing.assert_allclose(cosines[row], [all_cosines[place] for place in nearest], atol=1e-5)
    first = perturbed_neighbours(points, anchors, bank, epsilon=epsilon, kind=kind)[0]
    assert first[:, 0].tolist() == found[:, 0].tolist()


def test_perturbed_neighbours__without_a_move_a_point_of_the_bank_finds_itself(rng):
    bank, anchors = units(rng, 20), units(rng, 4)
    for kind in ("positive", "negative"):
        found, cosines = perturbed_neighbours(bank[5:9], anchors, bank, epsilon=0.0, kind=kind)
        assert found[:, 0].tolist() == [5, 6, 7, 8]
        np.testing.assert_allclose(cosines, 1, atol=1e-6)


def test_perturbed_neighbours__far_away_are_the_farthest_and_the_nearest_image_of_the_anchor(rng):
    bank, anchors, points = units(rng, 40), units(rng, 5), units(rng, 5)
    cosines = anchors @ bank.T
    assert (
        perturbed_neighbours(points, anchors, bank, epsilon=1e6, kind="positive")[0][:, 0]
        == cosines.argmin(1)
    ).all()
    assert (
        perturbed_neighbours(points, anchors, bank, epsilon=1e6, kind="negative")[0][:, 0]
        == cosines.argmax(1)
    ).all()


def test_perturbed_neighbours__by_hand_and_without_direction():
    bank = np.eye(2, dtype=np.float32)
    anchor, point = bank[:1], bank[1:]
    assert perturbed_neighbours(point, anchor, bank, epsilon=0.5, kind="negative")[0][0, 0] == 1
    assert perturbed_neighbours(point, anchor, bank, epsilon=2.0, kind="negative")[0][0, 0] == 0
    gone, cosine = perturbed_neighbours(anchor, anchor, bank, epsilon=1.0, kind="positive")  # v - v
    assert gone[0, 0] == -1 and np.isnan(cosine[0, 0])
    assert perturbed_neighbours(point, anchor, bank, epsilon=0.5, kind="negative", k=5)[0].shape == (1, 2)


def test_moved__refuses(rng):
    one = units(rng, 2)
    with pytest.raises(SettingsError, match="epsilon.*-1.*0"):
        moved(one, one, epsilon=-1, kind="positive")
    with pytest.raises(ShapeError):
        moved(one, one[:1], epsilon=1, kind="positive")


def test_draw_pairs__are_of_two_images_and_cover_before_they_repeat():
    rows = np.arange(10, 30)
    anchors, others = draw_pairs(rows, 20, seed=0)
    assert sorted(anchors) == rows.tolist() and (anchors != others).all() and set(others) <= set(rows)
    assert len(draw_pairs(rows, 50, seed=0)[0]) == 50
    with pytest.raises(SettingsError, match="images"):
        draw_pairs(rows[:1], 5, seed=0)


def test_kept_share__counts_pairs_whose_values_are_known():
    values = ["a", "b", "a", None, float("nan")]
    share, n = kept_share(values, np.array([0, 0, 0, 3, 0]), np.array([2, 1, -1, 0, 4]))
    assert (share, n) == (0.5, 2)
    assert np.isnan(kept_share(values, np.array([3]), np.array([0]))[0])
