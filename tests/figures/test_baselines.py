from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.figures import baselines as figures
from core.figures.theme import DARK, LIGHT, layout_of


def dots(fig) -> dict[str, tuple[float, float, float]]:
    """Score -> (value, low, high) as drawn."""
    return {
        c[0]: (x, x - minus, x + plus)
        for t in fig.data
        for x, minus, plus, c in zip(t.x, t.error_x.arrayminus, t.error_x.array, t.customdata, strict=True)
    }


@pytest.mark.parametrize("metric", list(figures.METRICS))
def test_rivals__values_and_intervals_are_those_of_the_table(metrics, metric):
    drawn = dots(figures.rivals(metrics, metric=metric))
    for _, row in metrics.iterrows():
        expected = row[metric], row[f"{metric}_low"], row[f"{metric}_high"]
        assert_allclose(drawn[row["score"]], expected)


def test_rivals__best_on_top_also_where_lower_is_better(metrics):
    for metric in ("auroc", "aurc", "augrc"):
        axis = layout_of(figures.rivals(metrics, metric=metric)).yaxis
        assert list(axis.categoryarray)[::-1] == ["Probe confidence", "Raw norm", "<b>Q-Score</b>"]


def test_rivals__marks_labels_and_the_reference(metrics):
    fig = figures.rivals(metrics, metric="auprc_error", selected="norm")
    assert {t.name: t.marker.symbol for t in fig.data} == {
        "needs no labels": "circle",
        "uses labels": "diamond-open",
    }
    assert [s.x0 for s in layout_of(fig).shapes] == [0.2]
    assert [s.x0 for s in layout_of(figures.rivals(metrics)).shapes] == [0.5]
    assert [s.x0 for s in layout_of(figures.rivals(metrics, metric="augrc")).shapes] == [
        0.1
    ]  # half the errors


def test_rivals__the_legend_has_the_colour_of_the_others_also_where_the_best_is_selected(metrics):
    fig = figures.rivals(metrics, selected="norm")  # the first of those without labels
    assert fig.data[0].marker.color[0] == LIGHT.correct
    colours = {
        c[0]: colour for c, colour in zip(fig.data[0].customdata, fig.data[0].marker.color, strict=True)
    }
    assert colours == {"q_score": LIGHT.correct, "norm": LIGHT.accent}


def test_rivals__a_metric_that_an_older_study_lacks_is_a_note(metrics):
    older = metrics.drop(columns=["augrc", "augrc_low", "augrc_high"])
    assert figures.ranked(older, "augrc").empty
    assert "lacks AUGRC" in layout_of(figures.rivals(older, metric="augrc")).annotations[0].text
    assert len(figures.rivals(older).data) == 2


def test_rank_sentence__is_honest(metrics):
    text = figures.rank_sentence(metrics, "q_score")
    assert "ranks 3 of 3 scores, and 2 of the 2 that need no labels" in text
    assert "best is Probe confidence with 0.850" in text
    assert "best is" not in figures.rank_sentence(metrics, "confidence")
    assert "could not be evaluated" in figures.rank_sentence(metrics.assign(auroc=np.nan), "q_score")


@pytest.mark.parametrize(
    ("value", "low", "said"),
    [
        (0.62, 0.58, "Without labels, the raw norm predicts errors best: AUROC 0.62 (0.58 to 0.95)"),
        (
            0.52,
            0.47,
            "Without labels, the raw norm is best, which could be chance: AUROC 0.52 (0.47 to 0.95)",
        ),
        (
            0.48,
            0.44,
            "Without labels, no score predicts errors: the best, the raw norm, has 0.48 (0.44 to 0.95)",
        ),
    ],
)
def test_finding__says_what_works_without_labels(value, low, said):
    rows = [("norm", True, value, low), ("q_score", True, 0.4, 0.3), ("confidence", False, 0.9, 0.88)]
    table = pd.DataFrame(rows, columns=["score", "label_free", "auroc", "auroc_low"]).assign(auroc_high=0.95)
    assert figures.finding(table) == f"{said}; the probe's confidence reaches 0.90."
    assert figures.finding(table.assign(auroc=np.nan, note="all correct")) == "all correct"


