"""A score from a few labelled images: the sample, the regression, what it is worth, and the stored result."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize

from core.analysis.calibration import (
    PENALTY,
    calibrate,
    calibration_sentence,
    ranks_among,
    regressed,
    share_below,
    stratified_rows,
)
from core.common.score_names import score_in_sentence
from core.errors import SettingsError, StudyError
from core.pipeline.run import run_step
from core.store import open_study
from core.study.progress import Progress
from tests import reference
from tests.synthetic import make_study


def test_share_below__by_hand():
    assert_allclose(share_below(np.array([5.0, 1.0, 5.0, 2.0])), [2.5 / 4, 0.0, 2.5 / 4, 0.25])


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
    with pytest.raises(SettingsError, match="9.*10.*classes.*10"):
        stratified_rows(codes, 9, seed=0)
    with pytest.raises(SettingsError, match="80.*labelled.*40"):
        stratified_rows(codes, 41, seed=0)


def slow_rank(known: np.ndarray, value: float) -> float:
    """Share of the known values below, ties counting half, minus 1/2."""
    return float(np.mean([1.0 if one < value else 0.5 if one == value else 0.0 for one in known])) - 0.5


def test_ranks_among__are_those_of_a_loop_and_interpolated_between(rng):
    known = np.round(rng.normal(size=(40, 2)), 1)
    assert_allclose(
        ranks_among(known, known),
        [[slow_rank(known[:, j], value) for j, value in enumerate(row)] for row in known],
    )
    ladder = np.array([[0.0], [1.0], [2.0], [3.0]])
    assert_allclose(
        ranks_among(ladder, np.array([[0.5], [-9], [9], [np.nan]]))[:, 0], [-0.25, -0.375, 0.375, np.nan]
    )


def test_regressed__minimises_its_loss(rng):
    ranks, correct = rng.random((80, 3)) - 0.5, (rng.random(80) < 0.7).astype(float)
    sign = 2 * correct - 1

    def loss(parts):
        margin = sign * (ranks @ parts[:3] + parts[3])
        return np.log1p(np.exp(-margin)).sum() + PENALTY / 2 * np.square(parts[:3]).sum()

    assert_allclose(regressed(ranks, correct), minimize(loss, np.zeros(4), tol=1e-10).x[:3], atol=1e-4)


def test_calibrate__a_reversed_score_and_noise(rng):
    """The sign is found, and noise gets little weight."""
    correct = (rng.random(300) < 0.7).astype(float)
    scores = pd.DataFrame({"norm": rng.normal(size=300) - 1.5 * correct, "hoyer": rng.normal(size=300)})
    table, facts, found = calibrate(scores, correct)
    assert (facts["score"], facts["single"], facts["sign"], facts["n_errors"]) == (
        *("calibrated", "norm", -1),
        int((correct == 0).sum()),
    )
    weights = table.set_index("score")["weight"]
    assert weights["norm"] < -0.5 and abs(weights["hoyer"]) < 0.3 * abs(weights["norm"])
    assert facts["low"] > 0.7 and facts["single_auroc"] == pytest.approx(facts["auroc"], abs=0.03)
    assert found is not None and reference.auroc(found.score(scores), correct == 1) > 0.8
    single = calibration_sentence(facts).parts[0]
    assert (single.kind, single.what) == ("single_reversed", score_in_sentence("norm"))
    partly = scores.assign(norm=[np.nan, *scores["norm"][1:]])
    assert np.isnan(found.score(partly)).sum() == 1


def test_calibrate__many_scores_of_noise_cannot_be_told_from_chance(rng):
    """Without cross-validation 15 random scores predict the errors of 100 images well."""
    above = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        correct = (rng.random(100) < 0.7).astype(float)
        table, facts, found = calibrate(pd.DataFrame(rng.normal(size=(100, 15))).add_prefix("s"), correct)
        above += facts["low"] > 0.5
        assert found is not None
        fitted = reference.auroc(
            found.score(pd.DataFrame(found.labelled, columns=list(found.names))), correct == 1
        )
        assert fitted > facts["auroc"] + 0.1  # of the images that it was fitted to
    assert above <= 2


def test_calibrate__of_one_outcome_is_undefined():
    table, facts, found = calibrate(pd.DataFrame({"a": np.arange(9.0)}), np.ones(9))
    assert table[["auroc", "weight"]].isna().to_numpy().all() and facts["score"] is None and found is None
    said = calibration_sentence(facts)
    assert said.kind == "regression_too_few" and said.parts[0].n == 0


@pytest.mark.parametrize(
    ("n_errors", "low", "kind"),
    [
        (1, 0.6, "regression_too_few"),
        (7, 0.6, "regression_too_few"),
        (8, 0.6, "regression_works"),
        (8, 0.4, "regression_in_vain"),
    ],
)
def test_calibration_sentence__needs_eight_errors_and_an_interval_above_chance(n_errors, low, kind):
    facts = {"n": 200, "n_errors": n_errors, "score": "calibrated", "auroc": 0.7, "low": low, "high": 0.8}
    facts |= {"single": "norm", "sign": 1, "single_auroc": 0.65}
    said = calibration_sentence(facts)
    part = said.parts[0]
    assert (said.kind, said.n) == (kind, 200)
    if n_errors < 8:
        assert (part.kind, part.n) == ("too_few", n_errors)
    else:
        assert (said.value, said.interval) == (0.7, (low, 0.8))
        assert (part.kind, part.what, part.value) == ("single", score_in_sentence("norm"), 0.65)


@pytest.mark.slow
def test_step__a_probe_that_has_not_seen_the_images_judges_them(tmp_path):
    folder = make_study(tmp_path / "study", n_train=160, n_val=80, pictures=False)
    summary = run_step("quality", folder, {"calibrate": 60}, Progress.silent())
    study, facts = open_study(folder), summary["calibration"]
    table = study.table("quality_calibration").set_index("score")
    assert {"distinctiveness", "norm", "knn_similarity"} <= set(table.index)
    assert not {"combined", "kpca_error"} & set(table.index)  # no longer computed
    assert facts["n"] == 60
    metrics = study.table("quality_metrics").set_index("score")
    assert metrics.loc[table.index, "label_free"].all()
    scores = study.table("quality")
    assert (
        np.isfinite(scores["calibrated"][study.is_val]).all() and not metrics.loc["calibrated", "label_free"]
    )
    seen = 1.0 - study.summary("probe")["train_top1"]
    assert facts["n_errors"] / 60 > seen  # the study's probe knows its train images
    assert facts["score"] == "calibrated" and summary["calibration_sentence"] == calibration_sentence(facts)


@pytest.mark.slow
def test_step__bad_numbers_are_said_before_any_work(tmp_path):
    folder = make_study(tmp_path / "study", pictures=False)
    for n, said in ((3, "fewer images than the 4 classes"), (60, "more than half of the 80")):
        with pytest.raises(SettingsError, match=said):
            run_step("quality", folder, {"calibrate": n}, Progress.silent())
    blank = make_study(tmp_path / "blank", pictures=False, labels=False)
    with pytest.raises(StudyError, match="--calibrate"):
        run_step("quality", blank, {"calibrate": 10}, Progress.silent())
