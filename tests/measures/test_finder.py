"""Worst slices and the comparison of two, against loops over images and hand-computed cases."""

from __future__ import annotations

import itertools
import math
import tracemalloc
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.measures import finder as slice_finder
from core.measures import slice_comparison as slice_compare
from core.measures import traits
from core.measures.finder import find, worst_slices
from core.measures.slice import Slice
from core.measures.traits import Tokens, count_traits, tokens_of
from core.store import Study, open_study
from tests.synthetic import make_study
from tests.tables import rows_where

N_IMAGES, N_TOKENS, N_CLASSES = 120, 7, 4


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return open_study(
        make_study(tmp_path_factory.mktemp("worst") / "study", n_train=60, n_val=120, pictures=False)
    )


def random_world(rng: np.random.Generator):
    has = rng.random((N_IMAGES, N_TOKENS)) < rng.uniform(0.05, 0.6, N_TOKENS)
    has[:, 5] = has[:, 4]  # two names of the same images
    rows, ids = np.nonzero(has)
    names = tuple(f"word {at}" for at in range(N_TOKENS))
    tokens = Tokens(("concept",) * N_TOKENS, names, ("",) * N_TOKENS, rows, ids)
    labels = rng.integers(-1, N_CLASSES, N_IMAGES)
    mask = rng.random(N_IMAGES) < 0.8
    wrong = rng.random(N_IMAGES) < 0.2 + 0.5 * has[:, 2]
    return has, tokens.of(mask), labels, mask, wrong


def tail(k: int, n: int, marked: int, total: int) -> float:
    ways = range(max(k, n + marked - total), min(n, marked) + 1)
    return sum(math.comb(marked, x) * math.comb(total - marked, n - x) for x in ways) / math.comb(total, n)


def slow_find(has, labels, mask, wrong, *, min_images, against):
    """Every candidate by a loop over images; {frozenset of images: (errors, rest, p)}."""
    found = {}
    classes = [c for c in range(N_CLASSES)] + ([None] if against == "all" else [])
    traits = [*range(N_TOKENS), *([None] if against == "all" else [])]
    for label, trait in itertools.product(classes, traits):
        if label is None and trait is None:
            continue
        inside = [
            row
            for row in range(N_IMAGES)
            if mask[row] and (label is None or labels[row] == label) and (trait is None or has[row, trait])
        ]
        whole = [row for row in range(N_IMAGES) if mask[row] and (against == "all" or labels[row] == label)]
        if len(inside) < min_images or len(inside) == len(whole):
            continue
        errors, all_errors = sum(wrong[row] for row in inside), sum(wrong[row] for row in whole)
        rest = (all_errors - errors) / (len(whole) - len(inside))
        found[frozenset(inside)] = (errors, rest, tail(errors, len(inside), all_errors, len(whole)))
    return found


@pytest.mark.parametrize("against", slice_finder.AGAINST)
def test_find__matches_loop(rng, against):
    for _ in range(4):
        has, tokens, labels, mask, wrong = random_world(rng)
        expected = slow_find(has, labels, mask, wrong, min_images=5, against=against)
        found = find(tokens, wrong, labels, mask, min_images=5, against=against)
        assert len(found) == len(expected) > 5
        for row in found.to_dict("records"):
            label, trait = row["label"], row["trait"]
            inside = mask & ((labels == label) | (label < 0)) & ((trait < 0) | has[:, max(trait, 0)])
            errors, rest, p = expected.pop(frozenset(np.flatnonzero(inside).tolist()))
            assert (row["n"], row["errors"]) == (inside.sum(), errors)
            assert_allclose([row["error_rate"], row["rest"]], [errors / inside.sum(), rest])
            assert_allclose(row["p"], p, rtol=1e-8)
            assert_allclose(row["lift"], np.nan if rest == 0 else errors / inside.sum() / rest)
        assert not expected