def test_finding__names_the_rule_that_was_fixed_beforehand():
    rows = [("distinctiveness", True, 0.71), ("combined", True, 0.68), ("gen", False, 0.88)]
    table = pd.DataFrame(rows, columns=["score", "label_free", "auroc"]).assign(
        auroc_low=0.6, auroc_high=np.nan
    )
    assert figures.finding(table) == (
        "Without labels, distinctiveness predicts errors best: AUROC 0.71; "
        "the combined score, fixed beforehand, reaches 0.68; GEN reaches 0.88."
    )
    alone = figures.finding(table.assign(auroc=[0.6, 0.68, 0.88]))
    assert alone == "Without labels, the combined score predicts errors best: AUROC 0.68; GEN reaches 0.88."


def test_finding__says_how_many_the_best_is_not_clearly_ahead_of():
    rows = [
        ("distinctiveness", True, 0.71, "soft_q", 0.02),
        ("soft_q", True, 0.70, "distinctiveness", 0.0),
        ("combined", True, 0.68, "distinctiveness", 0.01),
        ("norm", True, 0.55, "distinctiveness", -0.01),
        ("gen", False, 0.88, "", np.nan),
    ]
    columns = ["score", "label_free", "auroc", "rival", "rival_difference_high"]
    table = pd.DataFrame(rows, columns=columns).assign(auroc_low=0.6, auroc_high=np.nan)
    assert figures.level_with_best(table) == ["soft_q", "combined"]
    said = "Without labels, distinctiveness predicts errors best: AUROC 0.71, not clearly ahead of 2 others;"
    assert figures.finding(table).startswith(said)
    one = table[table["score"] != "combined"]
    assert "0.71, not clearly ahead of the soft Q-Score; " in figures.finding(one)
    clear = table.assign(rival_difference_high=-0.01)
    assert "AUROC 0.71; the combined" in figures.finding(clear)


@pytest.mark.parametrize(
    ("low", "best"),
    [((0.6, 0.55, 0.8), "norm"), ((0.5, 0.55, 0.8), "q_score"), ((0.5, 0.4, 0.8), None)],
    ids=["highest", "whose interval is above chance", "none"],
)
def test_best_without_labels__is_hardly_chance(low, best):
    rows = [("norm", True, 0.7), ("q_score", True, 0.6), ("confidence", False, 0.9)]
    table = pd.DataFrame(rows, columns=["score", "label_free", "auroc"]).assign(auroc_low=low)
    assert figures.best_without_labels(table) == best
    assert figures.best_without_labels(table.assign(auroc=np.nan)) is None


def test_equal_scores__share_a_rank_and_none_is_better(metrics):
    tied = metrics.assign(auroc=[0.5181, 0.5184, 0.9])  # 0.518 on screen
    assert figures.ranked(tied, "auroc")["rank"].tolist() == [1, 2, 2]
    lower, other = metrics["score"].tolist()[:2]
    for score in (lower, other):
        assert "ranks 2 of 3 scores, and 1 of the 2" in figures.rank_sentence(tied, score)
    best = figures.rank_sentence(tied.assign(auroc=[0.5181, 0.5184, 0.1]), lower)
    assert "ranks 1 of 3" in best and "best is" not in best


def test_rivals__a_marked_score_has_a_ground(metrics):
    fig = figures.rivals(metrics, selected="norm", marked="q_score")
    row = next(one for one in layout_of(fig).shapes if one.type == "rect")
    labels = list(layout_of(fig).yaxis.categoryarray)
    assert labels[round((row.y0 + row.y1) / 2)] == "Q-Score"


def test_by_cause__puts_each_number_in_its_cell():
    table = pd.DataFrame(
        [
            ("clutter", "q_score", 10, 0.4, 0.3, 0.5),
            ("small object", "norm", 90, 0.7, 0.6, 0.8),
            ("small object", "q_score", 90, 0.6, 0.5, 0.7),
        ],
        columns=["cause", "score", "n_errors", "auroc", "low", "high"],
    )
    cells = figures.by_cause(table).data[0]
    assert list(cells.x) == ["Q-Score", "Raw norm"]
    assert list(cells.y) == ["small object  (n = 90)", "clutter  (n = 10)"]
    assert_allclose(np.array(cells.z, float), [[0.6, 0.7], [0.4, np.nan]])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_nothing_to_rank__gives_the_reason(metrics, theme):
    fig = figures.rivals(metrics.assign(auroc=np.nan, note="one class only"), theme=theme)
    assert not fig.data and layout_of(fig).annotations[0].text == "one class only"
    none = pd.DataFrame(columns=["cause", "score", "n_errors", "auroc", "low", "high"])
    assert not figures.by_cause(none, theme=theme).data
