"""Cached reads of a slice: what core gives, of the images of the filter, once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.common.score_names import SCORES
from core.measures import saved_slices
from core.measures.confusions import confusions
from core.measures.feature_rates import feature_differences
from core.measures.headline import headline
from core.measures.overlap import overlap_scale
from core.measures.scores import score_aurocs
from core.measures.slice import Slice
from core.measures.slice_comparison import population, with_split
from core.measures.slice_words import slice_words
from core.store import open_study
from dashboard.cache import reads, score_reads, slice_reads
from tests.measures.worlds import World, make_world

ANTS = Slice(labels=("ant",))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("reads") / "study")


@pytest.mark.parametrize(
    "where", [Slice(), ANTS, Slice(split="train"), Slice(correct=True), Slice.parse("norm=99..")]
)
def test_reads__are_those_of_the_images_of_the_filter(world, where):
    study = world.study
    mask, others = population(study, where)
    same = pd.testing.assert_frame_equal
    same(reads.feature_differences(study, where), feature_differences(study, mask, others))
    same(reads.word_differences(study, where), slice_words(study, mask, others))
    same(reads.slice_table(study, where, "overlap_scale"), overlap_scale(study, mask))
    same(reads.slice_table(study, where, "score_aurocs"), score_aurocs(study, mask))
    same(reads.slice_table(study, where, "confusions"), confusions(study, mask))
    np.testing.assert_equal(reads.headline(study, where), headline(study, mask))


def test_aurocs__stored_ones_are_those_that_are_computed_and_no_score_is_read(studies):
    study = open_study(studies / "demo")
    where, kept = with_split(study, Slice()), set(study.kept_columns)
    stored = score_reads.aurocs(study, where)
    assert not {name for _, name in set(study.kept_columns) - kept} & {*SCORES}
    computed = score_aurocs(study, study.is_val).rename(columns=score_reads.NAMES)
    assert len(computed) > 10
    pd.testing.assert_frame_equal(stored.filter(score_reads.COLUMNS), computed.filter(score_reads.COLUMNS))
    assert "rival" in stored and "rival" not in score_reads.aurocs(study, Slice(split="train"))


def test_reads__are_made_once(world, monkeypatch):
    first = reads.feature_differences(world.study, ANTS)
    monkeypatch.setattr(reads, "population", None)  # a second call would fail
    pd.testing.assert_frame_equal(reads.feature_differences(world.study, Slice(labels=("ant",))), first)


def test_reads__a_saved_slice_that_changes_is_read_again(world):
    named = Slice(saved=("mine",))
    saved_slices.save(world.study.path, "mine", ANTS)
    before = reads.headline(world.study, named)["n"]
    saved_slices.delete(world.study.path, "mine")
    saved_slices.save(world.study.path, "mine", Slice(labels=("ant", "bee")))
    assert reads.headline(world.study, named)["n"] > before


def test_worst__parts_name_the_filter(world):
    found = slice_reads.worst(world.study, ANTS, 4, "all")
    assert len(found) and found["where"].str.startswith("split=val label=ant ").all()
    mask, _ = population(world.study, ANTS)
    for text in found["where"]:
        assert not (Slice.parse(text).mask(world.study) & ~mask).any()