def test_find__names_of_the_same_images_are_one_candidate(rng):
    has, tokens, labels, mask, wrong = random_world(rng)
    found = find(tokens, wrong, labels, mask, min_images=5)
    pairs = [set(row["same"]) for row in found.to_dict("records") if row["label"] < 0 and row["same"]]
    assert {4, 5} in pairs


def test_find__does_not_care_for_the_order_of_pairs(rng):
    _, tokens, labels, mask, wrong = random_world(rng)
    order = rng.permutation(len(tokens.rows))
    turned = Tokens(tokens.kinds, tokens.names, tokens.within, tokens.rows[order], tokens.ids[order])
    one, other = (find(some, wrong, labels, mask) for some in (tokens, turned))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.parametrize("against", slice_finder.AGAINST)
def test_find__counts_some_traits_at_a_time(rng, against, monkeypatch):
    """50,000 images with 128 features each took 0.9 GB, and those of a train split tens of gigabytes."""
    has = rng.random((2000, 500)) < 0.3
    ids, rows = map(np.ascontiguousarray, np.nonzero(has.T))
    tokens = Tokens(("feature",) * 500, tuple(map(str, range(500))), ("",) * 500, rows, ids)
    wrong, labels, mask = rng.random(2000) < 0.3, rng.integers(-1, 3, 2000), np.ones(2000, bool)
    whole = find(tokens, wrong, labels, mask, against=against)
    monkeypatch.setattr(slice_finder, "BLOCK_PAIRS", 10_000, raising=False)
    tracemalloc.start()
    found = find(tokens, wrong, labels, mask, against=against)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < rows.nbytes
    pd.testing.assert_frame_equal(found, whole)


def test_find__no_pairs_leaves_the_classes():
    empty = Tokens((), (), (), np.empty(0, np.int64), np.empty(0, np.int64))
    labels = np.repeat([0, 1], 20)
    wrong = labels == 1
    found = find(empty, wrong, labels, np.ones(40, bool))
    assert found["label"].tolist() == [0, 1] or set(found["label"]) == {0, 1}
    worst = rows_where(found, found["label"] == 1).iloc[0]
    assert (worst["error_rate"], worst["rest"], worst["trait"]) == (1.0, 0.0, -1)
    assert math.isnan(worst["lift"])
    assert worst["p"] == pytest.approx(1 / math.comb(40, 20))


@pytest.mark.slow
def test_worst_slices__each_row_is_the_slice_it_names(study):
    found = worst_slices(study, min_images=5)
    wrong = Slice(correct=False).mask(study)
    assert {"class", "feature", "picture"} == set(found["kind"])
    for row in found.head(60).to_dict("records"):
        inside = Slice.parse(row["where"]).mask(study)
        assert (inside.sum(), (inside & wrong).sum()) == (row["n"], row["errors"])


def test_find__what_was_planted_comes_first(rng):
    """All images of one class with one trait are made wrong, among 10 % of wrong ones elsewhere."""
    has = rng.random((600, 40)) < 0.3
    labels = rng.integers(0, 5, 600)
    inside = (labels == 1) & has[:, 3]
    wrong = (rng.random(600) < 0.1) | inside
    rows, ids = np.nonzero(has)
    tokens = Tokens(("feature",) * 40, tuple(map(str, range(40))), ("",) * 40, rows, ids)
    for against in slice_finder.AGAINST:
        found = find(tokens, wrong, labels, np.ones(600, bool), against=against)
        best = found.iloc[int(found["low"].to_numpy().argmax())]
        assert (best["label"], best["trait"], best["n"]) == (1, 3, inside.sum())
        assert best["error_rate"] == 1.0 and best["q"] < 1e-6


