"""Metrics against scikit-learn, against slow twins, and where they are undefined."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from core.errors import ShapeError
from core.measures import metrics
from core.measures.intervals import interval_of_augrc
from core.measures.placements import spreads
from tests import reference
from tests import reference_scores as slow
from tests.tables import rows_where

EXACT = 1e-12


def scores_and_outcomes(rng: np.random.Generator, n: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    correct = rng.random(n) < 0.7
    score = rng.normal(size=n) + correct
    return (np.round(score) if ties else score), correct


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
@pytest.mark.parametrize("n", [10, 300])
def test_metrics__equal_scikit_learn(rng, n, ties):
    score, correct = scores_and_outcomes(rng, n, ties)
    found = metrics.metrics_of(metrics.rank(score, correct))
    expected = (
        roc_auc_score(correct, score),
        average_precision_score(correct, score),
        average_precision_score(~correct, -score),
    )
    assert_allclose(found[:3], expected, rtol=EXACT)


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_metrics__match_loops(rng, ties):
    for n in (5, 7):
        score, correct = scores_and_outcomes(rng, n, ties)
        correct[:2] = True, False
        assert_allclose(metrics.auroc(score, correct), reference.auroc(score, correct), rtol=EXACT)
        assert_allclose(
            metrics.metrics_of(metrics.rank(score, correct))[1],
            reference.average_precision(score, correct),
            rtol=EXACT,
        )
        for ours, of_order in (
            (metrics.aurc, reference.aurc_of_order),
            (metrics.augrc, reference.augrc_of_order),
        ):
            expected = reference.mean_over_orders(score, correct, of_order)
            assert_allclose(ours(score, correct), expected, rtol=EXACT)


@pytest.mark.parametrize("step", [None, 1.0, 3.0], ids=["distinct", "ties", "many ties"])
@pytest.mark.parametrize("n", [2, 7, 400])
def test_augrc__follows_from_auroc_and_accuracy(rng, n, step):
    """Traub et al. 2024; half a point for a tie in AUROC is the mean over all orders of tied images."""
    correct = np.arange(n) < rng.integers(1, n)
    score = rng.normal(size=n) + correct
    score = score if step is None else np.round(score / step)
    a = correct.mean()
    expected = (1 - reference.auroc(score, correct)) * a * (1 - a) + (1 - a) ** 2 / 2
    assert_allclose(metrics.augrc(score, correct), expected, rtol=1e-10)


def test_augrc__by_hand():
    # (kept, wrong kept) / 4: (0, 0), (1, 0), (2, 1), (3, 1), (4, 2): trapezoids 0, 1/2, 1, 3/2 sixteenths
    assert_allclose(metrics.augrc(np.array([4, 3, 2, 1]), np.array([1, 0, 1, 0])), 3 / 16)
    assert metrics.augrc(np.ones(10), np.arange(10) < 6) == pytest.approx(0.4 / 2)  # no skill
    assert np.isnan(metrics.augrc(np.arange(3.0), np.ones(3)))


@pytest.mark.parametrize("ties", [False, True], ids=["distinct", "ties"])
def test_resample__equals_the_images_repeated(rng, ties):
    score, correct = scores_and_outcomes(rng, 40, ties)
    among = np.sort(rng.permutation(40)[:30])
    counts = rng.integers(0, 4, 40)
    ranking = metrics.rank(score, correct, among=among)
    drawn = np.repeat(among, counts[among])
    repeated = metrics.rank(score[drawn], correct[drawn])
    assert len(drawn) != len(among)
    assert_allclose(metrics.metrics_of(ranking, counts), metrics.metrics_of(repeated), rtol=EXACT)


def test_resamples__at_once_are_those_of_each_alone(rng, monkeypatch):
    score, correct = scores_and_outcomes(rng, 40, ties=True)
    rankings = [metrics.rank(score, correct, among=np.arange(first, 40)) for first in (0, 10, 37)]
    together = metrics.bootstrap_metrics(rankings, 40, resamples=30, seed=3)
    for number in range(30):
        counts = metrics.resample(40, 3, number)
        alone = [metrics.metrics_of(ranking, counts) for ranking in rankings]
        assert_allclose(together[number], alone, rtol=EXACT)
    assert np.isnan(together[:, 2]).any() and not np.isnan(together[:, :2]).any()  # only one outcome drawn
    monkeypatch.setattr(metrics, "DRAWN_AT_ONCE", 7 * 40)
    np.testing.assert_array_equal(metrics.bootstrap_metrics(rankings, 40, resamples=30, seed=3), together)


def test_intervals__of_aurc_are_of_resampled_images(rng):
    score, correct = scores_and_outcomes(rng, 25, ties=False)
    score[:4] = np.nan
    draws = []
    for b in range(30):
        drawn = np.random.default_rng([2, b]).integers(0, 25, 25)
        kept = drawn[np.isfinite(score[drawn])]
        draws.append(metrics.aurc(score[kept], correct[kept]))
    found = metrics.evaluate(pd.DataFrame({"s": score}), correct, resamples=30, seed=2).iloc[0]
    ends = slow.logit_interval(found["aurc"], float(np.nanstd(draws, ddof=1)), found["n"])
    assert_allclose(found[["aurc_low", "aurc_high"]].astype(float), ends, rtol=1e-9)


@pytest.mark.parametrize("resamples", [0, 20])
def test_intervals__of_auroc_and_augrc_are_in_closed_form(rng, resamples):
    score, correct = scores_and_outcomes(rng, 40, ties=True)
    found = metrics.evaluate(pd.DataFrame({"s": score}), correct, resamples=resamples).iloc[0]
    outcome = np.asarray(correct, bool)
    ends = slow.newcombe_area(reference.auroc(score, outcome), outcome.sum(), (~outcome).sum())
    assert_allclose([found["auroc_low"], found["auroc_high"]], ends, atol=1e-9)
    around = interval_of_augrc(*spreads(score, outcome))
    assert_allclose([found["augrc"], found["augrc_low"], found["augrc_high"]], around, rtol=1e-9)
    assert np.isfinite(found["aurc_low"]) == (resamples > 0)


@pytest.mark.parametrize("holes", [0, 6], ids=["same images", "fewer images"])
def test_difference__is_delongs_of_the_images_that_have_both(rng, holes):
    first, correct = scores_and_outcomes(rng, 30, ties=False)
    second = first + 0.3 * rng.normal(size=30)
    second[:holes] = np.nan
    found = metrics.evaluate(pd.DataFrame({"q_score": first, "other": second}), correct, resamples=0)
    own, other = found.to_dict("records")
    kept = np.isfinite(second)
    expected = slow.delong_difference(second[kept], first[kept], np.asarray(correct, bool)[kept])
    names = ("auroc_difference", "auroc_difference_low", "auroc_difference_high")
    assert_allclose([other[name] for name in names], expected, rtol=1e-9)
    assert np.isnan(own["auroc_difference"])


@pytest.mark.parametrize(("n_wrong", "marked"), [(29, True), (30, False)])
def test_difference__is_marked_below_thirty_errors(rng, n_wrong, marked):
    frame = pd.DataFrame({"s": rng.random(100)})
    note = metrics.evaluate(frame, np.arange(100) >= n_wrong, resamples=0)["note"][0]
    assert (f"few errors: with {n_wrong} errors" in note) == marked and bool(note) == marked


def test_difference__of_a_score_and_its_monotone_copy_is_exactly_zero(rng):
    """Resampled apart, two equal scores would differ by chance."""
    score, correct = scores_and_outcomes(rng, 200, ties=True)
    frame = pd.DataFrame({"q_score": score, "same": np.exp(score), "noisy": score + rng.normal(size=200)})
    found = metrics.evaluate(frame, correct, resamples=50).set_index("score")
    columns = ["auroc_difference", "auroc_difference_low", "auroc_difference_high"]
    assert (found.loc["same", columns] == 0).all()
    width = found.loc["noisy", columns[2]] - found.loc["noisy", columns[1]]
    alone = found["auroc_high"] - found["auroc_low"]
    assert 0 < width < np.hypot(alone["q_score"], alone["noisy"])  # narrower than of separate images


def test_aurc__by_hand():
    # risks of the 1, 2, 3, 4 best: 0, 1/2, 1/3, 2/4
    assert_allclose(
        metrics.aurc(np.array([4, 3, 2, 1]), np.array([1, 0, 1, 0])), (0 + 1 / 2 + 1 / 3 + 1 / 2) / 4
    )


def test_metrics__do_not_depend_on_image_order(rng):
    score, correct = scores_and_outcomes(rng, 200, ties=True)
    shuffled = rng.permutation(200)
    first = metrics.metrics_of(metrics.rank(score, correct))
    assert_allclose(metrics.metrics_of(metrics.rank(score[shuffled], correct[shuffled])), first, rtol=EXACT)


def test_metrics__ignore_monotone_changes_of_the_score(rng):
    score, correct = scores_and_outcomes(rng, 200, ties=True)
    first = metrics.metrics_of(metrics.rank(score, correct))
    assert_allclose(metrics.metrics_of(metrics.rank(np.exp(3 * score), correct)), first, rtol=EXACT)


@pytest.mark.parametrize(
    ("outcome", "why"),
    [(1.0, "all 5 images are classified correctly"), (0.0, "all 5 images are misclassified")],
)
def test_evaluate__single_class_outcome_is_nan_with_a_reason(outcome, why):
    found = metrics.evaluate(pd.DataFrame({"s": np.arange(5.0)}), np.full(5, outcome), resamples=20).iloc[0]
    assert np.isnan([found[m] for m in metrics.METRICS] + [found["auroc_low"], found["auroc_high"]]).all()
    assert why in found["note"]
    assert found["base_rate_correct"] == outcome
    assert metrics.curves(np.arange(5.0), np.full(5, outcome)).empty


def test_evaluate__leaves_undefined_scores_out(rng):
    score, correct = scores_and_outcomes(rng, 50, ties=False)
    holes = score.copy()
    holes[:10] = np.nan
    table = metrics.evaluate(
        pd.DataFrame({"s": score, "holes": holes, "none": np.full(50, np.nan)}), correct, resamples=30
    ).set_index("score")
    assert_allclose(table.loc["holes", "auroc"], roc_auc_score(correct[10:], score[10:]), rtol=EXACT)
    assert table.loc["holes", "n"] == 40 and "10 of 50" in table.loc["holes", "note"]
    assert np.isnan(table.loc["none", "auroc"]) and "undefined for every image" in table.loc["none", "note"]
    assert "undefined" not in table.loc["s", "note"]


def test_evaluate__interval_is_seeded_and_covers(rng):
    score, correct = scores_and_outcomes(rng, 400, ties=False)
    frame = pd.DataFrame({"s": score})
    first = metrics.evaluate(frame, correct, resamples=200, seed=3).iloc[0]
    again = metrics.evaluate(frame, correct, resamples=200, seed=3).iloc[0]
    other = metrics.evaluate(frame, correct, resamples=200, seed=4).iloc[0]
    assert first.equals(again) and first["aurc_low"] != other["aurc_low"]
    for metric in metrics.METRICS:
        assert first[f"{metric}_low"] < first[metric] < first[f"{metric}_high"]
    # the standard error is about 0.026 here: the interval must be about four of them wide
    assert 0.06 < first["auroc_high"] - first["auroc_low"] < 0.16


def test_curves__lie_on_scikit_learns(rng):
    score, correct = scores_and_outcomes(rng, 60, ties=True)
    table = metrics.curves(score, correct)
    fpr, tpr, _ = roc_curve(correct, score, drop_intermediate=False)
    roc = rows_where(table, table["curve"] == "roc")
    assert_allclose(roc[["x", "y"]].to_numpy(), np.column_stack([fpr, tpr]), atol=EXACT)
    for name, positive, sign in (("pr", correct, 1), ("pr_error", ~correct, -1)):
        precision, recall, _ = precision_recall_curve(positive, sign * score)
        found = rows_where(table, table["curve"] == name)[["x", "y"]].to_numpy()
        assert_allclose(found, np.column_stack([recall, precision])[:-1][::-1], atol=EXACT)
    risk = rows_where(table, table["curve"] == "risk")
    assert_allclose(risk["y"].iloc[-1], 1 - correct.mean())
    assert risk["x"].iloc[-1] == 1.0


def test_curves__are_thinned(rng):
    score, correct = scores_and_outcomes(rng, 5000, ties=False)
    assert metrics.curves(score, correct).groupby("curve").size().max() <= metrics.CURVE_POINTS


def test_rank__lengths_must_agree():
    with pytest.raises(ShapeError, match="3.*outcomes.*2"):
        metrics.auroc(np.arange(3), np.array([1, 0]))
