"""The Quality view: one score for the whole page, one chart at a time, honest where labels are missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest

from core.common.score_names import score_label
from core.figures.baselines import rank_sentence
from core.figures.cutoff import apply_cutoff, threshold_for
from core.figures.quality import score_histogram
from core.figures.sentences import cutoff_sentence
from core.store import open_study
from tests.dashboard.conftest import all_text, drawn_charts, forget, spec
from tests.manifests import edited_manifest

PLOTS = {
    "Distribution": "distribution",
    "ROC": "roc",
    "Precision-recall": "pr",
    "Finding errors": "pr_error",
    "Risk-coverage": "risk",
    "Cut-off": "cutoff_chart",
}


def said(app) -> str:
    return all_text(app).replace("\\", "")


def charts(app) -> list[str]:
    return list(drawn_charts(app))


def evaluation(folder: Path, score: str) -> tuple[np.ndarray, np.ndarray]:
    table = open_study(folder).table("quality")
    table = table[table["split"].eq("val")]
    return table[score].to_numpy(float), table["correct"].to_numpy(float)


def add_table(folder: Path, name: str, frame: pd.DataFrame) -> None:
    """Add a table to the quality step as its writer would."""
    frame.to_parquet(folder / f"{name}.parquet", index=False)
    entry = {
        "kind": "table",
        "shape": list(frame.shape),
        "columns": list(frame),
        "sha256": "",
        "step": "quality",
    }
    with edited_manifest(folder) as manifest:
        manifest["steps"]["quality"]["outputs"].append(name)
        manifest["items"][name] = entry


def test_premise__sentence_and_rank_come_first(studies, open_page):
    app = open_page("quality", study="demo")
    study = open_study(studies / "demo")
    words = said(app)
    assert study.summary("quality")["premise_sentence"] in words
    assert rank_sentence(study.table("quality_metrics"), "q_score") in words


@pytest.mark.parametrize("plot", PLOTS)
def test_plot__one_chart_at_a_time(plot, studies, open_page):
    app = open_page("quality", study="demo", quality_plot=plot)
    assert not app.exception
    shown = [name for name in charts(app) if any(f"quality_{key}" in name for key in PLOTS.values())]
    assert len(shown) == 1 and f"quality_{PLOTS[plot]}" in shown[0]


def test_distribution__holds_the_evaluation_images(studies, open_page):
    values, correct = evaluation(studies / "demo", "norm")
    app = open_page("quality", study="demo", score=score_label("norm"))
    names = [trace["name"] for trace in spec(app, "quality_distribution")["data"]]
    table = score_histogram(values, correct)
    assert names == [
        f"correct (n = {table['correct'].sum():,})",
        f"misclassified (n = {table['misclassified'].sum():,})",
    ]


@pytest.mark.parametrize("score", ["q_score", "confidence", "n_firing"])
def test_cutoff__says_what_it_catches(score, studies, open_page):
    values, correct = evaluation(studies / "demo", score)
    app = open_page("quality", study="demo", score=score_label(score), quality_cutoff="25")
    for percent in (25, 40):
        app.slider(key="quality_cutoff").set_value(percent).run()
        result = apply_cutoff(values, correct, threshold_for(values, percent))
        assert cutoff_sentence(score, result) in said(app)


def test_cutoff__comes_from_the_link(studies, open_page):
    assert open_page("quality", study="demo", quality_cutoff="25").slider(key="quality_cutoff").value == 25


def test_score__from_the_link_and_unknown_ones_are_dropped(studies, open_page):
    app = open_page("quality", study="demo", score="Raw norm")
    assert app.selectbox(key="score").value == "Raw norm"
    assert "Lowest and highest Raw norm" in [head.value for head in app.subheader]
    app = open_page("quality", study="demo", score="Magic")
    assert not app.exception
    assert "'Magic'" in app.info[0].value


def test_compared_scores__are_drawn_beside(studies, open_page):
    app = open_page("quality", study="demo", quality_plot="ROC")
    app.multiselect(key="quality_with").set_value(["Raw norm", "Probe confidence"]).run()
    names = [trace["name"].split(":")[0] for trace in spec(app, "quality_roc")["data"]]
    assert names == ["Q-Score", "Raw norm", "Probe confidence", "chance"]


def test_score_chosen_after_comparing_it__is_no_error(studies, open_page):
    app = open_page("quality", study="demo", quality_plot="ROC")
    app.multiselect(key="quality_with").set_value(["Raw norm"]).run()
    app.selectbox(key="score").select("Raw norm").run()
    assert not app.exception


def test_extremes__the_lowest_among_the_misclassified(studies, open_page):
    app = open_page("quality", study="demo")
    app.get_by_key("quality_shown").set_value("Misclassified").run()
    assert not app.exception


def test_rivals__table_has_every_score_in_order(studies, open_page):
    app = open_page("quality", study="demo")
    metrics = open_study(studies / "demo").table("quality_metrics").dropna(subset="auroc")
    shown = next(frame.value for frame in app.dataframe if "AUROC" in frame.value)
    ordered = metrics.sort_values("auroc", ascending=False, kind="stable")["score"]
    assert list(shown["Score"]) == [score_label(name) for name in ordered]


def test_causes__shown_only_where_the_study_has_them(studies, open_page):
    assert "For which failures" not in str([h.value for h in open_page("quality", study="demo").subheader])
    rows = [("small object", "q_score", 9, 0.6, 0.5, 0.7), ("clutter", "q_score", 4, 0.4, 0.3, 0.6)]
    table = pd.DataFrame(rows, columns=["cause", "score", "n_errors", "auroc", "low", "high"])
    add_table(studies / "demo", "quality_by_cause", table)
    app = open_page("quality", study="demo")
    assert not app.exception
    assert any("quality_causes" in name for name in charts(app))


@pytest.mark.parametrize("plot", PLOTS)
def test_every_image_correct__gives_the_reason_and_no_crash(plot, studies, open_page):
    study = open_study(studies / "demo")
    for name in ("probe", "quality"):
        study.table(name).assign(correct=True).to_parquet(studies / "demo" / f"{name}.parquet", index=False)
    metrics = study.table("quality_metrics").assign(note="every image is classified correctly")
    measured = [c for c in metrics if c.startswith(("auroc", "auprc", "aurc"))]
    metrics.assign(**dict.fromkeys(measured, np.nan)).to_parquet(
        studies / "demo" / "quality_metrics.parquet", index=False
    )
    with edited_manifest(studies / "demo") as manifest:
        manifest["items"]["quality_curves"]["shape"][0] = 0
    study.table("quality_curves").iloc[:0].to_parquet(
        studies / "demo" / "quality_curves.parquet", index=False
    )
    app = open_page("quality", study="demo", quality_plot=plot)
    assert not app.exception
    assert "There are no misclassified images to catch" in said(app)
    notes = [json.dumps(figure) for figure in drawn_charts(app).values()]
    assert any("every image is classified correctly" in note for note in notes)


def test_unlabelled_study__keeps_what_needs_no_labels(studies, unlabelled_study, open_page):
    shutil.copytree(unlabelled_study, studies / "bare")
    app = open_page("quality", study="bare")
    assert not app.exception
    words = said(app)
    assert "carry no labels" in words and "Lowest" in words
    assert [name for name in charts(app) if "quality_" in name] and not app.slider
    assert "Probe confidence" not in app.selectbox(key="score").options


def test_study_without_quality__names_the_command(studies, open_page):
    forget(studies / "demo", "quality")
    app = open_page("quality", study="demo")
    assert not app.exception
    assert any(code.value.startswith("python -m core quality") for code in app.code)


def test_whole_representation__is_there_in_numbers(studies, open_page):
    summary = open_study(studies / "demo").summary("quality")
    shown = {metric.label: metric.value for metric in open_page("quality", study="demo").metric}
    assert shown["RankMe"] == f"{summary['rankme']:.1f}"
    assert shown["Near zero"] == f"{100 * summary['near_zero_share']:.1f} %"
    assert shown["Images with Q above 0"] == f"{100 * summary['share_nonempty']:.1f} %"


@pytest.mark.parametrize("score", ["q_score", "norm", "n_firing"])
def test_link_to_the_flagged_images__shows_just_those(score, studies, open_page):
    values, correct = evaluation(studies / "demo", score)
    app = open_page("quality", study="demo", score=score_label(score), quality_cutoff="30")
    flagged = apply_cutoff(values, correct, threshold_for(values, 30)).n_flagged
    link = next(one for one in app.get("page_link") if "flagged" in one.value)
    query = dict(parse_qsl(link.proto.query_string))
    assert f"**{flagged}** of" in all_text(open_page("images", **query))
