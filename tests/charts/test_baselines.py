from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from core.charts import baselines as figures
from core.charts import causes
from core.charts.theme import DARK, LIGHT, layout_of, traces_of
from core.common.score_names import score_family, score_in_sentence, score_label
from core.measures.chance import too_few_outcomes
from tests.sentences import numbers, without_numbers
from tests.tables import rows_where


def dots(fig) -> dict[str, tuple[float, float, float]]:
    """Score -> (value, low, high) as drawn."""
    return {
        c[0]: (x, x - minus, x + plus)
        for t in traces_of(fig)
        for x, minus, plus, c in zip(t.x, t.error_x.arrayminus, t.error_x.array, t.customdata, strict=True)
    }


def test_ranked_scores__values_and_intervals_are_those_of_the_table(metrics):
    drawn = dots(figures.ranked_scores(metrics))
    for _, row in metrics.iterrows():
        assert_allclose(drawn[row["score"]], row[["auroc", "auroc_low", "auroc_high"]].to_list())


def test_ranked_scores__best_on_top(metrics):
    axis = layout_of(figures.ranked_scores(metrics)).yaxis
    scores = ("confidence", "Confidence"), ("norm", "Raw norm"), ("q_score", "<b>Q-Score</b>")
    named = [label for score, name in scores for label in (f"<i>{score_family(score)}</i>", name)]
    assert list(axis.categoryarray)[::-1] == named and tuple(axis.range) == (-0.5 - figures.BELOW, 5.5)


def test_by_family__families_and_their_scores_are_best_first(metrics):
    energy = metrics.loc[metrics["score"] == "confidence"].assign(score="energy", auroc=0.55)
    rows = figures.by_family(figures.ranked(pd.concat([metrics, energy]), "auroc"))
    assert rows["score"].to_list() == ["confidence", "energy", "norm", "q_score"]


@pytest.mark.parametrize("metric", ["auroc", "aurc", "augrc"])
def test_ranked__best_first_also_where_lower_is_better(metrics, metric):
    assert figures.ranked(metrics, metric)["score"].to_list() == ["confidence", "norm", "q_score"]


def test_ranked_scores__marks_labels_and_the_reference(metrics):
    fig = figures.ranked_scores(metrics, selected="norm")
    assert {t.name: t.marker.symbol for t in traces_of(fig)} == {
        "needs no labels": "circle",
        "needs a classifier": "diamond-open",
    }
    assert [s.x0 for s in layout_of(fig).shapes] == [0.5]


def test_ranked_scores__the_legend_has_the_colour_of_the_others_also_where_the_best_is_selected(metrics):
    fig = figures.ranked_scores(metrics, selected="norm")  # the first of those without labels
    assert traces_of(fig)[0].marker.color[0] == LIGHT.correct
    colours = {
        c[0]: colour
        for c, colour in zip(traces_of(fig)[0].customdata, traces_of(fig)[0].marker.color, strict=True)
    }
    assert colours == {"q_score": LIGHT.correct, "norm": LIGHT.accent}


def test_rank_sentence__is_honest(metrics):
    text = figures.rank_sentence(metrics, "q_score")
    assert numbers(text) == ["3", "3", "2", "2", "0.850"]
    assert numbers(figures.rank_sentence(metrics, "confidence")) == ["1", "3"]  # and no better one
    assert numbers(figures.rank_sentence(metrics.assign(auroc=np.nan), "q_score")) == []


def scored(rows: list[tuple], *columns: str, n_wrong: int = 30) -> pd.DataFrame:
    names = ["score", "label_free", "auroc", *columns]
    table = pd.DataFrame(rows, columns=names).assign(n=100, n_wrong=n_wrong)
    return table.assign(auroc_low=table["auroc"] - 0.1, auroc_high=table["auroc"] + 0.05)


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.66, ["0.66", "0.56", "0.71"]), (0.52, ["0.52", "0.42", "0.57"]), (0.4, ["0.40", "0.30", "0.45"])],
)
def test_finding__is_of_the_recommended_score_and_the_best_without_labels(value, told):
    rows = [("combined", True, value), ("q_score", True, 0.35), ("gen", False, 0.95)]
    table = scored([*rows, ("confidence", False, 0.9)])
    said = figures.finding(table)
    assert numbers(said) == ["0.90", "0.80", "0.95", *told]
    assert said.index(score_in_sentence("confidence")[1:]) < said.index(score_in_sentence("combined"))
    assert figures.finding(table.assign(auroc=np.nan, note="all correct")) == "all correct"
    alone = scored([("distinctiveness", True, value), ("q_score", True, 0.35)])
    assert numbers(figures.finding(alone)) == told
    assert score_in_sentence("distinctiveness")[1:] in figures.finding(alone)


