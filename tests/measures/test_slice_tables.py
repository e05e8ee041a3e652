"""What the scores predict within any images: the stored tables over all of them, loops over a slice."""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.measures import scores, slice_tables
from core.measures.slice import Slice
from core.measures.slice_tables import causes_of_slice, curves_of_slice, metrics_of_slice
from core.store import Study, open_study
from core.study.writer import write_study
from tests.synthetic import make_study

METRICS = ("auroc", "auprc_correct", "auprc_error", "aurc", "augrc")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = make_study(tmp_path_factory.mktemp("within") / "study", n_train=30, n_val=120, pictures=False)
    table = open_study(folder).table("images")[["image_id"]]
    causes = np.resize(["small", "faded", "none"], len(table))
    with write_study(folder) as writer, writer.step("more", {}) as step:
        step.table("attributes", table.assign(cause=causes))
    return open_study(folder)


def slow_auroc(score: np.ndarray, right: np.ndarray) -> float:
    pairs = list(itertools.product(score[right], score[~right]))
    return sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)


@pytest.mark.slow
def test_all_evaluation_images__have_the_stored_metrics(study):
    stored = study.table("quality_metrics").set_index("score")
    found = metrics_of_slice(study, study.is_val).set_index("score")
    assert list(found.index) and set(found.index) <= set(stored.index)
    for metric in METRICS:
        assert_allclose(found[metric], stored.loc[found.index, metric], rtol=1e-9)
    assert (found["label_free"] == stored.loc[found.index, "label_free"]).all()
    assert (found["auroc_low"] <= found["auroc"]).all() and (found["auroc"] <= found["auroc_high"]).all()


def test_all_evaluation_images__have_the_stored_curves(study):
    stored = study.table("quality_curves")
    found = curves_of_slice(study, study.is_val, ("q_score", "norm"))
    for score in ("q_score", "norm"):
        mine, theirs = (table[table["score"] == score] for table in (found, stored))
        assert mine["curve"].tolist() == theirs["curve"].tolist()
        assert_allclose(mine[["x", "y"]], theirs[["x", "y"]])


@pytest.mark.slow
@pytest.mark.parametrize("where", ["split=val label=ant", "split=val n_firing=3.."])
def test_slice__by_a_loop(study, where):
    mask = Slice.parse(where).mask(study)
    table = study.table("quality")[mask].dropna(subset="correct")
    right = table["correct"].to_numpy(bool)
    assert 0 < right.sum() < len(right)
    for row in metrics_of_slice(study, mask).to_dict("records"):
        score = table[row["score"]].to_numpy(float)
        known = np.isfinite(score)
        if known.any():
            assert row["n"] == known.sum()
            assert row["auroc"] == pytest.approx(slow_auroc(score[known], right[known]))


def test_causes__by_a_loop(study):
    table = study.table("quality")[study.is_val]
    right, causes = (
        table["correct"].to_numpy(bool),
        study.table("attributes")["cause"][study.is_val].to_numpy(),
    )
    found = causes_of_slice(study, study.is_val)
    assert {"small", "faded"} & set(found["cause"])
    for row in found.to_dict("records"):
        errors = ~right & (causes == row["cause"])
        assert row["n_errors"] == errors.sum() >= 5
        kept = right | errors
        assert row["auroc"] == pytest.approx(
            slow_auroc(table[row["score"]].to_numpy(float)[kept], right[kept])
        )


@pytest.mark.parametrize("verdict", ["true", "false"])
def test_one_verdict_only__is_undefined_with_the_reason(study, verdict):
    mask = Slice.parse(f"split=val correct={verdict}").mask(study)
    found = metrics_of_slice(study, mask)
    assert found[list(METRICS)].isna().to_numpy().all()
    word = "classified correctly" if verdict == "true" else "misclassified"
    assert found["note"].str.contains(word).all()
    assert curves_of_slice(study, mask, ("q_score",)).empty
    assert causes_of_slice(study, mask).empty


def test_no_images__is_undefined(study):
    found = metrics_of_slice(study, np.zeros(study.n_images, bool))
    assert (found["n"] == 0).all() and found["auroc"].isna().all()
    assert causes_of_slice(study, np.zeros(study.n_images, bool)).empty


@pytest.mark.parametrize(("draws", "resamples"), [(1000, 300), (300, 300), (200, 200), (99, 0)])
def test_many_images__are_resampled_less(study, monkeypatch, draws, resamples):
    monkeypatch.setattr(type(study), "settings", lambda self, step: {"bootstrap": 300})
    monkeypatch.setattr(scores, "MOST_DRAWS", draws * int(study.is_val.sum()))
    told = []
    monkeypatch.setattr(
        slice_tables, "score_metrics", lambda *tables, **given: told.append(given["resamples"])
    )
    metrics_of_slice(study, study.is_val)
    assert told == [resamples]


def test_without_causes__none(study, tmp_path):
    from tests.manifests import edited_manifest

    folder = shutil.copytree(study.path, tmp_path / "study")
    with edited_manifest(folder) as manifest:
        del manifest["items"]["attributes"]
    assert causes_of_slice(open_study(folder), study.is_val).empty
