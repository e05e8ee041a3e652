"""Choosing a score on a few labelled images: the sample, the choice and its regret, and the stored result."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from core.analysis.quality.label_free.calibration import calibrate, calibration_sentence, stratified_rows
from core.errors import SettingsError, StudyError
from core.jobs.progress import Progress
from core.pipeline.run import run_step
from core.store import open_study
from tests import reference
from tests.synthetic import make_study


def test_stratified_rows__every_class_in_proportion(rng):
    codes = rng.permutation(np.repeat([0, 1, 2, -1], [60, 30, 10, 20]))
    rows = stratified_rows(codes, 20, seed=0)
    assert_array_equal(np.bincount(codes[rows]), [12, 6, 2])
    assert_array_equal(rows, stratified_rows(codes, 20, seed=0))
    assert len(set(rows)) == 20 and set(rows) != set(stratified_rows(codes, 20, seed=1))


def test_stratified_rows__no_class_is_left_out_or_used_up():
    codes = np.repeat([0, 1, 2, 3], [50, 2, 3, 1])
    for n in (3, 10, 27):
        drawn = np.bincount(codes[stratified_rows(codes, n, seed=0)], minlength=4)
        assert drawn.sum() == n and (drawn[:3] >= 1).all() and (drawn[:3] <= [49, 1, 2]).all()
        assert drawn[3] == 0  # its one image trains the probe


def test_stratified_rows__impossible_numbers():
    codes = np.repeat(np.arange(10), 8)
    with pytest.raises(SettingsError, match="9: fewer images than the 10 classes. Give at least 10"):
        stratified_rows(codes, 9, seed=0)
    with pytest.raises(SettingsError, match="more than half of the 80 labelled train images.*at most 40"):
        stratified_rows(codes, 41, seed=0)


def slow_picks(scores: np.ndarray, correct: np.ndarray, resamples: int, seed: int) -> list[int]:
    picks = []
    for number in range(resamples):
        drawn = np.random.default_rng([seed, number]).integers(0, len(correct), len(correct))
        values = [reference.auroc(scores[drawn, s], correct[drawn] == 1) for s in range(scores.shape[1])]
        picks.append(values.index(max(values)))
    return picks


def test_calibrate__matches_loop(rng):
    correct = (rng.random(40) < 0.6).astype(float)
    scores = correct[:, None] * [0.5, 0.6, 0.0] + rng.normal(size=(40, 3))
    on_all = {"a": 0.64, "b": 0.66, "c": 0.5}
    table, facts = calibrate(pd.DataFrame(scores, columns=list("abc")), correct, on_all, resamples=30, seed=3)
    aurocs = [reference.auroc(column, correct == 1) for column in scores.T]
    assert_allclose(table["auroc"], aurocs)
    picks = slow_picks(scores, correct, 30, 3)
    assert_allclose(table["picked"], [picks.count(s) / 30 for s in range(3)])
    assert facts["score"] == "abc"[aurocs.index(max(aurocs))] and facts["n_errors"] == (correct == 0).sum()
    assert facts["best_on_all"] == "b" and facts["share_best"] == picks.count(1) / 30
    assert facts["regret"] == pytest.approx(0.66 - sum([0.64, 0.66, 0.5][s] for s in picks) / 30)


def test_calibrate__of_one_outcome_is_undefined():
    table, facts = calibrate(pd.DataFrame({"a": np.arange(9.0)}), np.ones(9), {"a": 0.7})
    assert table[["auroc", "picked"]].isna().to_numpy().all() and facts["score"] is None
    assert calibration_sentence(facts).endswith("0 of them are misclassified.")


@pytest.mark.parametrize(
    ("n_errors", "low", "says"),
    [
        (1, 0.6, "which score without labels predicts errors best cannot be told from 1 error."),
        (7, 0.6, "which score without labels predicts errors best cannot be told from 7 errors."),
        (8, 0.6, "Raw norm predicts errors best without labels: AUROC 0.70 (0.60 to 0.80)."),
        (8, 0.4, "no score without labels can be told from chance: the best, Raw norm, has AUROC 0.70 (0.40"),
    ],
)
def test_calibration_sentence__needs_eight_errors_and_an_interval_above_chance(n_errors, low, says):
    facts = {"n": 200, "n_errors": n_errors, "score": "norm", "auroc": 0.7, "low": low, "high": 0.8}
    assert says in calibration_sentence(facts)


@pytest.mark.slow
def test_step__a_probe_that_has_not_seen_the_images_judges_them(tmp_path):
    folder = make_study(tmp_path / "study", n_train=160, n_val=80, pictures=False)
    summary = run_step("quality", folder, {"calibrate": 60}, Progress.silent())
    study, facts = open_study(folder), summary["calibration"]
    table = study.table("quality_calibration").set_index("score")
    assert {"distinctiveness", "combined", "knn_similarity"} <= set(table.index)
    assert "kpca_error" not in table.index  # known of evaluation images only
    assert table["auroc"].idxmax() == facts["score"] and facts["n"] == 60
    metrics = study.table("quality_metrics").set_index("score")
    assert_allclose(table["auroc_on_all"], metrics.loc[table.index, "auroc"])
    assert metrics.loc[table.index, "label_free"].all()
    seen = 1.0 - study.summary("probe")["train_top1"]
    assert facts["n_errors"] / 60 > seen  # the study's probe knows its train images
    assert facts["score"] is not None and summary["calibration_sentence"] == calibration_sentence(facts)


@pytest.mark.slow
def test_step__bad_numbers_are_said_before_any_work(tmp_path):
    folder = make_study(tmp_path / "study", pictures=False)
    for n, said in ((3, "fewer images than the 4 classes"), (60, "more than half of the 80")):
        with pytest.raises(SettingsError, match=said):
            run_step("quality", folder, {"calibrate": n}, Progress.silent())
    blank = make_study(tmp_path / "blank", pictures=False, labels=False)
    with pytest.raises(StudyError, match="--calibrate needs a probe.*no labels"):
        run_step("quality", blank, {"calibrate": 10}, Progress.silent())
