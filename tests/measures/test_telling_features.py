"""One order of features, the most telling first."""

from __future__ import annotations

import numpy as np
import pytest

from core.charts.feature_points import most_telling
from core.common.records import Record
from core.common.verdict_words import RELIABLE, WEAK, Verdict
from core.measures import telling_features as module
from core.measures.feature_rates import feature_differences
from core.measures.slice import Slice
from core.measures.slice_comparison import population
from core.measures.slice_features import class_firing
from core.measures.telling_features import telling_features
from core.store import open_study
from dashboard.cache import feature_reads


@pytest.fixture
def study(study_path):
    return open_study(study_path(n_train=60, n_val=80, n_features=24, n_classes=4, pictures=False))


def shares(study) -> np.ndarray:
    """(n_features,) the share of evaluation images of its class that make a feature fire, by a loop."""
    counts, _ = class_firing(study, study.is_val)
    return np.array([row.max() for row in counts]) / study.is_val.sum()


def test_order__without_names_is_by_the_images_of_its_class(study, monkeypatch):
    monkeypatch.setattr(module, "feature_names", lambda *_, **__: {})
    monkeypatch.setattr(module, "feature_words", lambda *_, **__: {})
    order = telling_features(study, *population(study, Slice()))
    assert sorted(order) == list(range(24)) and (np.diff(shares(study)[order]) <= 1e-12).all()


def test_order__names_that_hold_lead_and_each_meaning_comes_once_before_any_twice(study, monkeypatch):
    words = {0: ["sky"], 1: ["sky"], 2: ["sea"], 3: ["sea"]}
    worth = {0: WEAK, 1: RELIABLE, 2: WEAK, 3: WEAK}
    monkeypatch.setattr(module, "feature_names", lambda *_, **__: {})
    monkeypatch.setattr(module, "feature_words", lambda *_, **__: words)
    monkeypatch.setattr(
        module, "name_verdicts", lambda _: {one: Verdict(word, Record("", "")) for one, word in worth.items()}
    )
    monkeypatch.setattr(module, "count_firing_images", lambda study, masks: np.full((len(masks), 24), 5))
    order = telling_features(study, *population(study, Slice()))
    counts, _ = class_firing(study, study.is_val)
    purity = counts.max(1) / np.maximum(counts.sum(1), 1)
    second = 3 if purity[2] >= purity[3] else 2
    assert order[0] == 1 and {*order[-2:]} == {0, second}


def test_order__of_a_slice_is_by_how_much_more_often_it_fires_there(study):
    where = Slice(labels=(study.class_names[0],))
    inside, others = population(study, where)
    table = feature_differences(study, inside, others).set_index("feature")
    order = [one for one in telling_features(study, inside, others) if table["rate"][one] > 0]
    assert (np.diff(table["difference"][order]) <= 1e-12).all()
    assert most_telling(study.where(where))[: len(order)] == order


def test_pages_and_reports_have_the_same_order(study):
    val = Slice(split="val")
    listed = feature_reads.in_order(study, val, feature_reads.Listing())["feature"].tolist()
    assert most_telling(study)[: len(listed)] == listed and listed
