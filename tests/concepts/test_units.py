"""What is explained: probe images, thresholds, features, groups, counterfactuals, on a small study."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.concepts.units import (
    ProbeImages,
    check_k,
    choose_units,
    find_counterfactuals,
    reached_by,
    scan,
    threshold_of,
    why_none,
)
from core.config import ConceptsConfig
from core.errors import SettingsError
from core.store import open_study
from tests.concepts import reference_concepts as reference


@pytest.fixture(scope="module")
def study(shared_study):
    return open_study(shared_study)


def rows_of(study, split):
    raw = study.vector("representations").astype(np.float64)
    h = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12)
    return {"val": h[study.is_val], "train": h[~study.is_val], "all": h}[split]


def found_in(study, config, k=1.0, split="val"):
    probe = ProbeImages(study, split)
    activations = scan(probe, [0.5])
    threshold = threshold_of(activations, k, min_images=config.min_images)
    return probe, activations, threshold, activations.groups(threshold.alpha)


@pytest.mark.parametrize("split", ["val", "train", "all"])
def test_scan__is_that_of_the_whole_matrix(study, split):
    h = rows_of(study, split)
    activations = scan(ProbeImages(study, split), [0.5, 2.0])
    assert_allclose(activations.means, h.mean(0), rtol=1e-12)
    for k in (0.5, 1.0, 2.0):
        alpha = activations.moments.alpha(k)
        assert_allclose(alpha, reference.alpha_of(h, k), rtol=1e-9)
        sets = reference.activating_sets(h, alpha)
        assert activations.n_activating(alpha).tolist() == [len(rows) for rows in sets]
        groups = {group.features: group.rows.tolist() for group in activations.groups(alpha)}
        assert groups == reference.groups(h > alpha)


def test_probe_images__refuse_an_unknown_split(study):
    with pytest.raises(SettingsError, match="unknown split 'test'; known: val, train, all"):
        ProbeImages(study, "test")


def test_threshold__counts_what_each_k_leaves(study):
    h = rows_of(study, "val")
    activations = scan(ProbeImages(study), [1.0])
    threshold = threshold_of(activations, 1.0, min_images=4)
    assert threshold.k == 1.0
    for line in threshold.per_k:
        sets = reference.activating_sets(h, line["alpha"])
        groups = reference.groups(h > line["alpha"])
        large = [features for features, rows in groups.items() if len(rows) > 4]
        assert line["n_explainable"] == sum(len(rows) > 4 for rows in sets)
        assert line["n_groups"] == len(large)
        assert line["n_joint_groups"] == sum(len(features) > 1 for features in large)
    assert [line["k"] for line in threshold.per_k] == [16, 12, 8, 5, 4, 3, 1]


def test_threshold__auto_is_the_rule_of_the_candidates(study):
    activations = scan(ProbeImages(study), [3.0])
    threshold = threshold_of(activations, "auto", min_images=1)
    assert threshold.k == reference.auto_k(rows_of(study, "val"), [16, 12, 8, 5, 4, 3], 0.2, 1)


def test_reached_by__is_the_nth_largest(study):
    h = rows_of(study, "val")
    assert_allclose(reached_by(ProbeImages(study), 5), np.sort(h, axis=0)[-5], rtol=1e-12)
    assert (reached_by(ProbeImages(study), len(h) + 1) == -np.inf).all()


def test_why_none__names_a_k_that_works(study):
    h = rows_of(study, "val")
    probe, activations, threshold, _ = found_in(study, ConceptsConfig(min_images=4), k=9.0)
    sentence = why_none(probe, activations, threshold, 4)
    k = float(sentence.split("one is ")[1].split(". Run")[0])
    n_left = [
        sum(len(r) > 4 for r in reference.activating_sets(h, reference.alpha_of(h, at)))
        for at in (k, k + 0.02)
    ]
    assert n_left[0] >= 1 and n_left[1] == 0
    assert f"--k {k:g} or less" in sentence


def test_choose_units__at_a_k_too_high_says_which_would_do(study):
    config = ConceptsConfig(k=9.0, min_images=4)
    with pytest.raises(SettingsError, match=r"no feature has more than 4 .* at k = 9; the largest k"):
        choose_units(*found_in(study, config, k=9.0), config)


def test_choose_units__of_too_few_images(study):
    config = ConceptsConfig(k=1.0, min_images=4000)
    with pytest.raises(SettingsError, match="40 probe"):
        choose_units(*found_in(study, config), config)


def test_choose_units__are_explainable_features_and_large_groups(study):
    h, config = rows_of(study, "val"), ConceptsConfig(min_images=2)
    selection = found_in(study, config)
    alpha = selection[2].alpha
    sets, groups = reference.activating_sets(h, alpha), reference.groups(h > alpha)
    features = {(i,): rows for i, rows in enumerate(sets) if len(rows) > 2}
    joint = {group: rows for group, rows in groups.items() if len(rows) > 2 and len(group) > 1}
    assert features and joint  # or the test says nothing
    units = choose_units(*selection, config)
    assert {unit.features: unit.positions.tolist() for unit in units} == features | joint
    for unit in units:
        assert_allclose(unit.values, h[unit.positions][:, list(unit.features)].min(1), rtol=1e-12)
    only = choose_units(*selection, ConceptsConfig(min_images=2, explainable=True))
    assert {unit.features for unit in only} == set(features)
    only = choose_units(*selection, ConceptsConfig(min_images=2, groups=True))
    assert {unit.features for unit in only} == set(joint)


def test_choose_units__of_no_groups_says_where_there_are_some(study):
    config = ConceptsConfig(min_images=12, groups=True)
    with pytest.raises(SettingsError, match="no group of several features has more than 12 images at k = 1"):
        choose_units(*found_in(study, config), config)


def test_choose_units__by_name(study):
    h = rows_of(study, "val")
    config = ConceptsConfig(features=(7, 3, 7))
    selection = found_in(study, config)
    sets = reference.activating_sets(h, selection[2].alpha)
    units = choose_units(*selection, config)
    assert {unit.name: unit.positions.tolist() for unit in units} == {"3": sets[3], "7": sets[7]}


def test_choose_units__refuse_an_unknown_feature(study):
    config = ConceptsConfig(features=(3, 48))
    with pytest.raises(SettingsError, match="no feature 48 .* it has 48, from 0 to 47"):
        choose_units(*found_in(study, config), config)


def test_choose_units__by_name_without_images_says_which_k(study):
    h, config = rows_of(study, "val"), ConceptsConfig(features=(3,))
    selection = found_in(study, config, k=30.0)
    with pytest.raises(SettingsError, match="feature 3 ") as error:
        choose_units(*selection, config)
    k = float(str(error.value).split("k below ")[1].split(" leaves")[0])
    assert (h[:, 3] > reference.alpha_of(h, k - 0.02)).any()
    assert not (h[:, 3] > reference.alpha_of(h, k + 0.02)).any()


def test_find_counterfactuals__match_loop(study):
    h, config = rows_of(study, "val"), ConceptsConfig(min_images=2)
    selection = found_in(study, config)
    units = choose_units(*selection, config)
    for beta in (0.05, 0.3):
        n_found = 0
        for unit, counter in zip(
            units, find_counterfactuals(selection[0], selection[1], units, beta=beta, n=4), strict=True
        ):
            expected = reference.counterfactuals(h, list(unit.features), unit.positions.tolist(), beta, 4)
            assert counter.positions.tolist() == [q for q, _ in expected]
            assert_allclose(counter.dots, [dot for _, dot in expected], rtol=1e-9)
            anywhere = reference.counterfactuals(h, list(unit.features), unit.positions.tolist(), -1.0, 1)
            assert counter.largest_beta == pytest.approx(anywhere[0][1])
            n_found += len(expected)
        assert n_found


@pytest.mark.parametrize("k", ["auto", 0, 3, 4.5])
def test_check_k__accepts(k):
    assert check_k(k) is None  # it raises what it does not accept


@pytest.mark.parametrize("k", [-1, "many", float("inf"), float("nan"), None])
def test_check_k__refuses(k):
    with pytest.raises(SettingsError, match="k must"):
        check_k(k)
