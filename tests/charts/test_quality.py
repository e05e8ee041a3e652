from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from core.charts import q_distribution, score_curves, sentences
from core.charts.theme import DARK, LIGHT, layout_of, paper, traces_of


def texts(fig) -> str:
    return " | ".join(note.text for note in layout_of(fig).annotations)


def test_score_histogram__counts_every_known_image_once(rng):
    values, correct = rng.random(500), (rng.random(500) < 0.7).astype(float)
    values[:10], correct[10:30] = np.nan, np.nan
    table = q_distribution.score_histogram(values, correct)
    assert table["all"].sum() == 490
    assert table["correct"].sum() == (correct[10:] == 1).sum()
    assert table["misclassified"].sum() == (correct[10:] == 0).sum()
    assert_allclose(table["left"].iloc[1:], table["right"].iloc[:-1])


def test_score_histogram__whole_numbers_get_bins_of_their_own():
    table = q_distribution.score_histogram(np.array([2, 2, 5]), None, whole=True)
    assert list((table["left"] + table["right"]) / 2) == [2, 3, 4, 5]
    assert list(table["all"]) == [2, 0, 0, 1]
    wide = q_distribution.score_histogram(np.arange(1000), None, whole=True, n_bins=60)
    assert len(wide) <= 60 and wide["all"].sum() == 1000


def test_score_distribution__shares_are_of_the_whole_group_and_zeros_are_a_column_apart():
    values, correct = np.array([0.0, 0.2, 0.2, 0.4, 0.0, 0.1]), np.array([1, 1, 1, 1, 0, 0])
    zero = q_distribution.zero_mass(values, correct)
    assert zero == {"all": (2, 6), "correct": (1, 4), "misclassified": (1, 2)}
    fig = q_distribution.score_distribution(
        q_distribution.score_histogram(values, correct, drop_zero=True), score="q_score", zero=zero
    )
    shares = {t.name: sum(t.y) for t in traces_of(fig) if t.type == "scatter"}
    assert_allclose(list(shares.values()), [75, 50])
    assert list(shares) == ["correct (n = 4)", "misclassified (n = 2)"]
    zeros = [t for t in traces_of(fig) if t.type == "bar"]
    assert_allclose([t.y[0] for t in zeros], [25, 50])
    assert "25.0 % (1 images) have exactly 0" in zeros[0].hovertemplate
    assert all(t.x[0] + t.width / 2 < 0.1 for t in zeros)  # left of the first bin
    assert layout_of(fig).xaxis.ticktext[0] == "exactly 0"
    assert layout_of(fig).xaxis.tickvals[0] < 0.1 <= min(layout_of(fig).xaxis.tickvals[1:])


def test_score_distribution__the_outline_is_closed_at_both_ends(rng):
    values = rng.random(200)
    table = q_distribution.score_histogram(values, None)
    assert len(table) == 25
    outline = traces_of(q_distribution.score_distribution(table, score="norm"))[0]
    assert outline.y[0] == outline.y[-1] == 0 and outline.y[1] > 0
    wide = table["right"].iloc[0] - table["left"].iloc[0]
    # The path turns half way between two points: at the first and the last edge.
    assert_allclose((outline.x[0] + outline.x[1]) / 2, table["left"].iloc[0])
    assert_allclose((outline.x[-1] + outline.x[-2]) / 2, table["left"].iloc[-1] + wide)


def test_score_distribution__without_labels_draws_all_images():
    fig = q_distribution.score_distribution(
        q_distribution.score_histogram(np.array([1.0, 2.0]), None), score="norm"
    )
    assert [t.name for t in traces_of(fig)] == ["all images (n = 2)"]


def test_distribution_finding__without_labels_says_nothing_of_correctness():
    values, unknown = np.array([0.1, 0.4]), np.full(2, np.nan)
    assert q_distribution.distribution_finding(values, unknown, "q_score") == "Q-Score of all images"


def test_roc__draws_the_curve_with_chance_and_interval(curves, metrics):
    fig = score_curves.score_curve(curves, metrics, ["q_score", "confidence"], "roc")
    assert [t.name for t in traces_of(fig)] == [
        "Q-Score: AUROC 0.550 (0.530 to 0.580)",
        "Confidence: AUROC 0.850 (0.830 to 0.880)",
        "chance: 0.500",
    ]
    assert_allclose(traces_of(fig)[0].x, [0, 25, 100])
    assert_allclose(traces_of(fig)[1].y, 100 * np.array([0, 0.25, 1.0]) ** 0.25)
    assert list(traces_of(fig)[2].x) == list(traces_of(fig)[2].y)


@pytest.mark.parametrize(("kind", "base"), [("pr", 80), ("pr_error", 20)])
def test_precision_recall__has_its_base_rate_line(curves, metrics, kind, base):
    fig = score_curves.score_curve(curves, metrics, ["q_score"], kind)
    assert_allclose([s.y0 for s in layout_of(fig).shapes], [base])
    assert f"base rate: {base}.0 %" in texts(fig)


def test_risk_coverage__has_the_overall_error_rate(curves, metrics):
    fig = score_curves.score_curve(curves, metrics, ["norm"], "risk")
    assert_allclose([s.y0 for s in layout_of(fig).shapes], [20])
    assert_allclose(traces_of(fig)[0].y, 100 * np.array([0, 0.5, 1.0]))


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_undefined_metrics__give_their_reason(curves, metrics, theme):
    undefined = metrics.assign(auroc=np.nan, note="every image is classified correctly")
    nothing = curves.iloc[:0]
    for kind in score_curves.KINDS:
        fig = score_curves.score_curve(nothing, undefined, ["q_score"], kind, theme=theme)
        assert not traces_of(fig) and "every image is classified correctly" in texts(fig)
        fig = score_curves.score_curve(nothing, metrics.iloc[:0], ["q_score"], kind, theme=theme)
        assert layout_of(fig).annotations
    empty = q_distribution.score_histogram(np.array([np.nan]), None)
    assert not traces_of(q_distribution.score_distribution(empty, score="norm", theme=theme))


def test_with_interval__words():
    assert score_curves.metric_with_interval({"auroc": 0.5}, "auroc") == "0.500"
    assert score_curves.metric_with_interval({"auroc": np.nan}, "auroc") == "not defined"


def test_describe_score__says_whether_labels_were_needed():
    assert "needs no labels" in sentences.describe_score("q_score").lower()
    assert "trained with labels" in sentences.describe_score("margin")
    assert sentences.describe_score("my_score") == "my score"


def test_constant_scores_have_one_bin_with_everything():
    table = q_distribution.score_histogram(np.full(5, 0.25), np.ones(5))
    assert table["correct"].max() == 5


def test_paper_style_fixes_size_and_type(curves, metrics):
    fig = score_curves.score_curve(
        curves, metrics, ["q_score"], "roc", theme=paper(column="double", font="sans")
    )
    assert layout_of(fig).width == 696 and layout_of(fig).template.layout.font.size == 10
    with pytest.raises(ValueError, match="column is single or double"):
        paper(column="triple")


def test_figures_survive_json(curves, metrics):
    assert isinstance(score_curves.score_curve(curves, metrics, ["q_score"], "roc").to_json(), str)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda t: t.name)
def test_ground_of_a_chart_is_that_of_the_page(theme):
    settings = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text())
    assert theme.background == settings["theme"][theme.name]["backgroundColor"]
