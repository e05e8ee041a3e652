"""Likely wrong labels: planted ones are found, of images that the probe has not learnt, and exported."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from cleanlab.filter import find_label_issues
from scipy.special import softmax

from core.export.files import export_table
from core.export.summary import info
from core.jobs.progress import Progress
from core.measures.label_issues import COLUMNS, issues_sentence, label_issues, likely_wrong, own_errors
from core.pipeline.run import analyze
from core.slices.slice import Slice
from core.store import open_study
from tests.sentences import numbers
from tests.synthetic import make_study


def planted_logits(rng, n: int = 400, n_classes: int = 5):
    truth = rng.integers(0, n_classes, n)
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), truth] += 4
    changed = rng.choice(n, n // 20, replace=False)
    given = truth.copy()
    given[changed] = (truth[changed] + rng.integers(1, n_classes, len(changed))) % n_classes
    return logits, given, changed


def test_likely_wrong__finds_planted_labels_and_orders_them_by_their_probability(rng):
    logits, given, changed = planted_logits(rng)
    table = likely_wrong(logits.__getitem__, given)
    rows, shares = table["row"], softmax(logits, 1)[table["row"]]
    assert np.isin(rows, changed).mean() > 0.9 and np.isin(changed, rows).mean() > 0.7
    np.testing.assert_array_equal(table["label_quality"], shares[np.arange(len(rows)), given[rows]])
    np.testing.assert_array_equal(table["suggested"], shares.argmax(1))
    np.testing.assert_array_equal(table["confidence"], shares.max(1))
    assert (np.diff(table["label_quality"]) >= 0).all() and (table["suggested"] != given[rows]).all()
    assert likely_wrong(logits.__getitem__, logits.argmax(1)).empty  # the answer agrees with every label


def slow_count(shares: np.ndarray, given: np.ndarray) -> int:
    """Images of which another class than the label is the likeliest one above its threshold."""
    threshold = [shares[given == c, c].mean() for c in range(shares.shape[1])]
    n = 0
    for row, label in zip(shares, given, strict=True):
        above = [c for c, p in enumerate(row) if p >= threshold[c]]
        n += bool(above) and max(above, key=lambda c: row[c]) != label
    return n


@pytest.mark.parametrize("block", [7 * 5, 2**22])
def test_likely_wrong__are_as_many_as_confident_learning_counts(rng, monkeypatch, block):
    monkeypatch.setattr("core.measures.label_issues.BLOCK", block)
    logits, given, _ = planted_logits(rng, n=900)
    logits *= 0.4  # so that the answer is often wrong, and unsure
    shares = softmax(logits, 1)
    quality = shares[np.arange(900), given]
    lowest = np.argsort(quality, kind="stable")[: slow_count(shares, given)]
    expected = lowest[shares[lowest].argmax(1) != given[lowest]]
    table = likely_wrong(logits.__getitem__, given)
    np.testing.assert_array_equal(table["row"], expected)
    listed = find_label_issues(given, shares, filter_by="low_self_confidence", n_jobs=1)
    np.testing.assert_array_equal(np.sort(table["row"]), np.flatnonzero(listed & (shares.argmax(1) != given)))


def test_likely_wrong__without_some_labels_or_classes(rng):
    logits, given, changed = planted_logits(rng)
    unknown = np.where(given == 3, -1, given)
    rows = likely_wrong(logits.__getitem__, unknown)["row"]
    assert len(rows) and (unknown[rows] >= 0).all()
    for few in (np.full(400, -1), np.where(given == 3, 3, -1), given[:0]):
        assert likely_wrong(logits.__getitem__, few).empty


def test_likely_wrong__where_an_answer_is_sure_of_a_class_that_is_no_label(rng):
    logits, given, _ = planted_logits(rng)
    other, label = given == 4, np.where(given == 4, 0, given)
    logits[other] += [4, 0, 0, 0, 2000]  # beside which the labels have a probability of 0
    among = softmax(logits[:, :4], 1)
    lowest = np.argsort(among[np.arange(400), label], kind="stable")[: slow_count(among, label)]
    expected = lowest[logits[lowest].argmax(1) != label[lowest]]
    assert set(likely_wrong(logits.__getitem__, label)["row"]) == set(expected) and len(expected)


@pytest.mark.slow
def test_study__planted_wrong_labels_are_found_far_above_chance(tmp_path):
    source = make_study(tmp_path / "clean", n_train=320, n_val=160, pictures=False)
    clean = open_study(source)
    table = pd.read_csv(tmp_path / "clean.input" / "images.csv")
    rng, names = np.random.default_rng(0), np.array(clean.class_names, object)
    changed = rng.choice(len(table), len(table) // 20, replace=False)
    codes = pd.Categorical(table["label"], categories=list(names)).codes.astype(int)
    codes[changed] = (codes[changed] + rng.integers(1, len(names), len(changed))) % len(names)
    given = names[codes]
    given[np.setdiff1d(np.flatnonzero(table["split"] == "val"), changed)[:10]] = None
    table.assign(label=given).to_csv(tmp_path / "noisy.csv", index=False)
    options = {"images": str(tmp_path / "noisy.csv"), "epsilon": "auto", "bootstrap": 50, "workers": 0}
    options |= {"representations": str(tmp_path / "clean.input" / "raw.npy"), "method": "pca"}
    analyze(tmp_path / "noisy", options, Progress.silent())
    study = open_study(tmp_path / "noisy")
    listed = label_issues(study, study.is_val)
    wrong = set(table["image_id"][changed]) & set(study.images["image_id"][study.is_val])
    hits = listed["image_id"].isin(list(wrong))
    assert hits.mean() > 5 * len(wrong) / study.is_val.sum() and hits.sum() > 0.6 * len(wrong)

    told = issues_sentence(listed, 150, study.summary("probe")["top1"])
    first = listed.iloc[0]
    assert numbers(told)[:3] == [str(len(listed)), "150", f"{100 * first['confidence']:.0f}"]
    assert told.index(first["label"]) < told.index(first["suggested"])
    assert info(study)["label_issues"] == told
    sure = issues_sentence(listed, 160, 0.95)
    assert numbers(own_errors(0.54)) == ["54"] and own_errors(0.95) == ""
    assert issues_sentence(listed, 160, 0.54) == f"{sure}{own_errors(0.54)}"
    assert export_table(study, "label_issues", tmp_path / "issues.csv") == len(listed)
    assert tuple(pd.read_csv(tmp_path / "issues.csv")) == COLUMNS
    label = listed["label"].iloc[0]
    own = study.where(f"label={label}").table("label_issues")
    assert own["image_id"].tolist() == listed["image_id"][listed["label"] == label].tolist()
    among = Slice.parse(f"label={label}")
    assert export_table(study, "label_issues", tmp_path / "own.csv", slice=among) == len(own)
