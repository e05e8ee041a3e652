"""Words of a slice against loops, the words that name features, and the worst parts of a slice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.common.verdict_words import USEFUL, WEAK
from core.measures.finder import worst_slices
from core.measures.slice import Slice
from core.measures.slice_words import (
    COLUMNS,
    best_words,
    disputed_heat,
    feature_words,
    name_verdicts,
    named_from,
    slice_words,
    words_apart,
    worst_within,
)
from core.store import open_study
from core.study.writer import write_study
from tests import small
from tests.measures.test_feature_rates import slow_benjamini_hochberg, slow_fisher, slow_newcombe
from tests.measures.worlds import WORDS, World, make_world
from tests.synthetic import make_study


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("words") / "study")


def test_words__match_loop(world, rng):
    part = rng.random(len(world.raw))
    mask, against = part < 0.4, part > 0.6
    found = slice_words(world.study, mask, against).set_index("word")
    expected = {}
    for number, word in enumerate(WORDS):
        a = sum(bool(world.shows[row, number]) for row in np.flatnonzero(mask))
        b = sum(bool(world.shows[row, number]) for row in np.flatnonzero(against))
        expected[word] = (a, sum(mask), b, sum(against))
    for row in np.flatnonzero(world.shows[:, 0]):  # feature 0 alone kept them, and not the group 0_8
        if row % 2 == 0:
            for word in ("dark red", "warm"):
                a, m, b, n = expected.get(word, (0, sum(mask), 0, sum(against)))
                expected[word] = (a + bool(mask[row]), m, b + bool(against[row]), n)
    p = {word: slow_fisher(*counts) for word, counts in expected.items()}
    q = dict(zip(p, slow_benjamini_hochberg(list(p.values())), strict=True))
    more = {word for word, (a, m, b, n) in expected.items() if a / m > b / n}
    assert set(found.index) == more and 0 < len(more) < len(expected)
    for word in more:
        a, m, b, n = expected[word]
        row = found.loc[word]
        assert (row["n"], row["n_against"]) == (a, b)
        assert_allclose([row["rate"], row["rate_against"], row["difference"]], [a / m, b / n, a / m - b / n])
        assert_allclose([row["low"], row["high"]], slow_newcombe(a, m, b, n), atol=1e-12)
        assert_allclose([row["p"], row["q"]], [p[word], q[word]], rtol=1e-8)
    assert found["difference"].is_monotonic_decreasing


def test_words__without_others_or_concepts_there_are_none(world, tmp_path):
    everything, nothing = np.ones(len(world.raw), bool), np.zeros(len(world.raw), bool)
    for mask, against in ((everything, nothing), (nothing, everything), (nothing, nothing)):
        found = slice_words(world.study, mask, against)
        assert found.empty and list(found.columns) == COLUMNS
    study = small.write_small_study(tmp_path / "study")
    assert slice_words(study, study.is_val, ~study.is_val).empty and feature_words(study) == {}


def test_feature_words__are_the_two_best_neither_a_part_of_the_other(world):
    assert feature_words(world.study) == {0: ["red", "warm"], 1: ["blue"], 2: ["sky"], 3: ["tiny"]}


SEEN = [  # group, rank, word, kept, under_heat
    ("3", 1, "grass", True, 0.1),
    ("3", 2, "dog", True, 0.45),
    ("5", 1, "brick", True, 0.2),
    ("7", 1, "sky", True, 0.9),
    ("7", 2, "blue", True, 0.3),
]


def test_best_words__of_a_feature_on_the_object_are_those_under_the_heat():
    table = pd.DataFrame(SEEN, columns=["group", "rank", "word", "kept", "under_heat"])
    usual = {3: ["grass", "dog"], 5: ["brick"], 7: ["sky", "blue"]}
    assert best_words(table) == usual
    assert best_words(table, on_object=[3, 5]) == usual | {3: ["dog"]}  # 5 has no word under the heat
    assert best_words(table.drop(columns="under_heat"), on_object=[3, 5]) == usual


def test_best_words__begin_with_what_sets_the_images_apart_most():
    rows = [("3", 1, "white", 0.9, 0.5), ("3", 2, "snow", 0.8, 0.1), ("3", 3, "pale", 0.7, np.nan)]
    rows += [("5", 1, "red", 0.6, np.nan), ("5", 2, "brick", 0.6, np.nan)]
    table = pd.DataFrame(rows, columns=["group", "rank", "word", "score", "elsewhere"]).assign(kept=True)
    assert best_words(table, most=3) == {3: ["snow", "white", "pale"], 5: ["red", "brick"]}
    useless = [("3", "snow"), ("5", "red"), ("5", "brick")]
    assert best_words(table, most=3, useless=useless) == {3: ["white", "pale"]}  # and 5 has no name


def test_words_apart__of_features_of_one_name_a_further_word_of_its_own(tmp_path):
    folder = small.write_small_study(tmp_path / "study").path
    words_of = {0: "yellow bright sand", 1: "yellow bright lemon", 2: "yellow bright", 3: "blue bright sea"}
    rows = [
        (str(feature), rank, word, True)
        for feature, some in words_of.items()
        for rank, word in enumerate(some.split(), 1)
    ]
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", pd.DataFrame(rows, columns=["group", "rank", "word", "kept"]))
    names = {feature: " · ".join(some.split()[:2]) for feature, some in words_of.items()}
    assert words_apart(open_study(folder), names) == {0: "sand", 1: "lemon"}


def test_named_from__says_where_the_words_were_seen(world, tmp_path):
    assert named_from(world.study) == {}  # of a study that does not know it
    folder = make_study(tmp_path / "seen", n_train=20, n_val=8)
    table = pd.DataFrame(SEEN, columns=["group", "rank", "word", "kept", "under_heat"])
    heat = pd.DataFrame({"feature": [3, 5], "mask": "core", "verdict": "core"})
    with write_study(folder) as writer:
        with writer.step("concepts", {}) as step:
            step.table("concepts", table)
        with writer.step("overlap", {}) as step:
            step.table("overlap_by_feature", heat)
    study = open_study(folder)
    assert feature_words(study) == {3: ["dog"], 5: ["brick"], 7: ["sky", "blue"]}
    assert named_from(study) == {3: "under the heat", 5: "scene", 7: "scene"}


def test_name_verdicts__are_of_the_first_word_of_each_feature(tmp_path):
    folder = make_study(tmp_path / "seen", n_train=20, n_val=8)
    table = pd.DataFrame(SEEN, columns=["group", "rank", "word", "kept", "under_heat"])
    high = pd.DataFrame({"group": ["3"] * 40 + ["5"] * 40 + ["7"] * 7, "image_id": "x"})
    with write_study(folder) as writer, writer.step("concepts", {}) as step:
        step.table("concepts", table)
        step.table("highly_activating", high)
    assert name_verdicts(open_study(folder)) == {}  # it is not known how many images show a word
    with write_study(folder) as writer, writer.step("concepts", {"again": True}) as step:
        step.table("concepts", table.assign(score=0.9, elsewhere=0.05, auc_low=[0.69, 0.9, 0.7, 0.7, 0.1]))
        step.table("highly_activating", high)
    study = open_study(folder)
    judged = name_verdicts(study)
    assert {one: (name.word, name.sentence.what) for one, name in judged.items()} == {
        3: (WEAK, "grass"), 5: (USEFUL, "brick"), 7: ("", "sky"),
    }  # fmt: skip
    assert (judged[5].sentence.n, judged[5].sentence.of, judged[7].sentence.n) == (36, 40, 7)
    # "dog" may stand behind "grass", which is weak; "blue" is not judged from seven images
    assert feature_words(study) == {3: ["grass", "dog"], 5: ["brick"], 7: ["sky", "blue"]}
    with write_study(folder) as writer, writer.step("concepts", {"third": True}) as step:
        step.table("concepts", table.assign(score=[0.9, 0.55, 0.9, 0.9, 0.9], elsewhere=0.05))
        step.table("highly_activating", high)
    assert feature_words(open_study(folder))[3] == ["grass"]  # "dog" holds for less than half, maybe


def test_disputed_heat__is_of_features_on_the_object_with_a_word_of_the_background(tmp_path):
    words = ["night sky", "sky", "ant", "ant", "snow", "brick", "red brick"]
    rows = [(str(one), 1, word, True, 0.5) for one, word in enumerate(words)]
    table = pd.DataFrame(rows, columns=["group", "rank", "word", "kept", "under_heat"]).assign(elsewhere=0.05)
    score = [0.95, 0.95, 0.95, 0.95, 0.95, 0.5, 0.95]  # that the images of 5 show brick is not sure
    mask = ["spurious", "core", "spurious", "core", "core", "spurious", "core"]
    folder = make_study(tmp_path / "seen", n_train=20, n_val=8)
    with write_study(folder) as writer:
        with writer.step("concepts", {}) as step:
            step.table("concepts", table.assign(score=score))
            step.table("highly_activating", pd.DataFrame({"group": list("0123456") * 40, "image_id": "x"}))
        with writer.step("overlap", {}) as step:
            step.table(
                "overlap_by_feature", pd.DataFrame({"feature": range(7), "mask": mask, "verdict": mask})
            )
    study = open_study(folder)
    assert "ant" in study.class_names
    assert disputed_heat(study) == {1: ("sky", [0])}


def test_worst_within__are_the_slices_of_the_slice(world):
    where = Slice.parse("split=val predicted=ant,bee")
    mask = where.mask(world.study)
    found = worst_within(world.study, mask, within=where, min_images=4)
    wrong = np.array([verdict is False for verdict in world.correct])
    known = np.array([verdict is not None for verdict in world.correct])
    assert len(found) > 5
    for row in found.to_dict("records"):
        inside = Slice.parse(row["where"]).mask(world.study)
        assert not (inside & ~mask).any()
        assert (row["n"], row["errors"]) == ((inside & known).sum(), (inside & wrong).sum())
        rest = mask & known & ~inside
        assert_allclose(row["rest"], wrong[rest].mean())


def test_worst_within__the_whole_is_what_the_finder_finds(world):
    whole = worst_within(world.study, world.study.is_val, min_images=5)
    expected = worst_slices(world.study, min_images=5)
    assert whole.equals(expected) and len(whole)


def test_worst_within__of_nothing_is_empty(world):
    assert worst_within(world.study, np.zeros(len(world.raw), bool)).empty
    train = worst_within(world.study, ~world.study.is_val, min_images=3)
    assert len(train) and not train["where"].str.contains("split").any()
