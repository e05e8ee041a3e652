"""Planted tests: false captions are false, words are the same, and guessing without the image fails."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from core.data.sources.glyphworld import GlyphworldSource
from core.errors import SettingsError
from core.research.visual_tokens.evaluation.blind import Bigrams, blind_check, leaky_tests
from core.research.visual_tokens.evaluation.planted_tests import TESTS, planted_benchmarks, training_captions

SOURCE = GlyphworldSource.from_spec("glyphworld?preset=compose&train=150&val=60")


@cache
def benchmarks():
    return {test.name.removeprefix("glyphworld "): test for test in planted_benchmarks(SOURCE, n=40)}


def same_words(captions):
    return len({tuple(sorted(Counter(caption.split()).items())) for caption in captions}) == 1


def test_items__captions_have_the_same_words_and_differ():
    assert set(benchmarks()) == set(TESTS)
    for test in benchmarks().values():
        assert len(test.items) == 40
        for item in test.items:
            assert same_words(item.captions) and item.captions[0] not in item.captions[1:]


def test_items__only_the_pictures_tell_a_winoground_pair_apart():
    test = benchmarks()["winoground"]
    assert {item.group for item in test.pairs} == {"relation", "attribution"}
    for item in test.pairs[:6]:
        one, other = (test.read(key) for key in item.pictures)
        assert one.key in item.pictures and other.key.endswith(("~places", "~hues"))
        assert np.abs(np.asarray(one.image, int) - np.asarray(other.image, int)).max() > 30


def test_items__are_seeded_and_read_as_the_source_reads():
    again = planted_benchmarks(SOURCE, tests=("relation",), n=40)[0]
    assert again.items == benchmarks()["relation"].items
    other = planted_benchmarks(SOURCE, tests=("relation",), n=40, seed=1)[0]
    assert other.items != again.items
    picture = again.read(again.keys[0])
    row = SOURCE.table["image_id"].tolist().index(picture.key)
    assert picture.image.tobytes() == SOURCE.read(row).tobytes()
    assert SOURCE.table["split"].iat[row] == "val"


def test_blind_check__finds_a_leak_and_only_a_leak():
    bigrams = Bigrams(training_captions(SOURCE, n=150))
    score = lambda captions: np.array([bigrams.score(caption) for caption in captions])  # noqa: E731
    checks = [blind_check(test, "bigrams", score) for test in benchmarks().values()]
    assert leaky_tests(checks) == {"glyphworld order"}  # grammar alone tells a shuffle
    pairs = next(check for check in checks if check.test.endswith("winoground"))
    assert pairs.share == 0.5
    constant = blind_check(benchmarks()["relation"], "constant", lambda captions: np.zeros(len(captions)))
    assert constant.share == 0.5 and not constant.leaky


def test_bigrams__count_by_hand():
    model = Bigrams(["a b", "a c"])
    n = len({"", "a", "b", "c"}) + 1
    by_hand = np.log([3 / (2 + n), 2 / (2 + n), 2 / (1 + n)]).sum()
    assert model.score("a b") == pytest.approx(by_hand)


def test_benchmarks__refuse_a_world_whose_colours_tell():
    with pytest.raises(SettingsError, match="not composed"):
        planted_benchmarks(GlyphworldSource(train=2, val=2))
    with pytest.raises(SettingsError, match="no val scenes"):
        planted_benchmarks(GlyphworldSource.from_spec("glyphworld?preset=compose&train=2&val=0"))
