"""Naming by majority against loops, by hand, and where nothing is defined."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from core.concepts.clip_thresholds import thresholds_of
from core.concepts.naming import (
    ShownWords,
    caption_weights,
    majority_words,
    naming_of,
    shown_words,
    two_groups,
    word_mass,
)
from core.config import ConceptsConfig
from core.errors import SettingsError, ShapeError
from tests.concepts import reference_naming as reference

WORDS = ("grass", "sky", "dog", "red", "red dog")


@pytest.fixture
def planted(rng):
    """60 images of grass (the first 20) or sky, some with a red dog: cosines, codes, captions."""
    captions = [
        [word for word in WORDS if rng.random() < 0.3] + [ground]
        for ground in ("grass", "sky")
        for _ in range(12)
    ]
    captions = [list(dict.fromkeys(caption)) for caption in captions]
    codes = np.stack(
        [
            rng.choice(np.arange(12) + 12 * (q >= 20 and rng.random() < 0.9), 5, replace=False)
            for q in range(60)
        ]
    )
    return rng.uniform(0.4, 0.8, codes.shape), codes, captions


def kinds(captions):
    return [[(word, "phrase" if " " in word else "word") for word in caption] for caption in captions]


def shown_in(cosine, codes, captions, temperature=20.0, **options):
    word_masses = word_mass(codes, caption_weights(cosine, temperature), kinds(captions))
    return shown_words(word_masses, np.ones(len(codes), bool), **options)


@pytest.mark.parametrize("temperature", [1.0, 20.0, 100.0])
def test_names__match_loops(planted, temperature):
    cosine, codes, captions = planted
    texts = [[set(captions[code]) for code in row] for row in codes]
    words_shown = shown_in(cosine, codes, captions, temperature)
    slow = reference.shown(cosine, texts, temperature, 0.3)
    assert {
        word: set(np.flatnonzero(words_shown.holders(i))) for i, word in enumerate(words_shown.words)
    } == slow
    for positions in (np.arange(20), np.arange(15, 40), np.arange(0, 60, 7)):
        table = majority_words(words_shown, positions, np.arange(3))
        named = table[table["kept"]].set_index("word")
        expected = reference.kept(cosine, texts, temperature, positions.tolist())
        assert set(named.index) == set(expected)
        for word, (inside, outside) in expected.items():
            assert_allclose(named.loc[word, ["score", "elsewhere"]].astype(float), (inside, outside))
    named = majority_words(words_shown, np.arange(20), np.arange(3))
    assert "grass" in set(named.loc[named["kept"], "word"])  # planted, or the test says little


def test_masses__match_loops(planted):
    cosine, codes, captions = planted
    word_masses = word_mass(codes, caption_weights(cosine, 20.0), kinds(captions))
    slow = reference.masses(cosine, [[set(captions[code]) for code in row] for row in codes], 20.0)
    dense = word_masses.mass.toarray()
    assert set(word_masses.words) == set(slow)
    for column, word in enumerate(word_masses.words):
        assert_allclose(dense[:, column], [slow[word].get(q, 0.0) for q in range(60)], rtol=1e-12)


@pytest.mark.parametrize("n", [2, 3, 10, 101])
def test_two_groups__match_loops(rng, n):
    for values in (
        rng.random(n),
        np.round(rng.random(n), 1),
        np.where(rng.random(n) < 0.7, 0.0, rng.random(n)),
    ):
        slow = reference.split(values.tolist())
        limit, mean = two_groups(values)
        if slow is None:
            assert limit == np.inf and np.isnan(mean)
        else:
            assert_allclose((limit, mean), slow, rtol=1e-12)


def test_two_groups__by_hand_and_of_equal_numbers():
    assert two_groups(np.array([0.0, 0.1, 0.9, 0.8, 0.1])) == (0.8, pytest.approx(0.85))
    limit, mean = two_groups(np.full(4, 0.3))
    assert limit == np.inf and np.isnan(mean)
    assert two_groups(np.empty(0))[0] == np.inf


def test_caption_weights__by_hand():
    weights = caption_weights(np.array([[0.5, 0.4], [np.nan, 0.2], [np.nan, np.nan]]), 10.0)
    share = np.e / (1 + np.e)
    assert_allclose(weights, [[share, 1 - share], [0.0, 1.0], [0.0, 0.0]])


def test_a_word_that_all_images_show__is_discarded_and_says_by_which(rng):
    captions = [["grass"], ["grass", "dog"], ["sky"]]
    codes = np.array([[0]] * 8 + [[1]] * 4 + [[2]] * 2)
    words_shown = shown_in(np.full(codes.shape, 0.5), codes, captions)
    table = majority_words(words_shown, np.arange(8, 12), counter=np.array([0, 12])).set_index("word")
    assert table.loc["dog", "kept"] and not table.loc["grass", "kept"]
    assert (table.loc["grass", "score"], table.loc["grass", "elsewhere"]) == (1.0, 0.8)
    assert table.loc["grass", "discarded_by"].tolist() == [0] and "sky" not in table.index
    assert not len(table.loc["dog", "discarded_by"])


def test_a_word_named_here_and_there__is_left_out():
    """Its largest mass is a quarter, so no image calls for it."""
    captions = [["dog", "red"], ["dog"], ["dog"], ["dog"], ["sky"]]
    codes = np.array([[0, 1, 2, 3]] * 5 + [[4, 4, 4, 4]] * 5)
    words_shown = shown_in(np.full(codes.shape, 0.5), codes, captions)
    assert set(words_shown.words) == {"dog", "sky"}
    assert "red" in shown_in(np.full(codes.shape, 0.5), codes, captions, least_mass=0.2).words


def test_images_that_are_gone__count_nowhere():
    captions = [["dog"], ["sky"]]
    codes = np.array([[0], [0], [-1], [1], [1], [-1]])
    cosine = np.where(codes >= 0, 0.5, np.nan)
    there = codes[:, 0] >= 0
    words_shown = shown_words(word_mass(codes, caption_weights(cosine, 20.0), kinds(captions)), there)
    table = majority_words(words_shown, np.array([0, 1, 2]), np.empty(0, np.int64)).set_index("word")
    assert (table.loc["dog", "score"], table.loc["dog", "elsewhere"]) == (1.0, 0.0)
    assert majority_words(words_shown, np.array([2]), np.empty(0, np.int64)).empty  # no image of it is left
    everyone = majority_words(
        words_shown, np.arange(6), np.empty(0, np.int64)
    )  # no others: nothing speaks against
    assert everyone["kept"].all() and everyone["elsewhere"].isna().all()


def test_names__do_not_depend_on_the_order_of_images(planted, rng):
    cosine, codes, captions = planted
    order = rng.permutation(60)
    back = np.argsort(order)
    one = majority_words(shown_in(cosine, codes, captions), np.arange(20), np.empty(0, np.int64))
    other = majority_words(
        shown_in(cosine[order], codes[order], captions), back[np.arange(20)], np.empty(0, np.int64)
    )
    assert one["word"].tolist() == other["word"].tolist()
    assert_allclose(one["score"], other["score"])


def test_naming__is_majority_unless_there_is_a_captioner():
    assert naming_of(ConceptsConfig()) == "majority"
    assert naming_of(ConceptsConfig(captioner="package:say")) == "falcon"
    assert naming_of(ConceptsConfig(naming="falcon")) == "falcon"
    with pytest.raises(SettingsError, match="unknown naming 'votes'; known: majority, falcon"):
        naming_of(ConceptsConfig(naming="votes"))
    with pytest.raises(SettingsError, match="a captioner has none"):
        naming_of(ConceptsConfig(naming="majority", captioner="package:say"))
    with pytest.raises(ShapeError, match="captions"):
        word_mass(np.zeros((2, 3), int), np.zeros((2, 2)), [])


def test_thresholds__of_a_majority_are_the_same_for_every_clip():
    thresholds = thresholds_of(
        ConceptsConfig(), temperature=20.0, best_cosine=np.full(3, 0.7), usual_cosine=0.2
    )
    assert (thresholds.min_score, thresholds.counter_score) == (0.45, 0.5)
    assert "words from" not in thresholds.note and "interpretable above" in thresholds.note
    given = ConceptsConfig(min_score=0.7, counter_score=0.3)
    thresholds = thresholds_of(given, temperature=20.0, best_cosine=np.full(3, 0.7), usual_cosine=0.2)
    assert (thresholds.min_score, thresholds.counter_score) == (0.7, 0.3)


def test_chains__of_a_word_and_more_general_ones_the_one_stays_that_tells_most():
    general = {"beagle": "dog", "poodle": "dog", "dog": "animal", "cat": "animal"}
    columns = np.zeros((40, 5))
    words = ["beagle", "dog", "animal", "cat", "grass"]
    columns[:6, 0] = columns[:10, 1] = columns[:14, 2] = columns[10:14, 3] = columns[:12, 4] = 1
    seen = ShownWords(words, ["word"] * 5, sparse.csc_matrix(columns), np.ones(40, bool))

    def kept(positions, general):
        table = majority_words(seen, positions, positions[:0], general=general)
        return table.loc[table["kept"].to_numpy(bool), "word"].tolist()

    assert kept(np.arange(10), general) == [
        "dog",
        "grass",
    ]  # some of its dogs are beagles, and no cat is there
    assert kept(np.arange(6), general) == ["beagle", "grass"]
    assert {*kept(np.arange(14), general)} == {"animal", "grass"}
    assert {*kept(np.arange(10), None)} == {"dog", "animal", "grass", "beagle"}  # of a list of people's own
