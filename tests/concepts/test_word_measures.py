from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.concepts import word_measures
from core.concepts.word_measures import (
    dissect_words,
    kept_words,
    pooled,
    precision_at,
    random_words,
    recall_of_true,
    soft_wpmi,
    softmax,
    without_contrast,
)
from core.worlds.glyphworld import render_scene
from core.worlds.scenes import PRESETS, plan_scene
from core.worlds.vocabulary import caption_of
from core.worlds.word_truth import SceneTruth, TruthTable, WordTruth, truth_of, widened
from tests.concepts import reference_concepts as reference

WORDS = ["dog", "brown dog", "sky", "red", "cat", "grass"]
RELATED = {"dog", "brown dog", "grass"}


@pytest.mark.parametrize("k", range(1, 8))
def test_precision_at__matches_loop(k):
    assert precision_at(WORDS, RELATED, k) == reference.precision_recall(WORDS, RELATED, k)[0]
    assert np.isnan(precision_at([], RELATED, k))


def test_recalls__by_hand():
    true_words = {"dog", "brown", "grass", "water"}
    assert recall_of_true(WORDS, RELATED, true_words, 1) == 1 / 4
    assert recall_of_true(WORDS, RELATED, true_words, 2) == 2 / 4  # "brown dog" says brown, too
    assert recall_of_true(WORDS, RELATED, true_words, 6) == 3 / 4
    assert recall_of_true(WORDS, set(), true_words, 6) == 0.0  # words that are not related say nothing true
    assert np.isnan(recall_of_true(WORDS, RELATED, set(), 6))


def random_groups(rng, sizes):
    ranked = {f"g{at}": [f"w{i}" for i in rng.permutation(6)[:size]] for at, size in enumerate(sizes)}
    related = {group: {word for word in words if rng.random() < 0.6} for group, words in ranked.items()}
    return ranked, related


@pytest.mark.parametrize("sizes", [[6], [6] * 9, [6, 2, 0, 5, 1], [0]], ids=str)
def test_pooled__matches_loop(rng, sizes):
    ranked, related = random_groups(rng, sizes)
    for k in range(1, 8):
        assert pooled(ranked, related, k) == pytest.approx(reference.pooled(ranked, related, k), nan_ok=True)


def test_pooled_recall__is_k_times_precision_over_six_times_that_at_six(rng):
    ranked, related = random_groups(rng, [6] * 20)
    last = pooled(ranked, related, 6)[0]
    for k in range(1, 7):
        precision, recall = pooled(ranked, related, k)
        assert recall == pytest.approx(k * precision / (6 * last))
        apart = [precision_at(words, related[group], k) for group, words in ranked.items()]
        assert precision == pytest.approx(np.mean(apart))
    assert pooled(ranked, related, 6)[1] == 1.0


def test_words_with_and_without_contrast():
    concepts = pd.DataFrame(
        {
            "group": ["7", "7", "7", "8"],
            "rank": [1, 2, 3, 1],
            "word": ["dog", "red", "grass", "sky"],
            "score": [0.3, 0.2, 0.25, 0.1],
            "kept": [True, True, False, False],
        }
    )
    assert kept_words(concepts) == {"7": ["dog", "red"]}
    assert without_contrast(concepts) == {"7": ["dog", "grass", "red"], "8": ["sky"]}


def test_random_words__are_seeded_and_different():
    vocabulary = [f"word{i}" for i in range(50)]
    drawn = random_words(["1", "2"], vocabulary, seed=3)
    assert (
        drawn == random_words(["1", "2"], vocabulary, seed=3) != random_words(["1", "2"], vocabulary, seed=4)
    )
    assert all(len(set(words)) == 6 <= len(words) for words in drawn.values())
    assert random_words(["1"], ["a", "b"])["1"] in (["a", "b"], ["b", "a"])


