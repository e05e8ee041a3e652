"""Scores without labels on the pages: what each is, weights, two at once, a calibration, the Overview."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.common.score_names import SCORES, score_label
from core.figures.score_pair import PAIR, pair_finding, pair_table
from core.jobs.progress import Progress
from core.pipeline.run import run_step
from core.slices.inspection.numbers import score_aurocs
from core.store import open_study
from dashboard.components import tooltips
from tests.dashboard.conftest import all_text, grid, spec
from tests.tables import rows_where


def said(app) -> str:
    return all_text(app).replace("\\", "")


def test_tooltip_of_distinctiveness__states_its_sign_and_its_limit():
    text = tooltips.help_text("distinctiveness").lower()
    assert "opposite sign of out-of-distribution detectors" in text
    assert "far outliers" in text and "also score high" in text


@pytest.mark.parametrize("score", ["distinctiveness", "combined", "gen"])
def test_picked_score__is_described(score, studies, open_page):
    words = said(open_page("predicting_errors", study="demo", score=score_label(score)))
    assert f"{SCORES[score].label}: {SCORES[score].meaning}." in words
    assert ("Needs no labels." in words) == SCORES[score].label_free


def test_combined__shows_the_stored_weights_largest_first(studies, open_page):
    words = said(open_page("predicting_errors", study="demo", score=score_label("combined")))
    weights = open_study(studies / "demo").summary("quality")["combined_weights"]["val"]
    ordered = sorted(weights, key=lambda name: -weights[name])
    shown = ", ".join(f"{score_label(name)} {weights[name]:.2f}" for name in ordered)
    assert min(weights.values()) < 0  # or the sign would be seen nowhere
    shown = shown.replace("-", "−")
    assert f"Weights: {shown}." in words


def test_two_scores__cells_are_those_of_the_images(studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_plot="Two scores")
    assert not app.exception
    table = open_study(studies / "demo").table("quality")
    table = rows_where(table, table["split"] == "val")
    expected = pair_table(*(table[name].to_numpy(float) for name in (*PAIR, "correct")))
    assert pair_finding(expected) in said(app)
    cells = np.array(grid(spec(app, "score_pair")["data"][0]["z"]), float)
    enough = expected["n"].to_numpy().reshape(4, 4) >= 5
    assert_allclose(cells[enough], 100 * expected["risk"].to_numpy().reshape(4, 4)[enough])


def test_two_scores__train_images_have_no_similarity(studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_plot="Two scores", where="split=train")
    assert not app.exception and "no images with both scores" in said(app)


@pytest.mark.slow
def test_calibration__is_one_line(study_path, open_page, monkeypatch):
    folder = study_path("calibrated", n_train=80, pictures=False)
    monkeypatch.setenv("PEREGRINE_STUDIES", str(folder.parent))
    assert "labelled train images" not in said(open_page("predicting_errors", study="calibrated"))
    run_step("quality", folder, {"calibrate": 20, "bootstrap": 20}, Progress.silent())
    words = said(open_page("predicting_errors", study="calibrated"))
    assert open_study(folder).summary("quality")["calibration_sentence"] in words


def test_overview__names_the_best_score_with_its_interval_and_base_rate(studies, open_page):
    metrics = open_study(studies / "demo").table("quality_metrics")
    best = rows_where(metrics, metrics["label_free"]).sort_values("auroc", ascending=False).iloc[0]
    study = open_study(studies / "demo")
    shown = score_aurocs(study, study.is_val).set_index("score").loc[best["score"]]  # as on Predicting errors
    words = said(open_page("overview", study="demo"))
    assert f"{score_label(best['score'])}" in words
    assert f"AUROC {best['auroc']:.2f} ({shown['low']:.2f} to {shown['high']:.2f}" in words
    if shown["low"] > 0.5:
        errors = f"AUPRC of errors {best['auprc_error']:.2f} (base rate {best['base_rate_error']:.2f})"
        assert errors in words