def test_find__nothing_planted_finds_nothing(rng):
    has = rng.random((600, 40)) < 0.3
    rows, ids = np.nonzero(has)
    tokens = Tokens(("feature",) * 40, tuple(map(str, range(40))), ("",) * 40, rows, ids)
    found = find(tokens, rng.random(600) < 0.3, rng.integers(0, 5, 600), np.ones(600, bool))
    assert len(found) == 5 * 40 + 40 + 5 and found["q"].min() > 0.05


@pytest.mark.parametrize(
    ("n_wrong", "kind"), [(0, "too_few"), (7, "too_few"), (8, None), (92, None), (93, "too_few")]
)
def test_too_few_errors__below_eight_of_either_outcome(n_wrong, kind):
    wrong = np.arange(200) < n_wrong
    mask = np.arange(200) < 100  # the others do not count
    found = slice_finder.too_few_errors(slice_finder.KnownVerdicts(mask, wrong, np.zeros(200, int), "val"))
    assert (found.kind if found else None) == kind


def test_worst_slices__of_too_few_errors_have_no_q(study, monkeypatch):
    known = worst_slices(study)
    monkeypatch.setattr(slice_finder, "too_few_errors", lambda population: "")
    enough = worst_slices(study)
    monkeypatch.setattr(slice_finder, "too_few_errors", lambda population: "few")
    few = worst_slices(study)
    assert len(enough) and enough["q"].notna().all() and few["q"].isna().all()
    assert set(few["where"]) == set(enough["where"]) == set(known["where"])
    assert worst_slices(study, significant=True).empty


def test_worst_slices__nothing_judged(tmp_path: Path):
    bare = open_study(make_study(tmp_path / "bare", n_train=20, n_val=10, labels=False, pictures=False))
    found = worst_slices(bare)
    assert found.empty and list(found.columns) == slice_finder.COLUMNS


def test_tokens__features_match_the_sets_by_image(study, monkeypatch):
    monkeypatch.setattr("core.measures.slice_features.BLOCK", 7)
    tokens = tokens_of(study, study.is_val, ("feature",))
    ends = np.cumsum(study.vector("firing_count"))
    flat = study.vector("firing_features")
    expected = {
        (row, int(feature))
        for row in np.flatnonzero(study.is_val)
        for feature in flat[(ends[row - 1] if row else 0) : ends[row]]
    }
    assert set(zip(tokens.rows.tolist(), tokens.ids.tolist(), strict=True)) == expected
    assert len(tokens.rows) == len(expected)


def counted(tokens: Tokens, *masks: np.ndarray) -> np.ndarray:
    return np.stack([np.bincount(tokens.ids[m[tokens.rows]], minlength=len(tokens)) for m in masks])


def compared(tokens: Tokens, a: np.ndarray, b: np.ndarray) -> pd.DataFrame:
    found = slice_compare.trait_differences(tokens, counted(tokens, a, b), (int(a.sum()), int(b.sum())))
    return found.set_index("trait").sort_index()


def test_differences__match_loop(rng):
    has, tokens, _, mask, _ = random_world(rng)
    part = rng.random(N_IMAGES)
    a, b = slice_compare.separate(mask & (part < 0.6), mask & (part > 0.4))
    assert not (a & b).any()
    found = compared(tokens, a, b)
    for trait in range(N_TOKENS):
        k_a, k_b = (a & has[:, trait]).sum(), (b & has[:, trait]).sum()
        row = found.loc[trait]
        assert_allclose(row["difference"], k_a / a.sum() - k_b / b.sum())
        assert row["low"] <= row["difference"] <= row["high"]
        more = tail(k_a, a.sum(), k_a + k_b, (a | b).sum())
        fewer = 1 - tail(k_a + 1, a.sum(), k_a + k_b, (a | b).sum())
        assert_allclose(row["p"], min(1.0, 2 * min(more, fewer)), rtol=1e-8)
    assert (found["q"] >= found["p"] - 1e-12).all()


