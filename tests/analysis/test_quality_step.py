"""The step `quality`: the table equals the slow twins, pieces do not matter, gaps are said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis import one_pass
from core.analysis.quality_step import sparse_scores
from core.analysis.trust_check import read_check
from core.common.records import Record
from core.common.score_names import SCORES
from core.errors import StudyError
from core.measures.evaluate import class_column
from core.measures.scores import score_causes
from core.pipeline.run import run_step
from core.store import Study, open_study
from core.study.progress import Progress
from core.study.writer import write_study
from tests import reference
from tests import reference_scores as slow
from tests.manifests import edited_manifest
from tests.synthetic import make_study
from tests.tables import rows_where

SINGLE = 2e-6  # excesses are stored in float32, deviations computed in it


def check_table(study) -> None:
    raw, table = study.array("representations")[:], study.table("quality")
    h, epsilon = reference.normalise_rows(raw), study.summary("features")["epsilon"]
    chosen = study.table("features")["discriminative"].to_numpy()
    fires = reference.highly_activating(raw, epsilon)
    assert_allclose(table["q_score"], reference.q_score(h, chosen, epsilon), rtol=SINGLE)
    everything = np.ones(raw.shape[1], bool)
    assert_allclose(table["q_all_features"], reference.q_score(h, everything, epsilon), rtol=SINGLE)
    assert_array_equal(table["n_firing"], fires.sum(1))
    assert_array_equal(table["n_firing_discriminative"], (fires & chosen).sum(1))
    assert_allclose(table["norm"], np.linalg.norm(raw.astype(float), axis=1), rtol=SINGLE)
    assert_allclose(table["max_activation"], h.max(1), rtol=SINGLE)
    check_scores_without_labels(study, raw.astype(float), h)
    check_detectors(study, raw.astype(float))


def check_scores_without_labels(study: Study, raw: np.ndarray, h: np.ndarray) -> None:
    table, train = study.table("quality"), ~study.is_val
    moments, raw_moments = slow.column_moments(h[train]), slow.column_moments(raw[train])
    assert_allclose(study.vector("raw_moments"), raw_moments, rtol=1e-9, atol=1e-15)
    assert_allclose(table["distinctiveness"], slow.distinctiveness(h, *moments), rtol=SINGLE)
    assert_allclose(table["raw_distinctiveness"], slow.distinctiveness(raw, *raw_moments), rtol=SINGLE)
    assert_allclose(table["soft_q"], slow.soft_q(h, *moments, 1.0), rtol=SINGLE, atol=1e-8)
    assert_allclose(table["pca_residual"], slow.pca_residual(h, h[train], 0.9), rtol=1e-6, atol=1e-9)
    assert_allclose(table["whitened_norm"], slow.whitened_norm(h, h[train], 9), rtol=1e-6)


def check_detectors(study: Study, raw: np.ndarray) -> None:
    """Each twin from raw rows, the probe's weights and the labels."""
    table, train, val = study.table("quality"), ~study.is_val, study.is_val
    weights, bias = (study.vector(name).astype(float) for name in ("probe_weights", "probe_bias"))
    logits = study.vector("val_logits").astype(float)
    expected = {
        "gen": slow.gen(logits, 0.1, 100),
        "fdbd": slow.fdbd(weights, bias, raw[val], raw[train].mean(0)),
        "vim_residual": slow.vim_residual(raw[val], weights, bias, raw[train], raw.shape[1] // 2),
    }
    energy = table["energy"].to_numpy()
    h = reference.normalise_rows(raw)
    pairs = [list(zip(energy[train], h[train] @ own, strict=True)) for own in h[val]]
    expected["nnguide"] = slow.nnguide(energy[val], pairs, study.settings("neighbours")["k"])
    codes = class_column(study, "label")
    right = table["correct"].fillna(False).to_numpy(bool)[train]
    expected["she"] = slow.she(raw[val], logits.argmax(1), raw[train], codes[train], right)
    for name, values in expected.items():
        assert_allclose(table[name][val], values, rtol=1e-5, err_msg=name)  # weights are stored in float32
        assert rows_where(table, train)[name].isna().all()


def test_compute_quality__table_equals_loops(shared_study):
    study = open_study(shared_study)
    check_table(study)
    table = study.table("quality")
    assert list(table.columns) == [
        "image_id", "split", "q_score", "n_firing", "n_firing_discriminative", "norm", "max_activation",
        "q_all_features", "hoyer", "knn_similarity", "predicted", "confidence", "margin", "energy", "correct",
        "distinctiveness", "raw_distinctiveness", "soft_q", "pca_residual", "whitened_norm",
        "gen", "nnguide", "fdbd", "she", "vim_residual",
    ]  # fmt: skip
    assert_array_equal(table["knn_similarity"].notna(), study.is_val)
    cosines = study.array("neighbour_similarity")[:].astype(float)
    assert_allclose(table["knn_similarity"][study.is_val], cosines.mean(1), rtol=1e-12)


@pytest.mark.slow
def test_compute_quality__any_pieces_give_the_same(study_path, monkeypatch):
    at_once = open_study(study_path("at_once", pictures=False)).table("quality")
    monkeypatch.setattr(one_pass, "PIECE_ENTRIES", 1)
    study = open_study(study_path("in_pieces", pictures=False))
    check_table(study)
    pd.testing.assert_frame_equal(study.table("quality"), at_once)
    assert len(at_once)


def test_compute_quality__metrics_are_on_val_only(shared_study):
    study = open_study(shared_study)
    table, metrics = study.table("quality"), study.table("quality_metrics").set_index("score")
    val = rows_where(table, table["split"] == "val")
    assert set(metrics.index) == {*SCORES} - {"calibrated", "combined", "kpca_error"}  # of 0.3.0
    assert_array_equal(metrics["label_free"], [SCORES[name].label_free for name in metrics.index])
    for score in ("q_score", "confidence", "n_firing"):
        expected = reference.auroc(val[score].to_numpy(), val["correct"].to_numpy())
        assert_allclose(metrics.loc[score, "auroc"], expected, rtol=1e-12)
    summary = study.summary("quality")
    assert summary["q_auroc"] == metrics.loc["q_score", "auroc"]
    assert_allclose(summary["base_rate"], val["correct"].mean())
    assert summary["q_augrc"] == metrics.loc["q_score", "augrc"]
    trust = read_check(study)
    assert trust is not None and isinstance(trust.facts, Record)
    assert (summary["q_rank"], summary["n_scores"]) == (trust.facts.parts[0].n, trust.facts.parts[0].of)
    curves = study.table("quality_curves")
    assert set(curves["curve"]) == {"roc", "pr", "pr_error", "risk"}


def test_sparse_scores__by_hand():
    count, features = np.array([2, 0, 1]), np.array([0, 1, 1])
    found = sparse_scores(np.array([0.2, 0.4, 0.6]), features, count, np.array([True, False]))
    assert_allclose(found["q_score"], [0.2, 0.0, 0.0])
    assert_allclose(found["q_all_features"], [0.3, 0.0, 0.6])
    assert_array_equal(found["n_firing_discriminative"], [1, 0, 0])


def test_by_cause__errors_of_one_cause_against_all_correct(rng):
    n = 300
    causes = rng.choice(["blur", "size", "rare", "none"], n, p=[0.4, 0.3, 0.01, 0.29]).astype(object)
    correct = (rng.random(n) < 0.6).astype(float)
    scores = pd.DataFrame({"s": rng.normal(size=n)})
    scores.loc[(causes == "blur") & (correct == 0), "s"] -= 10.0
    found = score_causes(scores, correct, causes).set_index("cause")
    assert found.loc["blur", "auroc"] > 0.99 and 0.3 < found.loc["size", "auroc"] < 0.7
    assert found.loc["blur", "n_errors"] == int(((causes == "blur") & (correct == 0)).sum())
    assert "rare" not in found.index


@pytest.mark.parametrize("n_wrong", [0, 7, 8])
def test_by_cause__needs_eight_errors(rng, n_wrong):
    correct = (np.arange(100) >= n_wrong).astype(float)
    table = score_causes(pd.DataFrame({"s": rng.random(100)}), correct, np.full(100, "blur", object))
    assert table["n_errors"].tolist() == [8] * (n_wrong >= 8)
    assert (table["high"] - table["low"] > 0.2).all()


def test_by_cause__differences_are_of_the_same_images(rng):
    n = 200
    causes = rng.choice(["blur", "size"], n).astype(object)
    correct = (rng.random(n) < 0.6).astype(float)
    score = rng.normal(size=n) + correct
    table = score_causes(
        pd.DataFrame({"q_score": score, "same": 2 * score + 1, "other": rng.normal(size=n)}), correct, causes
    ).set_index(["cause", "score"])
    columns = ["difference", "difference_low", "difference_high"]
    for cause in ("blur", "size"):
        assert (table.loc[(cause, "same"), columns] == 0).all()
        gap = table.loc[(cause, "other"), "auroc"] - table.loc[(cause, "q_score"), "auroc"]
        ahead, low, high = table.loc[(cause, "other"), columns]
        assert ahead == pytest.approx(gap) and low < ahead < high
        assert table.loc[(cause, "q_score"), columns].isna().all()


def one_split_study(folder: Path, rng: np.random.Generator, split: str) -> Path:
    """A study that holds representations and images of a single split."""
    images = pd.DataFrame({"image_id": [f"{i}" for i in range(40)], "split": split, "label": ["a", "b"] * 20})
    with write_study(folder) as writer, writer.step("embed", {}) as step:
        step.table("images", images.assign(path=images["image_id"]))
        step.vector("representations", rng.gamma(0.3, size=(40, 64)).astype(np.float32))
    return folder


def run(folder: Path, *steps: str) -> Study:
    for step in steps:
        run_step(step, folder, {"epsilon": 2.0, "epochs": 2}, Progress.silent())
    return open_study(folder)


def test_compute_quality__without_val_images(tmp_path, rng):
    folder = one_split_study(tmp_path / "study", rng, "train")
    study = run(folder, "features", "neighbours", "probe", "quality", "failures")
    assert "there are no evaluation images" in study.summary("failures")["skipped"]
    metrics = study.table("quality_metrics")
    assert metrics["auroc"].count() == 0 and set(metrics["note"]) == {"there are no evaluation images"}
    assert "no evaluation images" in study.summary("neighbours")["skipped"]
    assert study.summary("probe")["top1"] is None and study.table("probe")["predicted"].notna().all()
    assert study.summary("probe")["train_top1"] > 0
    assert (
        not study.table("probe")[["correct", "top5_correct"]].notna().to_numpy().any()
    )  # the probe has seen them all
    assert study.summary("quality")["q_auroc"] is None
    trust = read_check(study)
    assert trust is not None and trust.sentence.why == "there are no evaluation images"


def test_compute_features__without_train_images(tmp_path, rng):
    folder = one_split_study(tmp_path / "study", rng, "val")
    with pytest.raises(StudyError, match="images"):
        run(folder, "features")


@pytest.mark.slow
def test_quality__of_a_study_of_an_older_version(tmp_path):
    """Raw moments are then computed once more; the columns of `principal_scores` are not known."""
    folder = make_study(tmp_path / "study", pictures=False)
    before = open_study(folder).table("quality")
    with edited_manifest(folder) as manifest:
        for name in ("raw_moments", "principal_scores"):
            del manifest["items"][name]
            manifest["steps"]["quality"]["inputs"].pop(name)
    study = run(folder, "quality")
    table = study.table("quality")
    assert_allclose(table["raw_distinctiveness"], before["raw_distinctiveness"], rtol=SINGLE)
    assert table[["pca_residual", "whitened_norm"]].isna().to_numpy().all()
    rated = study.table("quality_metrics").set_index("score")
    assert np.isnan(rated.loc["whitened_norm", "auroc"]) and rated.loc["whitened_norm", "n"] == 0


@pytest.mark.slow
def test_steps__one_image_a_class(study_path):
    study = open_study(study_path(pictures=False, n_train=8, n_val=8, n_classes=8, epsilon=1.0, epochs=3))
    assert study.summary("probe")["n_classes"] == 8 and study.has("quality_metrics")
    check_table(study)
