"""Headline areas, confusions and AUROCs of a slice against loops, and the undefined cases."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from core.measures import scores as areas
from core.measures.confusions import confusions
from core.measures.evaluate import class_column, result_column
from core.measures.headline import NO_IMAGES, NO_VERDICTS, headline
from core.measures.scores import score_aurocs
from core.measures.slice import Slice
from core.measures.slice_comparison import means
from tests import reference_scores as slow
from tests import small
from tests.measures.test_feature_rates import slow_wilson
from tests.measures.test_generalised_risk import augrc_by_loop
from tests.measures.worlds import World, make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("numbers") / "study")


def test_headline__matches_loops(world, rng):
    for share in (0.1, 0.5, 1.1):
        mask = world.mask(rng, share)
        found, inside = headline(world.study, mask), np.flatnonzero(mask)
        right = [world.correct[row] for row in inside if world.correct[row] is not None]
        assert (found["n"], found["accuracy_n"]) == (len(inside), len(right))
        assert found["accuracy"] == sum(right) / len(right)
        assert_allclose(found["accuracy_interval"], slow_wilson(sum(right), len(right)), atol=1e-12)
        for name, column in {
            "mean_q": "q_score",
            "mean_confidence": "confidence",
            "n_firing": "n_firing",
        }.items():
            values = [float(world.scores.loc[row, column]) for row in inside]
            values = [value for value in values if not math.isnan(value)]
            mean = math.fsum(values) / len(values)
            spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
            half = float(stats.t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))
            assert_allclose(found[name], mean, atol=1e-12)
            least, most = (
                (-math.inf if name == "mean_q" else 0.0),
                (1.0 if column == "confidence" else math.inf),
            )
            ends = max(mean - half, least), min(mean + half, most)
            assert_allclose(found[f"{name}_interval"], ends, atol=1e-12)
            assert found[f"{name}_n"] == len(values)
        assert found["reasons"] == {}


def test_headline__of_nothing_and_of_one(world):
    nothing = headline(world.study, np.zeros(len(world.raw), bool))
    assert nothing["n"] == 0 and np.isnan(nothing["accuracy"])
    assert set(nothing["reasons"].values()) == {NO_IMAGES} and len(nothing["reasons"]) == 4
    one = np.zeros(len(world.raw), bool)
    one[0] = True
    found = headline(world.study, one)
    assert found["n"] == 1 and found["accuracy"] in (0.0, 1.0) and not found["reasons"]
    assert np.isfinite(found["accuracy_interval"]).all() and np.isnan(found["mean_confidence_interval"]).all()


def test_headline__of_an_image_without_label_or_score(world):
    unlabelled, unscored = np.zeros((2, len(world.raw)), bool)
    unlabelled[5], unscored[3] = True, True
    assert headline(world.study, unlabelled)["reasons"] == {"accuracy": NO_VERDICTS}
    assert list(headline(world.study, unscored)["reasons"]) == ["mean_q"]


def test_confusions__match_loop(world, rng):
    for share in (0.2, 0.7, 1.1):
        mask = world.mask(rng, share)
        counted = Counter(
            (world.labels[row], world.predicted[row])
            for row in np.flatnonzero(mask)
            if world.correct[row] is False
        )
        expected = sorted(
            ((true, told, n) for (true, told), n in counted.items()), key=lambda c: (-c[2], c[:2])
        )
        found = confusions(world.study, mask)
        assert list(found.itertuples(index=False, name=None)) == expected and len(expected) > 1


def test_confusions__without_errors_there_are_none(world):
    found = confusions(world.study, Slice(correct=True).mask(world.study))
    assert found.empty and list(found.columns) == ["true", "predicted", "n"]


def slow_augrc(right: list[float], wrong: list[float]) -> float:
    """Trapezoids under (images kept, wrong images kept), both shares of all, from the best score down."""
    n, kept, bad, area = len(right) + len(wrong), 0, 0, 0.0
    for value in sorted({*right, *wrong}, reverse=True):
        more, worse = right.count(value) + wrong.count(value), wrong.count(value)
        area += more / n * (bad + bad + worse) / 2 / n
        kept, bad = kept + more, bad + worse
    assert kept == n
    return area


@pytest.fixture(params=[True, False], ids=["along the order of all", "sorted"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to place the images of a slice: that of many images, and that of few."""
    if request.param:
        monkeypatch.setattr(areas, "SORTED_AT_ONCE", 0)
        monkeypatch.setattr(areas, "LEAST_ORDERED", -1)


