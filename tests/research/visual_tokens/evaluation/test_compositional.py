"""Scores of compositional tests against loops; ties are chance."""

from __future__ import annotations

import numpy as np
import pytest

from core.research.visual_tokens.evaluation.benchmark import Benchmark, ChoiceItem, PairItem
from core.research.visual_tokens.evaluation.compositional import (
    choice_scores,
    pair_scores,
    single_comparisons,
)
from core.research.visual_tokens.evaluation.retrieval import retrieval
from core.research.visual_tokens.evaluation.run import blind_checks, try_judge
from tests.research.visual_tokens import reference


def test_choice__matches_loop_and_ties_share(rng):
    cosines = [rng.integers(0, 3, rng.integers(2, 6)).astype(float) for _ in range(200)]
    assert choice_scores(cosines).tolist() == [reference.choice(one.tolist()) for one in cosines]
    assert choice_scores([np.zeros(5), np.zeros(2)]).tolist() == [0.2, 0.5]
    assert choice_scores([np.array([3.0, 1, 2]), np.array([1.0, 3, 2])]).tolist() == [1, 0]


def test_choice__nan_and_a_single_caption_are_undefined():
    assert np.isnan(choice_scores([np.array([1.0]), np.array([1.0, np.nan])])).all()
    assert len(choice_scores([])) == 0


def test_pairs__match_loop(rng):
    cosine = rng.random((100, 2, 2))
    found = np.array(pair_scores(cosine)).T
    assert found.tolist() == [list(reference.pairs(one.tolist())) for one in cosine]


def test_pairs__a_constant_is_at_chance_and_the_right_one_perfect():
    assert [x[0] for x in pair_scores(np.zeros((1, 2, 2)))] == pytest.approx([1 / 4, 1 / 4, 1 / 6])
    assert [x[0] for x in pair_scores(np.eye(2)[None])] == [1, 1, 1]
    assert [x[0] for x in pair_scores(1 - np.eye(2)[None])] == [0, 0, 0]
    assert np.isnan(pair_scores(np.full((1, 2, 2), np.nan)).text).all()


def test_pairs__a_tie_is_the_mean_over_small_noise(rng):
    cosine = np.array([[1.0, 1.0], [0.0, 1.0]])
    noisy = cosine + 1e-6 * rng.standard_normal((20_000, 2, 2))
    exact = [x[0] for x in pair_scores(cosine[None])]
    assert exact == pytest.approx([x.mean() for x in pair_scores(noisy)], abs=0.015)


def test_single_comparisons__a_blind_model_is_right_half_of_the_time(rng):
    captions = rng.random((50, 2))
    assert single_comparisons(np.repeat(captions[:, :, None], 2, axis=2)).mean() == 0.5
    assert single_comparisons(np.eye(2)).tolist() == [1, 1]
    assert single_comparisons(np.ones((2, 2))).tolist() == [0.5, 0.5]
    np.testing.assert_equal(single_comparisons(np.array([[np.nan, 0], [1, 0]])), [np.nan, 0.5])


class ByNumber:
    """Judges a caption by a number for it, whatever the picture."""

    name = "numbers"
    numbers = {"a": 1.0, "b": 0.0, "c": 2.0, "d": 3.0}

    def pictures(self, benchmark):
        return np.ones((len(benchmark.keys), 1))

    def texts(self, captions):
        return np.array([[self.numbers[caption]] for caption in captions])


def test_choices__chance_of_the_mean_over_groups_is_that_of_the_groups():
    items = [ChoiceItem("p", ("a", "b"), "two"), ChoiceItem("p", ("b",), "alone")]
    items += [ChoiceItem("p", ("a", "b", "c", "d"), "four")] * 3
    pictures: dict = {}  # which nobody asks for
    found, _ = try_judge(ByNumber(), Benchmark("test", items, read=pictures.__getitem__))
    by_item, by_group = found
    assert (by_item.value, by_item.chance, by_item.n) == (1 / 4, (1 / 2 + 3 / 4) / 4, 4)
    assert by_group.measure == "mean over groups" and by_group.n == 2
    assert (by_group.value, by_group.chance) == (1 / 2, (1 / 2 + 1 / 4) / 2)


class Same:
    """A judge to which all captions, or all pictures, are one."""

    name = "same"

    def __init__(self, rng, width):
        self.picture, self.caption = rng.standard_normal((2, width)).astype(np.float32)

    def pictures(self, benchmark):
        return np.stack([self.picture] * len(benchmark.keys))

    def texts(self, captions):
        return np.stack([self.caption] * len(captions))


@pytest.mark.parametrize("width", [64, 513])
def test_choices__a_judge_that_tells_nothing_apart_is_at_chance_whatever_rounding_does(rng, width):
    items = [ChoiceItem(f"p{n}", tuple(f"{n} {k}" for k in range(2 + n % 4))) for n in range(40)]
    test = Benchmark("test", items, read={}.__getitem__)
    for _ in range(5):
        [found], _ = try_judge(Same(rng, width), test)
        assert found.value == pytest.approx(found.chance, abs=1e-12) == (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 4


def test_pairs__a_judge_that_tells_nothing_apart_is_at_chance(rng):
    items = [PairItem((f"{n}a", f"{n}b"), (f"{n} c", f"{n} d")) for n in range(7)]
    found, _ = try_judge(Same(rng, 300), Benchmark("test", items, read={}.__getitem__))
    assert [one.value for one in found] == pytest.approx([1 / 4, 1 / 4, 1 / 6])
    assert [one.chance for one in found] == [1 / 4, 1 / 4, 1 / 6]


def test_blind_checks__a_constant_text_tower_is_at_chance(rng):
    items = [ChoiceItem("p", tuple(f"{n} {k}" for k in range(5))) for n in range(3)]
    test = Benchmark("test", items, read={}.__getitem__)
    [check] = blind_checks([test], Same(rng, 512), None)
    assert check.share == pytest.approx(0.2) == check.chance


def test_choices__rare_groups_count_among_the_items_and_not_in_the_mean_over_groups():
    items = [ChoiceItem("p", ("a", "b"), "common")] * 2 + [ChoiceItem("p", ("b", "a"), "rare")]
    found, _ = try_judge(ByNumber(), Benchmark("test", items, read={}.__getitem__, least_group=2))
    assert [(one.measure, one.n) for one in found] == [("accuracy", 3)]  # one group is no mean
    items += [ChoiceItem("p", ("c", "d"), "another")] * 2
    _, mean = try_judge(ByNumber(), Benchmark("test", items, read={}.__getitem__, least_group=2))[0]
    assert (mean.value, mean.n) == (0.5, 2)


def test_retrieval__by_hand():
    images, texts = np.eye(3), np.eye(3)[[1, 0, 2]]
    found = retrieval(images, texts, ["a", "b", "c"])
    assert found["image_to_text"] == found["text_to_image"] == pytest.approx(1 / 3)
    assert found["diagonal"] == pytest.approx(1 / 3) and found["off_diagonal"] == pytest.approx(2 / 6)
    same = retrieval(images, texts, ["a", "a", "c"])
    assert same["image_to_text"] == 1.0  # either image of the caption counts
    assert np.isnan(retrieval(np.zeros((0, 3)), np.zeros((0, 3)), [])["diagonal"])