def test_finding__has_other_words_for_every_standing():
    tables = [scored([("norm", True, value), ("q_score", True, 0.35)]) for value in (0.66, 0.52, 0.4)]
    assert len({without_numbers(figures.finding(table)) for table in tables}) == 3


@pytest.mark.parametrize("n_wrong", [1, 7, 8])
def test_finding__says_nothing_from_fewer_than_eight_errors(n_wrong):
    table = scored([("norm", True, 0.99), ("confidence", False, 0.99)], n_wrong=n_wrong)
    sentences = figures.finding(table), figures.rank_sentence(table, "norm")
    assert all(too_few_outcomes(n_wrong, 100 - n_wrong) in sentence for sentence in sentences)
    assert ("0.99" in numbers(sentences[0])) == (n_wrong == 8)
    assert numbers(sentences[1]) == (["1", "2", "1", "1"] if n_wrong == 8 else [str(n_wrong)])


def test_finding__says_how_many_the_best_is_not_clearly_ahead_of():
    rows = [
        ("distinctiveness", True, 0.71, "soft_q", 0.02),
        ("soft_q", True, 0.70, "distinctiveness", 0.0),
        ("combined", True, 0.68, "distinctiveness", 0.01),
        ("norm", True, 0.55, "distinctiveness", -0.01),
        ("confidence", False, 0.88, "", np.nan),
    ]
    table = scored(rows, "rival", "rival_difference_high")
    assert figures.level_with_best(table) == ["soft_q", "combined"]
    assert numbers(figures.finding(table))[3:] == ["0.71", "0.61", "0.76", "2"]
    one = figures.finding(rows_where(table, table["score"] != "combined"))
    assert numbers(one)[3:] == ["0.71", "0.61", "0.76"] and score_in_sentence("soft_q") in one
    clear = figures.finding(table.assign(rival_difference_high=-0.01))
    assert numbers(clear)[3:] == ["0.71", "0.61", "0.76"] and score_in_sentence("soft_q") not in clear
    assert score_in_sentence("distinctiveness") in clear


def test_equal_scores__share_a_rank_and_none_is_better(metrics):
    tied = metrics.assign(auroc=[0.5181, 0.5184, 0.9])  # 0.518 on screen
    assert figures.ranked(tied, "auroc")["rank"].tolist() == [1, 2, 2]
    lower, other = metrics["score"].tolist()[:2]
    for score in (lower, other):
        assert numbers(figures.rank_sentence(tied, score))[:4] == ["2", "3", "1", "2"]
    best = figures.rank_sentence(tied.assign(auroc=[0.5181, 0.5184, 0.1]), lower)
    assert numbers(best) == ["1", "3", "1", "2"]


def test_scores_of_far_fewer_images__come_last_and_are_no_best():
    rows = [
        ("kpca_error", True, 0.9, "", np.nan),
        ("norm", True, 0.7, "", np.nan),
        ("mls", False, 0.8, "", np.nan),
    ]
    table = scored(rows, "rival", "rival_difference_high").assign(n=[21, 119, 110], n_wrong=[6, 31, 29])
    assert figures.ranked(table, "auroc")["score"].tolist() == ["mls", "norm", "kpca_error"]
    assert figures.ranked(table, "auroc")["rank"].isna().tolist() == [False, False, True]
    assert numbers(figures.finding(table)) == ["0.70", "0.60", "0.75"]
    assert score_in_sentence("norm") in figures.finding(table)
    assert numbers(figures.rank_sentence(table, "norm")) == ["2", "2", "1", "1", "0.800"]
    few, undefined = (figures.rank_sentence(one, "kpca_error") for one in (table, table.assign(auroc=np.nan)))
    assert numbers(few) == [] and few != undefined and score_label("kpca_error") in few
    assert set(dots(figures.ranked_scores(table))) == {"kpca_error", "norm", "mls"}  # drawn all the same


def test_ranked_scores__a_marked_score_has_a_ground(metrics):
    fig = figures.ranked_scores(metrics, selected="norm", marked="q_score")
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
    cells = traces_of(causes.by_cause(table))[0]
    assert list(cells.x) == ["small object<br>n = 90", "clutter<br>n = 10"]
    assert list(cells.y) == ["Raw norm", "Q-Score"]
    assert_allclose(np.array(cells.z, float), [[0.7, np.nan], [0.6, 0.4]])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_nothing_to_rank__gives_the_reason(metrics, theme):
    fig = figures.ranked_scores(metrics.assign(auroc=np.nan, note="one class only"), theme=theme)
    assert not traces_of(fig) and layout_of(fig).annotations[0].text == "one class only"
    none = pd.DataFrame(columns=["cause", "score", "n_errors", "auroc", "low", "high"])
    assert not traces_of(causes.by_cause(none, theme=theme))