@pytest.mark.usefixtures("way")
def test_score_aurocs__match_loop(world, rng):
    for share in (0.4, 1.1):
        mask = world.mask(rng, share)
        found = score_aurocs(world.study, mask).set_index("score")
        assert list(found.index) == ["q_score", "n_firing", "norm", "confidence"]
        assert found["label_free"].tolist() == [True, True, True, False]
        for name in found.index:
            values = world.scores[name]
            judged = [row for row in np.flatnonzero(mask) if world.correct[row] is not None]
            judged = [row for row in judged if not math.isnan(values[row])]
            right = [values[row] for row in judged if world.correct[row]]
            wrong = [values[row] for row in judged if not world.correct[row]]
            wins = [[(a > b) + 0.5 * (a == b) for b in wrong] for a in right]
            area = sum(map(sum, wins)) / (len(right) * len(wrong))
            row = found.loc[name]
            assert_allclose(row["auroc"], area, atol=1e-12)
            assert_allclose(row["augrc"], slow_augrc(right, wrong), atol=1e-12)
            judged_right = np.repeat([True, False], [len(right), len(wrong)])
            ends = augrc_by_loop(np.array([*right, *wrong]), judged_right)[1:]
            assert_allclose([row["augrc_low"], row["augrc_high"]], ends, atol=1e-12)
            around = slow.newcombe_area(area, len(right), len(wrong))
            assert_allclose([row["low"], row["high"]], around, atol=1e-9)
            assert (row["n"], row["n_wrong"], row["reason"]) == (len(judged), len(wrong), "")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("correct=true", "all images are classified correctly"),
        ("correct=false", "all images are misclassified"),
        ("image=005", NO_VERDICTS),
        ("norm=99..", NO_IMAGES),
    ],
)
def test_score_aurocs__says_why_it_is_undefined(world, where, reason):
    found = score_aurocs(world.study, Slice.parse(where).mask(world.study))
    assert set(found["reason"]) == {reason} and found[["auroc", "low", "high"]].isna().to_numpy().all()


@pytest.mark.usefixtures("way")
def test_score_aurocs__one_error_has_a_wide_interval_and_none_of_augrc(world):
    mask = Slice(correct=True).mask(world.study)
    wrong = [row for row, verdict in enumerate(world.correct) if verdict is False and row != 3]
    mask[wrong[0]] = True
    row = score_aurocs(world.study, mask).set_index("score").loc["norm"]
    assert row["n_wrong"] == 1 and row["low"] < row["auroc"] - 0.3 and np.isnan(row["augrc_low"])
    assert row["reason"] == "only one image is misclassified: AUGRC has no interval"
    alone = np.zeros_like(mask)
    alone[3] = True
    reasons = score_aurocs(world.study, alone).set_index("score")["reason"]
    assert reasons["q_score"] == "no image of the slice has this score" or world.correct[3] is None


def test_numbers__without_labels_are_not_known(tmp_path):
    study = small.write_small_study(tmp_path / "study", labels=False)
    everything = np.ones(study.n_images, bool)
    found = headline(study, everything)
    assert set(found["reasons"]) == {"accuracy", "mean_confidence"} and found["mean_q_n"] == 7
    assert confusions(study, everything).empty
    assert set(score_aurocs(study, everything)["reason"]) == {NO_VERDICTS}


def test_numbers__without_results_are_not_known(tmp_path):
    study = small.write_small_study(tmp_path / "study", features=False)
    found = headline(study, study.is_val)
    assert found["n"] == 5 and len(found["reasons"]) == 4
    assert confusions(study, study.is_val).empty and score_aurocs(study, study.is_val).empty


def test_columns__are_read_once_for_each_study(tmp_path, rng):
    first, second = make_world(tmp_path / "first"), make_world(tmp_path / "second", seed=1)
    column = result_column(first.study, "norm")
    assert np.shares_memory(result_column(first.study, "norm"), column) and not column.flags.writeable
    np.testing.assert_array_equal(column, first.scores["norm"])
    np.testing.assert_array_equal(result_column(second.study, "norm"), second.scores["norm"])
    codes = class_column(first.study, "label")
    assert [None if code < 0 else first.study.class_names[code] for code in codes] == first.labels
    assert (
        np.isnan(result_column(first.study, "nothing")).all() and (class_column(first.study, "x") == -1).all()
    )


def test_means__their_intervals_end_where_the_values_do():
    columns = {"confidence": np.array([1.0, 1.0, 0.9, 0.6]), "n_firing": np.array([0.0, 9.0, 0.0, 0.0])}
    table = means(np.ones(4, bool), columns).set_index("metric")
    assert table.loc["confidence", "high"] == 1 and table.loc["n_firing", "low"] == 0
    for name, end, sign in (("confidence", "low", -1), ("n_firing", "high", 1)):
        half = stats.t.ppf(0.975, 3) * stats.sem(columns[name])
        assert table.loc[name, end] == pytest.approx(columns[name].mean() + sign * half)