def test_differences__turned_around(rng):
    _, tokens, _, mask, _ = random_world(rng)
    a, b = mask & (np.arange(N_IMAGES) % 3 == 0), mask & (np.arange(N_IMAGES) % 3 == 1)
    one, other = compared(tokens, a, b), compared(tokens, b, a)
    assert_allclose(one["difference"], -other["difference"])
    assert_allclose(one["low"], -other["high"])
    assert_allclose(one["p"], other["p"])


def test_differences__an_empty_slice_is_undefined(rng):
    _, tokens, _, mask, _ = random_world(rng)
    found = compared(tokens, mask, np.zeros(N_IMAGES, bool))
    assert found[["difference", "low", "high", "p", "q"]].isna().to_numpy().all()


def test_count_traits__matches_the_pairs(study, rng, monkeypatch):
    monkeypatch.setattr("core.measures.slice_features.BLOCK", 11)
    masks = [rng.random(study.n_images) < share for share in (0.2, 0.7)]
    traits, counts = count_traits(study, masks)
    tokens = tokens_of(study, np.ones(study.n_images, bool))
    assert traits.names == tokens.names and traits.kinds == tokens.kinds
    np.testing.assert_array_equal(counts, counted(tokens, *masks))


def test_words__of_many_images_are_those_of_their_groups_and_stay_small(rng):
    """At 1.28 million images the pairs of words and groups took 8 GB."""
    n, groups = 4000, [f"{number}" for number in range(60)]
    drawn = [(group, row) for group in groups for row in np.flatnonzero(rng.random(n) < 0.2)]
    said = {group: {f"w{word}" for word in rng.integers(0, 20, 6)} for group in groups[1:]}
    words = pd.DataFrame([(g, w, True) for g in said for w in said[g]], columns=["group", "word", "kept"])
    tables = {"concepts": words, "highly_activating": pd.DataFrame(drawn, columns=["group", "image_id"])}
    fake: Any = Mock(has=tables.__contains__, table=lambda name, columns: tables[name][columns])
    fake.image_index.return_value = pd.RangeIndex(n)
    tracemalloc.start()
    tokens = traits._concepts(fake, np.arange(n) % 2 == 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pairs = {(row, tokens.names[token]) for row, token in zip(tokens.rows, tokens.ids, strict=True)}
    assert pairs == {(row, w) for group, row in drawn if row % 2 == 0 for w in said.get(group, ())}
    assert len(pairs) == len(tokens.rows) and peak < 7e6


def test_separate__common_images_stay_in_the_smaller():
    a, b = np.array([1, 1, 1, 1, 0], bool), np.array([0, 0, 0, 1, 1], bool)
    left, right = slice_compare.separate(a, b)
    assert left.tolist() == [True, True, True, False, False] and right.tolist() == b.tolist()
    assert [part.tolist() for part in slice_compare.separate(b, a)] == [right.tolist(), left.tolist()]


def test_metrics__by_hand():
    mask = np.array([1, 1, 1, 1, 0], bool)
    columns = {
        "correct": np.array([1.0, 0.0, 1.0, np.nan, 0.0]),
        "q_score": np.array([0.4, 0.1, 0.3, 0.2, 9.0]),
        "n_firing": np.array([2.0, 4.0, 6.0, 8.0, 99.0]),
    }
    found = slice_compare.metrics(mask, columns).set_index("metric")
    assert found["value"].round(9).to_dict() == {
        "n_images": 4.0,
        "accuracy": round(2 / 3, 9),
        "q_score": 0.25,
        "n_firing": 5.0,
        "q_auroc": 1.0,
    }
    assert found["n"].to_dict() == {"n_images": 4, "accuracy": 3, "q_score": 4, "n_firing": 4, "q_auroc": 3}


def test_metrics__empty_slice_is_undefined():
    found = slice_compare.metrics(np.zeros(3, bool), {"correct": np.ones(3), "q_score": np.ones(3)})
    assert found["value"].tolist()[0] == 0 and found["value"].iloc[1:].isna().all()