@pytest.mark.parametrize("shape", [(5, 3, 2), (40, 7, 6), (150, 7, 6)], ids=str)
@pytest.mark.parametrize("top_k", [4, 100])
@pytest.mark.parametrize("digits", [1, 9], ids=["ties", "no ties"])
def test_soft_wpmi__matches_loop(rng, monkeypatch, shape, top_k, digits):
    monkeypatch.setattr(word_measures, "CACHED_VALUES", 15)  # two units of seven words at a time
    n_images, n_words, n_units = shape
    probabilities = softmax(rng.normal(size=(n_images, n_words)), 1.0)
    activations = rng.random((n_images, n_units)).round(digits)
    wpmi = soft_wpmi(probabilities, activations, top_k=top_k)
    expected = reference.soft_wpmi(probabilities, activations, top_k, 1.0, 0.998, 0.97)
    assert_allclose(wpmi, expected, rtol=1e-9, atol=1e-12)


def test_dissect_words__finds_what_is_planted(rng):
    vocabulary = [f"word{i}" for i in range(8)]
    words = np.eye(8)
    kind = np.arange(200) % 8
    images = words[kind] + 0.05 * rng.random((200, 8))
    order = rng.permutation(8)
    activations = (kind[:, None] == order) + 0.01 * rng.random((200, 8))
    named = dissect_words(images, words, vocabulary, activations)
    assert [row[0] for row in named] == [f"word{number}" for number in order]
    assert [len(row) for row in named] == [6] * 8


def test_scene_truth__binds_phrases():
    truth = SceneTruth(
        (frozenset({"dog", "brown"}), frozenset({"bone", "white"}), frozenset({"grass", "green"}))
    )
    assert truth.holds("dog") and truth.holds("brown dog") and truth.holds("green grass")
    assert not truth.holds("white dog")
    assert not truth.holds("cat") and not truth.holds("") and not truth.holds("of the")
    assert widened(["ball of yarn", "dogs"]) >= {"ball", "yarn", "dog"}


def test_truth__holds_all_attributes_and_nothing_of_other_scenes():
    world = PRESETS["default"]
    for index in range(60):
        plan = plan_scene(0, index, world)
        truth, scene = truth_of(plan), render_scene(0, index, world)
        for attribute in scene.attributes:
            assert all(truth.holds(word) for word in attribute.split() if word != "of"), attribute
        assert all(truth.holds(word) for word in scene.companions for word in word.split() if word != "of")
        assert not truth.holds("submarine")


@pytest.mark.slow
def test_truth__holds_what_captions_say():
    """Nearly every concept of a scene's own caption must be true of the scene."""
    from core.concepts.caption_words import concepts_of
    from core.worlds.painting import measure_occlusion
    from core.worlds.scenes import severities

    wrong, n = [], 0
    for index in range(200):
        plan = plan_scene(1, index, PRESETS["default"])
        truth = truth_of(plan)
        caption = caption_of(plan, severities(plan, measure_occlusion(plan)))
        for word in concepts_of(caption):
            n += 1
            if not truth.holds(word.text):
                wrong.append((word.text, caption))
    assert len(wrong) < 0.03 * n, sorted({word for word, _ in wrong})


def test_truth_table__counts_shares():
    truths = [SceneTruth((frozenset(words),)) for words in ({"dog", "red"}, {"dog"}, {"cat"}, {"red"})]
    table = TruthTable(truths)
    assert table.vocabulary == ["cat", "dog", "red"]
    truth = table.of(np.array([0, 1]), np.array([2, 3]), ["dog", "red", "cat", "red dog"])
    assert truth == WordTruth(
        {"dog": 1, "red": 0.5, "cat": 0, "red dog": 0.5}, {"dog": 0, "red": 0.5, "cat": 0.5, "red dog": 0}
    )
    assert truth.related(0.5) == {"dog", "red dog"}  # red fits the others as well
    assert truth.related(0.6) == {"dog"}
