"""Scores without labels on the pages: what each is, two at once, a calibration, the Overview."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.analysis.recommendation import recommended, verdict
from core.charts.score_pair import PAIR, pair_finding, pair_table
from core.common.score_names import SCORES, score_label
from core.measures.scores import score_aurocs
from core.measures.slice import Slice
from core.measures.slice_tables import metrics_of_slice
from core.pipeline.run import run_step
from core.store import open_study
from core.study.progress import Progress
from dashboard.components import tooltips
from tests.dashboard.conftest import all_text, grid, spec
from tests.tables import rows_where


def said(app) -> str:
    return all_text(app).replace("\\", "")


def test_tooltip_of_distinctiveness__states_its_sign_and_its_limit():
    text = tooltips.help_text("distinctiveness").lower()
    assert "opposite sign of out-of-distribution detectors" in text
    assert "far outliers" in text and "also score high" in text


@pytest.mark.parametrize("score", ["distinctiveness", "gen"])
def test_picked_score__is_described(score, studies, open_page):
    words = said(open_page("predicting_errors", study="demo", score=score_label(score)))
    assert f"{SCORES[score].label}: {SCORES[score].meaning}." in words
    assert ("Needs no labels." in words) == SCORES[score].label_free


def test_two_scores__cells_are_those_of_the_images(studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_plot="Two scores")
    assert not app.exception
    table = open_study(studies / "demo").table("quality")
    table = rows_where(table, table["split"] == "val")
    expected = pair_table(*(table[name].to_numpy(float) for name in (*PAIR, "correct")))
    assert pair_finding(expected, PAIR) in said(app)
    cells = np.array(grid(spec(app, "score_pair")["data"][0]["z"]), float)
    enough = expected["n"].to_numpy().reshape(4, 4) >= 5
    assert_allclose(cells[enough], 100 * expected["risk"].to_numpy().reshape(4, 4)[enough])


def test_two_scores__train_images_have_no_similarity(studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_plot="Two scores", where="split=train")
    assert not app.exception and "no images with both scores" in said(app)


@pytest.mark.exhaustive("tests/analysis measures what it says")
@pytest.mark.slow
def test_calibration__is_one_line(study_path, open_page, monkeypatch):
    folder = study_path("calibrated", n_train=80, pictures=False)
    monkeypatch.setenv("PEREGRINE_STUDIES", str(folder.parent))
    assert "labelled train images" not in said(open_page("predicting_errors", study="calibrated"))
    run_step("quality", folder, {"calibrate": 20, "bootstrap": 20}, Progress.silent())
    words = said(open_page("predicting_errors", study="calibrated"))
    assert open_study(folder).summary("quality")["calibration_sentence"] in words


def test_overview__says_what_predicting_errors_says(studies, open_page):
    """One verdict on a score, whichever page gives it."""
    study = open_study(studies / "demo")
    best = recommended(study)
    assert best is not None
    worth = verdict(study, best.score, study.table("quality_metrics"))
    assert worth is not None and worth.word
    for page in ("overview", "predicting_errors"):
        assert str(worth.sentence) in said(open_page(page, study="demo"))


def test_scores__have_one_interval_whichever_part_shows_them(studies, open_page):
    study = open_study(studies / "demo")
    stored = study.table("quality_metrics").set_index("score")
    for table in (
        score_aurocs(study, study.is_val).rename(columns={"low": "auroc_low", "high": "auroc_high"}),
        metrics_of_slice(study, study.is_val),
        study.where(Slice()).table("quality_metrics"),
    ):
        rows = table.set_index("score")
        for column in ("auroc", "auroc_low", "auroc_high", "augrc_low", "augrc_high"):
            assert_allclose(rows[column], stored.loc[rows.index, column], rtol=1e-9, err_msg=column)
