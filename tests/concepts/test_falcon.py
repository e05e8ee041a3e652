from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.concepts.crops import box_on_image
from core.concepts.falcon import (
    CounterfactualSearch,
    EntryMoments,
    best_by_word,
    choose_k,
    confidence_of,
    contrast,
    largest_k,
    word_scores,
)
from core.errors import SettingsError, ShapeError
from tests.concepts import reference_concepts as reference

SHAPES = [(1, 3), (7, 16), (40, 33)]


def alpha_of(h: np.ndarray, k: float) -> float:
    return EntryMoments.of(h).alpha(k)


def counterfactuals(
    h: np.ndarray, features: list[int], rows: np.ndarray, *, beta: float, n: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Those of one group, from all rows at once."""
    search = CounterfactualSearch([features], [h[rows].sum(0)], [len(rows)], h.mean(0), beta=beta, n=n)
    search.update(0, h)
    return search.finish()[0]


def rows_of(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    raw = rng.gamma(0.3, size=shape)
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [0.0, 1.0, 3.0, 16.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_alpha__matches_loop(rng, shape, k):
    h = rows_of(rng, shape)
    assert_allclose(alpha_of(h, k), reference.alpha_of(h, k), rtol=1e-12)


def test_alpha__by_hand():
    h = np.array([[1.0, 0.0], [0.0, 1.0]])  # mean 1/2, deviation 1/2
    assert alpha_of(h, 1.0) == pytest.approx(1.0)
    assert alpha_of(h, 0.0) == pytest.approx(0.5)


def test_alpha__of_chunks_is_that_of_the_whole(rng):
    h = rows_of(rng, (40, 33))
    merged = sum((EntryMoments.of(part) for part in np.array_split(h, 7)), EntryMoments())
    assert_allclose(merged.alpha(4), alpha_of(h, 4), rtol=1e-12)


def test_alpha__of_nothing_is_nan():
    assert np.isnan(alpha_of(np.empty((0, 4)), 3.0))


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_choose_k__matches_loop(rng, share):
    h = rows_of(rng, (40, 33))
    candidates = [16.0, 5.0, 3.0, 2.0, 1.0, 0.5]
    counts = {k: int(((h > alpha_of(h, k)).sum(0) > 3).sum()) for k in candidates}
    k = choose_k(counts, h.shape[1], share=share)
    assert k == reference.auto_k(h, candidates, share, 3)
    assert counts[k] == sum(len(rows) > 3 for rows in reference.activating_sets(h, alpha_of(h, k)))


@pytest.mark.parametrize(
    "counts, chosen",
    [
        ({16: 0, 5: 19, 3: 21}, 3),  # 20 of 100 are needed
        ({16: 0, 5: 20, 3: 90}, 5),  # as many as needed is enough
        ({16: 0, 5: 4, 3: 4}, 5),  # nowhere: the most, and of those the larger k
        ({16: 0, 5: 0, 3: 0}, 16),
    ],
)
def test_choose_k__by_hand(counts, chosen):
    assert choose_k(counts, 100) == chosen


def test_largest_k__is_where_features_stop_to_qualify(rng):
    h = rows_of(rng, (40, 33))
    reached = np.sort(h, axis=0)[-4]  # more than 3 images
    k = largest_k(EntryMoments.of(h), reached)

    def explainable(at: float) -> int:
        return int(((h > alpha_of(h, at)).sum(0) > 3).sum())

    assert explainable(k - 1e-6) >= 1
    assert explainable(k + 1e-6) == 0


def test_largest_k__of_too_few_images():
    assert largest_k(EntryMoments(4, 1.0, 1.0), np.full(3, -np.inf)) == -np.inf


def test_box_on_image__undoes_resize_and_crop():
    # an image of 400 x 200 resized to 200 x 100, its middle 100 x 100 seen: original columns 100 to 300
    frame = (100.0, 0.0, 300.0, 200.0)
    assert box_on_image((0, 0, 100, 100), frame, 100, 400, 200) == (100, 0, 300, 200)
    assert box_on_image((25, 50, 26, 100), frame, 100, 400, 200) == (150, 100, 152, 200)


@pytest.mark.parametrize("size", [(7, 300), (300, 7), (1, 1), (64, 48)], ids=str)
def test_box_on_image__stays_inside_and_keeps_a_pixel(rng, size):
    width, height = size
    for _ in range(50):
        low, high = np.sort(rng.integers(0, 65, (2, 2)), axis=0)
        high = np.maximum(high, low + 1)
        frame = (-3.0, 0.2, width + 2.0, height - 0.1)
        left, top, right, bottom = box_on_image((*low, *high), frame, 64, width, height)
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def random_words(rng: np.random.Generator, n_crops: int) -> list[list[list[tuple[str, str]]]]:
    vocabulary = [
        ("dog", "word"),
        ("cat", "word"),
        ("run", "word"),
        ("green grass", "phrase"),
        ("red", "word"),
    ]
    return [
        [[vocabulary[i] for i in rng.integers(0, 5, rng.integers(0, 4))] for _ in range(3)]
        for _ in range(n_crops)
    ]


@pytest.mark.parametrize("n_crops", [1, 6, 25])
def test_word_scores__match_loop(rng, n_crops):
    words, confidence = random_words(rng, n_crops), rng.random((n_crops, 3))
    scored = word_scores(words, confidence)
    expected = reference.word_scores(
        [[[word for word, _ in caption] for caption in crop] for crop in words], confidence
    )
    assert scored["word"].is_unique
    assert dict(zip(scored["word"], scored["score"], strict=True)) == pytest.approx(expected, rel=1e-12)
    assert scored["score"].is_monotonic_decreasing


def test_word_scores__by_hand():
    dog, grass = ("dog", "word"), ("green grass", "phrase")
    words = [[[dog, grass], [dog]], [[grass], []]]
    scored = word_scores(words, np.array([[0.2, 0.3], [0.25, 0.9]]))
    assert scored.to_dict("records") == [
        {"word": "green grass", "kind": "phrase", "score": pytest.approx((0.2 + 0.25) / 2)},
        {"word": "dog", "kind": "word", "score": pytest.approx(0.3 / 2)},
    ]


def test_word_scores__do_not_depend_on_the_order_of_crops(rng):
    words, confidence = random_words(rng, 12), rng.random((12, 3))
    order = rng.permutation(12)
    before, after = word_scores(words, confidence), word_scores([words[i] for i in order], confidence[order])
    assert_array_equal(before["word"], after["word"])
    assert_allclose(before["score"], after["score"], rtol=1e-12)


def test_word_scores__of_no_crops_and_negative_confidence():
    assert word_scores([], np.empty((0, 5))).empty
    assert word_scores([[[("dog", "word")]]], np.array([[-0.4]]))["score"].tolist() == [0.0]
    with pytest.raises(ShapeError, match="crops"):
        word_scores([], np.ones((1, 5)))
    with pytest.raises(ShapeError, match="1 captions"):
        word_scores([[[]]], np.ones((1, 2)))


@pytest.mark.parametrize("features", [[0], [3, 4]], ids=str)
@pytest.mark.parametrize("beta", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("n", [1, 10, 100])
def test_counterfactuals__match_loop(rng, features, beta, n):
    h = rows_of(rng, (60, 12))
    rows = np.flatnonzero((h[:, features] > 0.3).all(1))
    rows = rows if len(rows) else np.array([0, 5])
    nearest, dots = counterfactuals(h, features, rows, beta=beta, n=n)
    expected = reference.counterfactuals(h, features, rows.tolist(), beta, n)
    assert nearest.tolist() == [q for q, _ in expected]
    assert_allclose(dots, [dot for _, dot in expected], rtol=1e-12)


def test_counterfactuals__by_hand():
    h = np.array([[0.6, 0.8, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.8, 0.6, 0.0]])
    # T_0 = {0, 3}, h^mu without feature 0 = (0, 0.7, 0); mean of feature 0 = 0.35: images 1 and 2 lie below
    rows, dots = counterfactuals(h, [0], np.array([0, 3]), beta=0.7)
    assert rows.tolist() == [1]
    assert dots == pytest.approx([0.7])
    assert len(counterfactuals(h, [0], np.array([0, 3]), beta=0.71)[0]) == 0


def test_counterfactuals__in_chunks_are_those_of_the_whole(rng):
    h = rows_of(rng, (60, 12))
    groups = [[0], [3, 4], [7]]
    rows = [np.array([1, 2, 3]), np.array([4, 5]), np.array([8])]
    search = CounterfactualSearch(
        groups, [h[r].sum(0) for r in rows], [len(r) for r in rows], h.mean(0), beta=0.1, n=4
    )
    for start in range(0, 60, 13):
        search.update(start, h[start : start + 13])
    for group, group_rows, (nearest, dots) in zip(groups, rows, search.finish(), strict=True):
        expected, expected_dots = counterfactuals(h, group, group_rows, beta=0.1, n=4)
        assert_array_equal(nearest, expected)
        assert_allclose(dots, expected_dots, rtol=1e-12)


def test_contrast__by_hand():
    dog, cat, grass = ("dog", "word"), ("cat", "word"), ("grass", "word")
    counter = [[[grass], [cat]], [[grass]] * 2, [[]] * 2]
    confidence = np.array([[0.2, 0.1], [0.3, 0.25], [0.9, 0.9]])
    contrasted = contrast(["dog", "grass", "cat"], counter, confidence, min_score=0.1)
    # grass: (0.2 + 0.3) / 3 = 0.167 >= 0.1; cat: 0.1 / 3 = 0.03
    assert contrasted.kept.tolist() == [True, False, True]
    assert contrasted.discarded_by == [[], [1, 0], []]
    assert dog[0] not in {"grass"}


def test_contrast__without_counterfactuals_keeps_all():
    contrasted = contrast(["dog"], [], np.empty((0, 5)))
    assert contrasted.kept.tolist() == [True]
    assert contrasted.discarded_by == [[]]


def test_confidence__of_softmax_is_a_share_of_the_bank(rng):
    cosine = rng.random((4, 30))
    total = np.log(np.exp(50 * cosine).sum(1))
    confidence = confidence_of("softmax", cosine, total, 50.0)
    assert_allclose(confidence.sum(1), 1.0, rtol=1e-9)
    assert_array_equal(confidence_of("cosine", cosine, total, 50.0), cosine)
    with pytest.raises(SettingsError, match="cosine, softmax"):
        confidence_of("sigmoid", cosine, total, 50.0)


def test_best_by_word__takes_the_largest_of_a_words_captions_and_needs_one_value_each():
    captions, kinds = [[("red", "adjective"), ("bee", "noun")], [("bee", "noun")]], {}
    assert best_by_word(captions, [0.25, 0.5], kinds) == {"red": 0.25, "bee": 0.5}
    assert best_by_word(captions, [-0.5, -0.25], {}) == {"red": 0.0, "bee": 0.0}
    assert kinds == {"red": "adjective", "bee": "noun"}
    with pytest.raises(ValueError):
        best_by_word(captions, [0.25], {})
