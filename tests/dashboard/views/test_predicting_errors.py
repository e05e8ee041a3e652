"""The page Predicting errors: scores of the images of the filter, a cut-off, and more on one score."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest

from core.analysis.recommendation import recommended
from core.analysis.trust_check import read_check
from core.charts.errors_found import ERRORS_FOUND, apply_cutoff, reachable_percent, threshold_for
from core.charts.options import FigureOptions
from core.common.score_names import score_label
from core.measures.slice import Slice
from core.store import open_study
from tests.dashboard.conftest import all_text, drawn_charts, forget, grid, spec, tiles
from tests.manifests import edited_manifest, write_tables
from tests.sampling import sample
from tests.tables import rows_where

PLOTS = {
    "Distribution": "histogram",
    "ROC": "roc",
    "Precision-recall": "pr",
    "Finding errors": "pr_error",
    "Risk-coverage": "risk",
}


def said(app) -> str:
    return all_text(app).replace("\\", "")


def charts(app) -> list[str]:
    return list(drawn_charts(app))


def evaluation(folder: Path, score: str) -> tuple[np.ndarray, np.ndarray]:
    table = open_study(folder).table("quality")
    table = rows_where(table, table["split"].eq("val"))
    return table[score].to_numpy(float), table["correct"].to_numpy(float)


def add_table(folder: Path, name: str, frame: pd.DataFrame) -> None:
    """Add a table to the quality step as its writer would."""
    with edited_manifest(folder) as manifest:
        manifest["steps"]["quality"]["outputs"].append(name)
        manifest["items"][name] = manifest["items"]["quality"] | {"step": "quality"}
    write_tables(folder, **{name: frame})


def trust_numbers(folder: Path) -> dict:
    return open_study(folder).summary("quality")


@pytest.mark.exhaustive("test_whole_representation… opens the part")
@pytest.mark.slow
def test_trust_check__is_among_the_parts_and_said_once(studies, open_page):
    trust = read_check(open_study(studies / "demo"))
    assert trust is not None
    assert trust.sentence not in said(open_page("predicting_errors", study="demo"))
    app = open_page("predicting_errors", study="demo", quality_plot="Trust")
    assert not [one for one in app.slider if one.label == "Look at the lowest"]  # it is of Q alone
    told = said(app)
    assert told.count(trust.sentence) == 1
    shown, summary = {metric.label: metric.value for metric in app.metric}, trust_numbers(studies / "demo")
    assert shown["Q-Score AUROC"] == f"{summary['q_auroc']:.3f}"
    assert f"{summary['q_rank']} of {summary['n_scores']}" in shown.values()
    assert shown["Negative"] == f"{100 * summary['negative_share']:.1f} %"


def measured(folder: Path, *, without: str = "", **best: float) -> None:
    """Give some scores a certain AUROC in the stored numbers, and every other one chance."""
    table = open_study(folder).table("quality_metrics").assign(auroc=0.5, auroc_low=0.45, auroc_high=0.55)
    for score, auroc in best.items():
        columns = ["auroc", "auroc_low", "auroc_high"]
        table.loc[table["score"] == score, columns] = [auroc, auroc - 0.02, auroc + 0.02]
    scores = open_study(folder).table("quality").assign(**({without: np.nan} if without else {}))
    write_tables(folder, quality_metrics=table, quality=scores)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("without", "picked"), sample([("", "Confidence"), ("confidence", "Distinctiveness")], 1)
)
def test_score_picked_first__is_the_recommended_one_and_q_is_one_click_away(
    without, picked, unread, studies, open_page
):
    measured(studies / "demo", without=without, norm=0.99, combined=0.98)  # by hindsight others are ahead
    app = open_page("predicting_errors", study="demo")
    assert app.selectbox(key="score").value == picked
    best = recommended(open_study(studies / "demo"))
    assert best is not None and str(best.reason) in said(app)
    app.button(key="score_other").click().run()
    assert app.selectbox(key="score").value == "Q-Score"
    app.button(key="score_other").click().run()
    assert app.selectbox(key="score").value == picked


@pytest.mark.exhaustive("state/test_session.py drops what a link cannot name")
@pytest.mark.slow
def test_parts__first_what_it_buys_and_an_unknown_one_is_dropped(studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_plot="Magic")
    assert not app.exception and "'Magic'" in app.info[0].value
    assert spec(app, "errors_found") and app.get_by_key("quality_group").value == "Errors found"


@pytest.mark.slow
@pytest.mark.parametrize("score", sample(["q_score", "confidence", "n_firing"], 1))
def test_cutoff__says_what_it_catches(score, studies, open_page):
    values, correct = evaluation(studies / "demo", score)
    app = open_page("predicting_errors", study="demo", score=score_label(score), quality_cutoff="25")
    for percent in (25, 40):
        app.slider(key="quality_cutoff").set_value(percent).run()
        result = apply_cutoff(values, correct, threshold_for(values, percent))
        shown = {metric.label: metric.value for metric in app.metric}
        assert shown["Looked at"] == f"{result.n_flagged:,}"
        assert shown["Are errors"] == f"{result.precision:.0f} %"
        assert shown["Errors found"] == f"{result.caught:.0f} %"
        assert f"{result.n_caught} of {result.n_errors}" in said(app)
        flagged = np.sort(values[values <= result.threshold])[: len(tiles(app, "quality_flagged"))]
        rows = [tile["id"] for tile in tiles(app, "quality_flagged")]
        stored = open_study(studies / "demo").table("quality")[score].to_numpy(float)
        assert stored[rows] == pytest.approx(flagged)  # the strip follows the slider
        shown = ERRORS_FOUND.read(
            [open_study(studies / "demo")], FigureOptions(against=(score,), images=result.n_flagged)
        )
        assert ERRORS_FOUND.finding(shown) in said(app)
        marks = [one["x0"] for one in spec(app, "errors_found")["layout"]["shapes"]]
        assert marks == pytest.approx([100 * result.n_flagged / result.n_images])


def with_zeros(folder: Path, share: float) -> np.ndarray:
    """Give a share of the evaluation images a Q-Score of exactly 0; returns their scores."""
    table = open_study(folder).table("quality")
    val = np.flatnonzero(table["split"].eq("val"))
    table.loc[val[: round(share * len(val))], "q_score"] = 0.0
    write_tables(folder, quality=table)
    return table["q_score"].to_numpy(float)[val]


@pytest.mark.exhaustive("tests/charts/test_errors_found.py has the shares that can be reached")
@pytest.mark.slow
def test_cutoff__images_that_share_the_lowest_score_are_flagged_together(unread, studies, open_page):
    values = with_zeros(studies / "demo", 0.384)
    n, percent = int((values == 0).sum()), int(100 * (values == 0).mean())
    app = open_page("predicting_errors", study="demo", score="Q-Score")
    assert not app.exception
    assert app.slider(key="quality_cutoff").value == percent  # the thumb says what is flagged
    app.slider(key="quality_cutoff").set_value(3).run()
    assert app.slider(key="quality_cutoff").value == percent
    assert {metric.label: metric.value for metric in app.metric}["Looked at"] == str(n)
    app.slider(key="quality_cutoff").set_value(80).run()
    assert app.slider(key="quality_cutoff").value == 80


def test_cutoff__comes_from_the_link(studies, open_page):
    assert (
        open_page("predicting_errors", study="demo", quality_cutoff="25").slider(key="quality_cutoff").value
        == 25
    )


def test_score__from_the_link_and_unknown_ones_are_dropped(studies, open_page):
    app = open_page("predicting_errors", study="demo", score="Raw norm")
    assert app.selectbox(key="score").value == "Raw norm"
    app.get_by_key("quality_group").set_value("Images").run()
    assert "Lowest Raw norm" in said(app) and "Highest Raw norm" in said(app)
    app = open_page("predicting_errors", study="demo", score="Magic")
    assert not app.exception
    assert "'Magic'" in app.info[0].value


@pytest.mark.exhaustive("test_one_number.py draws these curves")
@pytest.mark.slow
def test_compared_scores__are_drawn_beside(studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_plot="ROC", score="Q-Score")
    app.multiselect(key="quality_with").set_value(["Raw norm", "Confidence"]).run()
    names = [trace["name"].split(":")[0] for trace in spec(app, "score_roc")["data"]]
    assert names == ["Q-Score", "Raw norm", "Confidence", "chance"]


@pytest.mark.exhaustive("test_score__from_the_link… chooses a score")
@pytest.mark.slow
def test_score_chosen_after_comparing_it__is_no_error(studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_plot="ROC")
    app.multiselect(key="quality_with").set_value(["Raw norm"]).run()
    app.selectbox(key="score").select("Raw norm").run()
    assert not app.exception


def test_extremes__the_lowest_among_the_misclassified(studies, open_page):
    asked = {"quality_plot": "Images", "score": "Q-Score", "where": "correct=false"}
    app = open_page("predicting_errors", study="demo", **asked)
    assert not app.exception
    table = open_study(studies / "demo").table("quality")
    wrong = rows_where(table, table["split"].eq("val") & ~table["correct"].astype(bool)).sort_values(
        "q_score", kind="stable"
    )
    assert [tile["id"] for tile in tiles(app, "quality_lowest")] == wrong.index[:12].tolist()


@pytest.mark.slow
def test_numbers__table_has_every_score_in_order(studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_plot="Numbers")
    metrics = open_study(studies / "demo").table("quality_metrics").dropna(subset="auroc")
    shown = next(frame.value for frame in app.dataframe if "AUROC" in frame.value)
    ordered = metrics.sort_values("auroc", ascending=False, kind="stable")["score"]
    assert list(shown["Score"]) == [score_label(name) for name in ordered]
    by_score = metrics.set_index("score")
    for name in ordered:
        row = shown.set_index("Score").loc[score_label(name)]
        for column, title in (("auroc", "AUROC"), ("auprc_error", "AUPRC (errors)"), ("augrc", "AUGRC")):
            assert row[title].startswith(f"{by_score.loc[name, column]:.3f}")
        difference = f"{by_score.loc[name, 'auroc_difference']:.3f} (".replace("-", "−")
        ahead = "" if name == "q_score" else difference
        assert row["AUROC minus Q's"].startswith(ahead) and (ahead or not row["AUROC minus Q's"])


@pytest.mark.exhaustive("test_every_part__of_any_filter opens the part")
@pytest.mark.slow
def test_causes__shown_only_where_the_study_has_them(studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_plot="By cause")
    assert not [name for name in charts(app) if "causes" in name]
    study = open_study(studies / "demo")
    scores = study.table("quality").assign(correct=np.arange(study.n_images) % 3 == 0)
    write_tables(studies / "demo", quality=scores)
    table = pd.DataFrame({"image_id": study.images["image_id"], "cause": "small"})
    add_table(studies / "demo", "attributes", table)
    app = open_page("predicting_errors", study="demo", quality_plot="By cause")
    assert not app.exception
    found = open_study(studies / "demo").where("split=val").table("quality_by_cause")
    assert len(found) and set(found["cause"]) == {"small"} and (found["n_errors"] >= 8).all()
    cells = spec(app, "score_causes")["data"][0]
    drawn = grid(cells["z"])
    assert sorted(drawn[np.isfinite(drawn)]) == pytest.approx(sorted(found["auroc"]))


@pytest.mark.parametrize("plot", PLOTS)
def test_every_image_correct__gives_the_reason_and_no_crash(plot, studies, open_page):
    study = open_study(studies / "demo")
    frames = {name: study.table(name).assign(correct=True) for name in ("probe", "quality")}
    metrics = study.table("quality_metrics").assign(note="all images are classified correctly")
    measured = [c for c in metrics if c.startswith(("auroc", "auprc", "aurc", "augrc"))]
    frames["quality_metrics"] = metrics.assign(**dict.fromkeys(measured, np.nan))
    frames["quality_curves"] = study.table("quality_curves").iloc[:0]
    write_tables(studies / "demo", **frames)
    app = open_page("predicting_errors", study="demo", quality_plot=plot)
    assert not app.exception
    notes = [figure["layout"].get("annotations") for figure in drawn_charts(app).values()]
    assert plot == "Distribution" or any(notes)  # the chart says why it is empty


@pytest.mark.parametrize("plot", [*PLOTS, "Errors found", "Chart", "By cause", "Numbers", "Images", "Trust"])
@pytest.mark.parametrize(
    "where", ["correct=true", "correct=false", "label=ant", "label=ant predicted=bee q_score=99.."]
)
def test_every_part__of_any_filter(plot, where, studies, open_page):
    app = open_page("predicting_errors", study="demo", quality_plot=plot, where=where)
    assert not app.exception


def test_unlabelled_study__keeps_what_needs_no_labels(studies, shelf, unlabelled_study, open_page):
    shelf.serve("bare", unlabelled_study)
    app = open_page("predicting_errors", study="bare")
    assert not app.exception
    assert "carry no labels" in said(app) and "No known outcomes" in said(app)
    assert [name for name in charts(app) if "score_" in name] and not app.slider
    assert tiles(app, "quality_lowest") and tiles(app, "quality_highest")  # beside the distribution
    app.get_by_key("quality_group").set_value("Images").run()
    assert "Lowest" in said(app) and tiles(app, "quality_lowest")
    assert "Confidence" not in app.selectbox(key="score").options


def test_study_without_quality__names_the_command(studies, open_page):
    forget(studies / "demo", "quality")
    app = open_page("predicting_errors", study="demo")
    assert not app.exception
    assert any(code.value.startswith("python -m core quality") for code in app.code)


def test_whole_representation__is_there_in_numbers(studies, open_page):
    summary = open_study(studies / "demo").summary("quality")
    app = open_page("predicting_errors", study="demo", quality_plot="Trust")
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["RankMe"] == f"{summary['rankme']:.1f}"
    assert shown["Near zero"] == f"{100 * summary['near_zero_share']:.1f} %"
    assert shown["Images with Q above 0"] == f"{100 * summary['share_nonempty']:.1f} %"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("score", "where"),
    sample(
        [
            ("n_firing", "n_firing=2,3"),
            ("q_score", ""),
            ("norm", ""),
            ("n_firing", ""),
            ("q_score", "q_score=0.3.."),
        ],
        1,
    ),
)
def test_link_to_the_flagged_images__shows_just_those(score, where, studies, open_page):
    study = open_study(studies / "demo")
    inside = Slice.parse(where).mask(study)[study.is_val]
    values, correct = (column[inside] for column in evaluation(study.path, score))
    app = open_page(
        "predicting_errors", study="demo", score=score_label(score), quality_cutoff="30", where=where
    )
    threshold = threshold_for(values, reachable_percent(values, 30))
    flagged = apply_cutoff(values, correct, threshold).n_flagged
    link = next(one for one in app.get("page_link") if "these images" in one.value)
    query = dict(parse_qsl(link.proto.query_string))
    assert 0 < flagged < len(values) and f"**{flagged}** of" in all_text(open_page("images", **query))


def test_cutoff__of_images_without_a_label_nobody_knows_what_looking_finds(partly, open_page):
    app = open_page("predicting_errors", study="partly", score="Q-Score", quality_cutoff="40")
    looked = int(next(one.value for one in app.metric if one.label == "Looked at"))
    flagged = tiles(app, "quality_flagged")
    assert looked and len(tiles(app, "quality_flagged")) == min(looked, 8)
    assert f" of {looked:,}" in all_text(app)  # pictures of more than one page
    assert all(tile["verdict"] for tile in flagged)
