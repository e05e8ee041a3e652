"""What one feature does on the images of a slice: equal to loops over images, and to cases made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.answers.class_logits import class_push
from core.common.formatting import counted
from core.measures import slice_features
from core.measures.slice import Slice
from core.measures.slice_features import (
    FiringClass,
    at_levels,
    class_firing,
    feature_activations,
    feature_classes,
    firing_class,
    firing_pairs,
    firing_rows,
    likeness_of_strongest,
    more_often_on,
    most_common_classes,
    similar_features,
    strongest_images,
)
from core.store import Study, open_study
from tests.measures import twins
from tests.synthetic import make_study

SLICES = ["", "split=val", "split=train label=ant", "correct=false", "label=bee,cat"]


@pytest.fixture(scope="module")
def study(shared_study) -> Study:
    return open_study(shared_study)


@pytest.fixture(scope="module")
def busiest(study) -> int:
    return int(np.argmax(np.diff(study.vector("firing_by_feature_ptr"))))


def test_images_of_a_feature__are_never_all_held_with_all_their_features(tmp_path, monkeypatch):
    """A million images have many millions of firing pairs. Few images and many are counted differently."""
    many = open_study(make_study(tmp_path / "many", n_train=600, n_val=60, pictures=False))
    feature = int(np.argmax(np.diff(many.vector("firing_by_feature_ptr"))))
    reads = (similar_features, lambda *of: feature_activations(*of)[1])
    whole = [read(many, feature, mask) for read in reads for mask in (many.is_val, ~many.is_val)]
    held, every = [], slice_features.places_of_images
    monkeypatch.setattr(slice_features, "BLOCK_IMAGES", 16, raising=False)
    monkeypatch.setattr(slice_features, "BLOCK_IMAGES", 16, raising=False)
    for module in (slice_features, slice_features):
        monkeypatch.setattr(
            module, "places_of_images", lambda study, rows: (held.append(len(rows)), every(study, rows))[1]
        )
    parts = [read(many, feature, mask) for read in reads for mask in (many.is_val, ~many.is_val)]
    assert 0 < max(held) <= 16 < sum(held)
    for one, other in zip(whole, parts, strict=True):
        assert_allclose(one, other)


@pytest.mark.parametrize("where", SLICES)
def test_class_firing__matches_loop(study, where):
    mask = Slice.parse(where).mask(study)
    counts, sizes = class_firing(study, mask)
    rates = counts / np.where(sizes == 0, np.nan, sizes)
    for feature in range(0, len(counts), 5):
        assert_allclose(rates[feature], list(twins.class_rates(study, mask, feature).values()))


def test_class_firing__blocks_do_not_change_it(study, monkeypatch):
    whole = class_firing(study, study.is_val)
    monkeypatch.setattr("core.measures.slice_features.BLOCK", 7)
    for one, other in zip(whole, class_firing(study, study.is_val), strict=True):
        assert_allclose(one, other)


def test_class_firing__no_image_and_no_firing_sets(study, tmp_path):
    counts, sizes = class_firing(study, np.zeros(study.n_images, bool))
    assert not counts.any() and not sizes.any()
    assert most_common_classes(counts, sizes)["purity"].isna().all()
    bare = open_study(make_study(tmp_path / "bare", n_train=20, n_val=8, labels=False))
    counts, sizes = class_firing(bare, np.ones(28, bool))
    assert counts.shape[1] == len(sizes) == 0


def test_most_common_classes__by_hand():
    """Class 0 has most of the firing images, class 1 the largest share of its own."""
    found = most_common_classes(np.array([[4, 3], [0, 0]]), np.array([40, 10]))
    assert found.loc[0].tolist() == [1, 0.3, 0, pytest.approx(4 / 7)]
    assert found.loc[1, ["likeliest", "top"]].tolist() == [-1, -1]
    assert found.loc[1, ["likeliest_rate", "purity"]].isna().all()


def test_firing_class__by_hand():
    names = ["ant", "bee", "cat", "dog"]
    assert firing_class(np.array([1, 6, 1, 0]), names) == FiringClass("bee", 6, 8)
    assert firing_class(np.array([3, 0, 0, 3]), names) == FiringClass("ant", 3, 6)  # of equals the first
    assert firing_class(np.zeros(4, int), names) is None and firing_class(np.zeros(0, int), []) is None


def test_feature_classes__count_the_evaluation_images_on_which_it_fires(study):
    labels, ends = study.images["label"].to_numpy(object), study.vector("firing_by_feature_ptr")
    found = feature_classes(study)
    for feature in range(len(ends) - 1):
        rows = study.vector("firing_by_feature_rows")[ends[feature] : ends[feature + 1]]
        own = [labels[row] for row in rows if study.is_val[row]]
        if not own:
            assert feature not in found
            continue
        known = found[feature]
        assert known.of == len(own) and known.n == own.count(known.name) == max(map(own.count, own))
        assert known.evaluated and known.images == counted(len(own), "evaluation image")
        assert known.few == (len(own) < 5) and known.words.startswith("fires on ") == known.few
    assert {known.few for known in found.values()} == {True, False}


def test_more_often_on__a_tie_is_not_more():
    counts, sizes = np.array([[4, 1, 0], [2, 1, 0], [0, 0, 0]]), np.array([20, 10, 0])
    assert more_often_on(counts, sizes, 0).tolist() == [True, False, False]
    assert more_often_on(counts, sizes, 2).tolist() == [False, False, False]


@pytest.mark.parametrize("where", SLICES)
def test_firing_pairs__match_loop(study, where):
    rows = np.flatnonzero(Slice.parse(where).mask(study))[::-1]
    sets = twins.firing_sets(study)
    wanted = [(row, feature, value) for row in rows for feature, value in sets[row].items()]
    found = firing_pairs(study, rows)
    assert list(zip(found["row"], found["feature"], strict=True)) == [pair[:2] for pair in wanted]
    assert_allclose(
        found["activation"], [pair[2] for pair in wanted], atol=2e-7
    )  # stored in single precision


def test_firing_rows__match_loop(study, busiest):
    sets = twins.firing_sets(study)
    wanted = [row for row in np.flatnonzero(study.is_val) if busiest in sets[row]]
    assert firing_rows(study, busiest, study.is_val).tolist() == wanted


def test_firing_pairs__of_no_image(study):
    assert firing_pairs(study, np.empty(0, np.int64)).empty


def test_feature_activations__most_active_first(study, busiest):
    rows, values = feature_activations(study, busiest, study.is_val)
    sets = twins.firing_sets(study)
    wanted = {row: sets[row][busiest] for row in np.flatnonzero(study.is_val) if busiest in sets[row]}
    assert len(rows) > 3 and set(rows) == set(wanted)
    assert_allclose(values, [wanted[row] for row in rows], atol=2e-7)
    assert (np.diff(values) <= 0).all()


@pytest.mark.parametrize("n", [0, 1, 2, 7, 18, 19, 100])
def test_levels__share_no_image_and_keep_the_order(n):
    rows = np.arange(n) * 3
    found = at_levels(rows, 6)
    together = np.concatenate([found[name] for name in ("top", "median", "lowest")])
    assert len(set(together)) == len(together) == min(n, 18)
    assert (np.diff(together) > 0).all()
    if n:
        assert found["top"][0] == rows[0]
    if n > 18:
        assert found["lowest"][-1] == rows[-1] and rows[n // 2] in found["median"]


def test_levels__few_images_are_divided_evenly():
    assert [len(some) for some in at_levels(np.arange(13), 6).values()] == [5, 4, 4]


def test_strongest_images__by_hand():
    pairs = pd.DataFrame({"row": [5, 2, 9, 2], "feature": [1, 1, 1, 4], "activation": [0.2, 0.3, 0.3, 0.9]})
    assert strongest_images(pairs, [1, 4, 7], 2) == {1: [2, 9], 4: [2], 7: []}


@pytest.mark.parametrize("where", SLICES)
def test_similar_features__jaccard_matches_loop(study, busiest, where):
    mask = Slice.parse(where).mask(study)
    found = similar_features(study, busiest, mask)
    assert busiest not in set(found["feature"]) and len(found) == 47
    for row in found.iloc[::6].itertuples():
        assert_allclose(row.jaccard, twins.jaccard(study, mask, busiest, row.feature))
    known = found["jaccard"].dropna().to_numpy()
    assert (np.diff(known) <= 0).all()


def test_similar_features__profile_is_the_correlation_over_classes(study, busiest):
    means = study.vector("class_means").astype(np.float64)
    row: Any
    for row in similar_features(study, busiest, study.is_val).head(5).itertuples():
        assert_allclose(row.profile, np.corrcoef(means[busiest], means[row.feature])[0, 1], rtol=1e-6)


def test_similar_features__without_labels_there_is_no_profile(tmp_path):
    bare = open_study(make_study(tmp_path / "bare", n_train=20, n_val=8, labels=False))
    found = similar_features(bare, 0, np.ones(28, bool))
    assert found["profile"].isna().all()


def test_class_push__matches_loop(study, busiest):
    rows = feature_activations(study, busiest, study.is_val)[0]
    weights, raw = study.vector("probe_weights"), study.vector("representations")
    found = class_push(study, busiest, rows)
    row: Any
    for row in found.itertuples():
        code = study.class_names.index(row.label)
        added = [raw[at, busiest] * (weights[code, busiest] - weights[:, busiest].mean()) for at in rows]
        assert_allclose(row.push, np.mean(added), rtol=1e-5)
    assert (np.diff(found["push"]) <= 0).all()
    assert_allclose(found["push"].sum(), 0, atol=1e-9)


def test_class_push__undefined_without_images_and_without_a_probe(study, tmp_path):
    assert class_push(study, 0, np.empty(0, np.int64))["push"].isna().all()
    bare = open_study(make_study(tmp_path / "bare", n_train=20, n_val=8, labels=False))
    assert class_push(bare, 0, np.arange(3)).empty


def test_likeness_of_the_strongest_images__matches_loop(study):
    top, h = study.vector("top_images")[:, :8], np.asarray(study.array("representations")[:], float)
    h /= np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-30)
    h -= h[np.unique(top[top >= 0])].mean(0)
    expected = []
    for feature, rows in enumerate(top.tolist()):
        entries = [np.delete(h[row], feature) for row in rows if row >= 0]
        pairs = [(at, other) for at in range(len(entries)) for other in range(at)]
        lengths = [np.linalg.norm(one) for one in entries]
        cosines = [entries[a] @ entries[b] / (lengths[a] * lengths[b]) for a, b in pairs]
        expected.append(np.mean(cosines) if pairs else np.nan)
    assert_allclose(likeness_of_strongest(study), expected, atol=1e-6)
    assert np.ptp(np.array(expected)) > 0.1
